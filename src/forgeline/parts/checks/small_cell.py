"""Protected groups and intersections with too few rows to judge: they are named, and nothing is said of them."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import groups
from forgeline.engine.groups import Grouping
from forgeline.kinds import View
from forgeline.records import Finding

codes = ("bias.small_cell",)
needs = ("protected",)

MOST_NAMED = 8
"""Groups named in a sentence and among the numbers."""


def check(table: View, target: pl.Series | None, *, least_rows: int = groups.LEAST_ROWS) -> Iterator[Finding]:
    """`bias.small_cell`: groups of fewer than `least_rows` training rows, one finding an attribute.

    One more names the intersections of two attributes whose groups are large enough one by one.
    """
    singles = groups.groupings(table.train_cells, table.protected)
    small = {one.attribute: few(one, least_rows) for one in singles}
    for one in singles:
        if cells := small[one.attribute]:
            rows = [(one.names[at], int(one.rows_G[at])) for at in cells]
            yield refused(one.attribute, [one.attribute], rows, least_rows)
    by_name = {one.attribute: one for one in singles}
    crossed: list[tuple[str, int]] = []
    columns: dict[str, None] = {}
    for both in groups.intersections(singles):
        cells = [at for at in few(both, least_rows) if parts_suffice(both, at, by_name, small)]
        crossed += [(f"{both.attribute} = {both.names[at]}", int(both.rows_G[at])) for at in cells]
        columns |= dict.fromkeys(both.columns if cells else ())
    if crossed:
        yield refused("intersections", list(columns), sorted(crossed, key=lambda cell: cell[1]), least_rows)


def few(grouping: Grouping, least_rows: int) -> list[int]:
    """Places of the groups with too few rows, the smallest first."""
    rows_G = grouping.rows_G
    places = [int(at) for at in np.flatnonzero((rows_G > 0) & (rows_G < least_rows)) if at not in grouping.missing]
    return sorted(places, key=lambda at: (rows_G[at], grouping.names[at]))


def parts_suffice(both: Grouping, at: int, by_name: dict[str, Grouping], small: dict[str, list[int]]) -> bool:
    """Whether each attribute's group of an intersection has enough rows by itself."""
    row = int((both.code_N == at).argmax())
    return all(int(by_name[name].code_N[row]) not in small[name] for name in both.columns)


def refused(what: str, columns: list[str], cells: list[tuple[str, int]], least_rows: int) -> Finding:
    """Says which groups, with so many rows, are not judged."""
    named = ", ".join(f"{name} ({rows})" for name, rows in cells[:MOST_NAMED])
    more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
    return Finding(
        code="bias.small_cell",
        severity="note",
        says=f"{what}: not judged, fewer than {least_rows} training rows: {named}{more}; "
        "more rows of them are needed, or groups that may be joined",
        columns=columns,
        numbers={
            "cells": float(len(cells)),
            "rows": float(sum(rows for _, rows in cells)),
            **{f"rows {name}": float(rows) for name, rows in cells[:MOST_NAMED]},
        },
    )
