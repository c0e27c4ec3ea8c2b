"""Columns that hold one value in every row: nothing can be learned from them."""

from collections.abc import Iterator

import polars as pl

from forgeline.kinds import View
from forgeline.records import Finding, Fix


def check(table: View, target: pl.Series | None) -> Iterator[Finding]:
    """`quality.constant`. A value beside gaps is no constant: the gaps may say something."""
    for name in table.all.columns:
        if constant(table.all[name]):
            yield Finding(
                code="quality.constant",
                severity="note",
                says=f"{name} is {table.all[name][0]} in every row",
                columns=[name],
                fix=Fix(do="drop", columns=[name], says="it never varies"),
            )


def constant(values: pl.Series) -> bool:
    """Whether every row holds the same value, and it is not missing; the first rows settle most columns."""
    if len(values) < 2 or values.null_count():
        return False
    return values.head(1000).n_unique() == 1 and values.n_unique() == 1
