"""E-mail addresses, phone, card and national numbers and the like; no value of theirs is ever shown."""

import re
from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine.cells import Levels
from forgeline.engine.identities import LEAST_NUMBER, found
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("privacy.identifier",)

PERSON_NAME = re.compile(
    r"(?i)^(?:(?:first|last|full|given|middle|family|maiden|person|customer|patient|passenger)[ _.-]?name"
    r"|surname|forename|name)s?$"
)
PERSON = r"^[\p{Lu}][\p{L}'.-]+(?:[ ,]+[\p{L}(\"'.-]+){0,6}[)\"]?$"


def check(
    table: View,
    target: pl.Series | None,
    *,
    least_values: int = 3,
    least_share: float = 0.003,
    least_integers: int = 20,
    most_proved: int = 500,
) -> Iterator[Finding]:
    """`privacy.identifier`: one finding a column, of all kinds together; names of people and a few cells are notes.

    least_values, least_share: distinct values, and share of the rows, that make a finding; of whole numbers half
    of the rows and `least_integers` values, of one kind. most_proved: candidates whose check digits are worked out.
    """
    for name in table.all.columns:
        if table.cells.is_text(name):
            yield from of_texts(table, name, least_values, least_share, most_proved)
        elif table.cells.is_number(name):
            yield from of_numbers(table, name, least_integers, most_proved)


def of_texts(table: View, name: str, least_values: int, least_share: float, most_proved: int) -> Iterator[Finding]:
    """What a column of texts holds."""
    levels = table.cells.levels(name)
    kinds = found(name, levels, True, most_proved)
    hit_L = any_of(kinds, len(levels))
    rows = int(levels.counts[hit_L].sum())
    if hit_L.sum() >= least_values and rows >= least_share * levels.counts.sum():
        yield finding(table, name, list(kinds), hit_L, rows, rows / int(levels.counts.sum()))
    elif people(name, levels):
        yield person(name, levels)
    elif rows:
        yield few(table, name, list(kinds), int(hit_L.sum()), table.cells.where(name, hit_L))


def of_numbers(
    table: View, name: str, least_integers: int, most_proved: int, *, least_part: float = 0.5
) -> Iterator[Finding]:
    """What a column of numbers holds; only whole ones, and large, can be anything."""
    most = table.all[name].max()
    if most is None or not most >= LEAST_NUMBER:  # type: ignore[operator]  # it is a number
        return
    if table.cells.dtypes[name].is_integer():
        levels = table.cells.levels(name)
        kinds = found(name, levels, False, most_proved) if len(levels) >= least_integers else {}
        hit_L = any_of(kinds, len(levels))
        share = int(levels.counts[hit_L].sum()) / int(levels.counts.sum())
        if hit_L.sum() >= least_integers and share >= least_part:
            yield finding(table, name, list(kinds), hit_L, int(levels.counts[hit_L].sum()), share)
            return
    yield from few_numbers(table, name, most_proved)


def any_of(kinds: dict[str, np.ndarray], count: int) -> np.ndarray:
    """Which levels are of any kind, bool [L]."""
    return np.logical_or.reduce(list(kinds.values())) if kinds else np.zeros(count, bool)


def few_numbers(table: View, name: str, most_proved: int, *, most_large: int = 10_000) -> Iterator[Finding]:
    """The note of numbers that are personal by their check digits; a column of many large numbers is one of keys."""
    value_N = table.all[name]
    large_N = ((value_N >= LEAST_NUMBER) & (value_N < 2.0**63) & (value_N == value_N.floor())).fill_null(False)
    large = value_N.filter(large_N).cast(pl.Int64).alias("value")
    if not len(large) or large.head(2 * most_large).n_unique() > most_large:
        return
    counted = large.value_counts(name="rows").sort("value")
    if counted.height > most_large:
        return
    levels = Levels(counted["value"], counted["rows"].cast(pl.Int64).to_numpy())
    kinds = found("", levels, False, most_proved)  # a name alone proves nothing of a few
    if kinds:
        hits = levels.values.filter(any_of(kinds, len(levels))).cast(value_N.dtype)
        yield few(table, name, list(kinds), len(hits), value_N.is_in(hits.implode()).arg_true().to_numpy())


def finding(table: View, name: str, kinds: list[str], hit_L: np.ndarray, rows: int, share: float) -> Finding:
    """The warning of one column; its rows where it is not all of them."""
    at_N = table.cells.where(name, hit_L) if share < 0.95 else None
    more = f" and {len(kinds) - 3} more kinds" if len(kinds) > 3 else ""
    return Finding(
        code="privacy.identifier",
        severity="warn",
        says=f"{name} holds {', '.join(kinds[:3])}{more} in {share:.1%} of its values",
        columns=[name],
        rows=table.keep_rows(at_N, np.ones(len(at_N))) if at_N is not None else None,
        numbers={"values": int(hit_L.sum()), "rows": rows, "share": share},
        fix=Fix(do="drop", columns=[name], says="or replace its values before they come here"),
    )


def few(table: View, name: str, kinds: list[str], values: int, rows: np.ndarray) -> Finding:
    """The note of a few cells; the column itself may stay, so nothing is proposed."""
    cells = "1 cell" if len(rows) == 1 else f"{len(rows):,} cells"
    return Finding(
        code="privacy.identifier",
        severity="note",
        says=f"{name} holds {', '.join(kinds[:3])} in {cells} of {table.cells.rows - table.cells.missing(name):,}",
        columns=[name],
        rows=table.keep_rows(rows, np.ones(len(rows))),
        numbers={"values": values, "rows": len(rows), "share": len(rows) / table.cells.rows},
    )


def people(name: str, levels: Levels, *, least_levels: int = 30, least_share: float = 0.8) -> bool:
    """Whether a column that is named for people's names holds many words like names."""
    if len(levels) < least_levels or not PERSON_NAME.match(name):
        return False
    return float(np.mean(levels.values.str.contains(PERSON).to_numpy())) >= least_share


def person(name: str, levels: Levels) -> Finding:
    """The note of a column of names."""
    return Finding(
        code="privacy.identifier",
        severity="note",
        says=f"{name} seems to hold names of people: {len(levels):,} different ones",
        columns=[name],
        numbers={"values": len(levels)},
        fix=Fix(do="drop", columns=[name]),
    )
