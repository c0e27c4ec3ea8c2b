"""Columns that hold one value in every row: nothing can be learned from them."""

from collections.abc import Iterator

import polars as pl

from forgeline.engine.identities import personal
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.constant",)


def check(table: View, target: pl.Series | None) -> Iterator[Finding]:
    """`quality.constant`. A value beside gaps is no constant: the gaps may say something."""
    for name in table.all.columns:
        if constant(table, name):
            value = table.all[name][0]
            shown = "the same picture" if table.cells.is_picture(name) else personal(value, name) or value
            yield Finding(
                code="quality.constant",
                severity="note",
                says=f"{name} is {shown} in every row",
                columns=[name],
                fix=Fix(do="drop", columns=[name], says="it never varies"),
            )


def constant(table: View, name: str) -> bool:
    """Whether every row holds the same value, and it is not missing; the first rows settle most columns."""
    cells = table.cells
    if cells.rows < 2 or cells.missing(name):
        return False
    return table.all[name].head(100).n_unique() == 1 and cells.distinct(name) == 1
