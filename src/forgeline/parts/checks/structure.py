"""Structure nobody declared: entities with several rows, and an order in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("structure.group", "structure.time")

if TYPE_CHECKING:
    import polars as pl

    from forgeline.engine.alike import Shown
    from forgeline.engine.structure import Structure

round = 1


def check(table: View, target: pl.Series | None) -> Iterator[Finding]:
    """`structure.group` and `structure.time`, as notes: what was found in the features of all rows, how surely, and
    whether the split goes by it. Without a column, `structure.time` is the order of the rows itself.

    Then what only shows in the target of the training rows; no split follows it unasked.
    """
    found = table.structure
    if found is not None:
        yield from seen(found, table)
    if table.probe is not None:
        from forgeline.engine import alike, structure

        shows = alike.shows(table.train_cells, table.probe, found or structure.Structure())
        yield from (alike_in_target(one, table) for one in shows.groups)
        yield from (moved(one, table) for one in shows.times)


def seen(found: Structure, table: View) -> Iterator[Finding]:
    """What the features show."""
    if found.group:
        yield group(found, table)
    if found.time:
        yield time(found, table)
    elif found.row_order:
        yield Finding(
            code="structure.time",
            severity="note",
            says="rows that follow one another in the file resemble each other, and no column says why: if the order "
            "is time, a column that tells it makes an honest split possible",
            numbers={"resemblance": found.row_order},
        )


def group(found: Structure, table: View) -> Finding:
    """The entities."""
    says = (
        f"{found.group} names {found.entities:,} entities of {found.rows_per_entity:.3g} rows each on average (sure: "
        f"{found.group_sure:.0%}); {follows(found.group, table.group, table.time, found.panel, table.test is not None)}"
    )
    return Finding(
        code="structure.group",
        severity="note",
        says=says,
        columns=[found.group],
        numbers={
            "sure": found.group_sure,
            "entities": found.entities,
            "rows_per_entity": found.rows_per_entity,
            "resemblance": found.resemblance,
        },
        fix=Fix(do="split", columns=[found.group], says="keep the rows of an entity on one side"),
    )


def time(found: Structure, table: View) -> Finding:
    """The order in time."""
    says = (
        f"rows are in time by {found.time}: {found.moments:,} moments (sure: {found.time_sure:.0%}); "
        f"{follows(found.time, table.time, table.group, found.panel, table.test is not None)}"
    )
    panel = {"persistence": found.persistence} if found.panel else {}
    return Finding(
        code="structure.time",
        severity="note",
        says=says,
        columns=[found.time],
        numbers={"sure": found.time_sure, "moments": found.moments} | panel,
        fix=Fix(do="split", columns=[found.time], says="test on the latest rows"),
    )


def alike_in_target(one: Shown, table: View) -> Finding:
    """Entities that the target shows."""
    rows_each = float(table.train_cells.levels(one.name).counts.mean())
    alike = f"rows of one {one.name} are alike in {table.target_name}"
    says = (
        (f"each {one.name} has its own {', '.join(one.own[:3])}, and {alike}" if one.own else alike)
        + f": it explains {one.effect:.1%} of the variance beyond chance (p = {one.chance:.2g}), with {one.levels:,} "
        f"values of {rows_each:.3g} rows each on average (sure: {one.sure:.0%}); "
        f"{asked(one.name, table.group, table.time, table.test is not None)}"
    )
    return Finding(
        code="structure.group",
        severity="note",
        says=says,
        columns=[one.name, *one.own[:3]],
        numbers={"sure": one.sure, "effect": one.effect, "chance": one.chance, "entities": one.levels}
        | {"rows_per_entity": rows_each},
        fix=Fix(do="split", columns=[one.name], says=f'[split] by = "{one.name}" keeps its rows on one side'),
    )


def moved(one: Shown, table: View) -> Finding:
    """A time along which the target moves."""
    says = (
        f"{table.target_name} moves along {one.name}, which explains {one.effect:.1%} of its variance beyond chance: "
        f"{one.levels:,} moments (sure: {one.sure:.0%}); "
        f"{asked(one.name, table.time, table.group, table.test is not None)}"
    )
    return Finding(
        code="structure.time",
        severity="note",
        says=says,
        columns=[one.name],
        numbers={"sure": one.sure, "effect": one.effect, "chance": one.chance, "moments": one.levels},
        fix=Fix(do="split", columns=[one.name], says=f'[split] by = "{one.name}" tests on the latest rows'),
    )


def asked(column: str, force: str, other: str, file: bool) -> str:
    """What the split in force does about it, and how to ask for another."""
    says = follows(column, force, other, False, file)
    return says if file or column == force else f'{says}; [split] by = "{column}" would'


def follows(column: str, force: str, other: str, panel: bool, file: bool) -> str:
    """What the split in force does about it; nothing where a test file was given."""
    if file:
        return "the rows of the test file decide"
    if column == force:
        return "the split follows it"
    if force or other:
        return f"the split goes by {force or other}" + (": the entities are seen over time" if panel else "")
    return "the split does not follow it"
