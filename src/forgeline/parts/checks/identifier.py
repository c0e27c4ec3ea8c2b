"""Columns that name rows instead of describing them (keys, counters): a model would learn them by heart."""

import re
from collections.abc import Iterator

import polars as pl

from forgeline.engine import prose
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.identifier",)

KEY_NAME = re.compile(r"(?:^|[^A-Za-z])(?i:id|uuid|guid|key)$|[a-z](?:Id|ID|Key)$")
"""`id`, `user_id`, `customerID`; not `paid`, `monkey`."""


def check(
    table: View, target: pl.Series | None, *, least_rows: int = 50, least_distinct: float = 0.95
) -> Iterator[Finding]:
    """`quality.identifier`: texts, but for free text, and whole numbers of which (almost) every row has its own."""
    cells = table.cells
    for name in table.all.columns:
        rows = cells.rows - cells.missing(name)
        if rows < least_rows or not (cells.is_text(name) or table.all[name].dtype.is_integer()):
            continue
        distinct = cells.distinct(name)
        if distinct < least_distinct * rows:
            continue
        text = cells.is_text(name)
        if (text and not prose.is_free(cells.levels(name))) or (not text and key(table, name, distinct, rows)):
            yield finding(name, distinct, rows)


def key(table: View, name: str, distinct: int, rows: int) -> bool:
    """Whether whole numbers repeat so seldom that it must be on purpose.

    n numbers that fall anywhere between the smallest and the largest make about n²/2 ÷ range equal pairs; keys
    make almost none. Where few are to be expected anyway, the name decides.
    """
    repeats = rows - distinct
    ordered_N = table.cells.ordered(name)
    expected = rows * (rows - 1) / 2 / (ordered_N[-1] - ordered_N[0] + 1)
    by_design = expected >= 10 and repeats <= expected / 10
    return bool(by_design) or (repeats == 0 and KEY_NAME.search(name) is not None)


def finding(name: str, distinct: int, rows: int) -> Finding:
    """A warning when no value repeats, else a note."""
    return Finding(
        code="quality.identifier",
        severity="warn" if distinct == rows else "note",
        says=f"{name} names rows instead of describing them: {distinct:,} values in {rows:,} rows",
        columns=[name],
        numbers={"distinct": distinct, "rows": rows},
        fix=Fix(do="drop", columns=[name], says="or name it in [snapshot] keep"),
    )
