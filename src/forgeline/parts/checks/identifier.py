"""Columns that name rows instead of describing them (keys, counters): a model would learn them by heart."""

import re
from collections.abc import Iterator

import polars as pl

from forgeline.kinds import View
from forgeline.records import Finding, Fix

KEY_NAME = re.compile(r"(?:^|[^A-Za-z])(?i:id|uuid|guid|key)$|[a-z](?:Id|ID|Key)$")
"""`id`, `user_id`, `customerID`; not `paid`, `monkey`."""


def check(
    table: View, target: pl.Series | None, *, least_rows: int = 50, least_distinct: float = 0.95
) -> Iterator[Finding]:
    """`quality.identifier`: texts and whole numbers of which (almost) every row has its own."""
    for name in table.all.columns:
        values = table.all[name].drop_nulls()
        if len(values) < least_rows or not (values.dtype == pl.String or values.dtype.is_integer()):
            continue
        distinct = values.n_unique()
        if distinct >= least_distinct * len(values) and (values.dtype == pl.String or key(values, distinct)):
            yield finding(name, distinct, len(values))


def key(values: pl.Series, distinct: int) -> bool:
    """Whether whole numbers repeat so seldom that it must be on purpose.

    n numbers that fall anywhere between the smallest and the largest make about n²/2 ÷ range equal pairs; keys
    make almost none. Where few are to be expected anyway, the name decides.
    """
    repeats = len(values) - distinct
    span = float(values.max()) - float(values.min()) + 1  # type: ignore[arg-type]  # integers, never null
    expected = len(values) * (len(values) - 1) / 2 / span
    by_design = expected >= 10 and repeats <= expected / 10
    return by_design or (repeats == 0 and KEY_NAME.search(values.name) is not None)


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
