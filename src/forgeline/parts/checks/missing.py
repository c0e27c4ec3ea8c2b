"""Columns with missing values, and columns that hold nothing at all."""

from collections.abc import Iterator

import polars as pl

from forgeline.kinds import View
from forgeline.records import Finding, Fix


def check(table: View, target: pl.Series | None, *, warn_above: float = 0.4) -> Iterator[Finding]:
    """`quality.missing`: a note for each column with gaps, a warning above the share `warn_above`."""
    rows = table.all.height
    for name in table.all.columns:
        missing = table.all[name].null_count()
        if missing == rows:
            yield empty(name, rows)
        elif missing:
            yield Finding(
                code="quality.missing",
                severity="warn" if missing > warn_above * rows else "note",
                says=f"{name} is missing in {missing:,} of {rows:,} rows ({missing / rows:.1%})",
                columns=[name],
                numbers={"missing": missing, "share": missing / rows},
            )


def empty(name: str, rows: int) -> Finding:
    """The finding of a column without a single value."""
    return Finding(
        code="quality.missing",
        severity="warn",
        says=f"{name} is missing in every one of {rows:,} rows",
        columns=[name],
        numbers={"missing": rows, "share": 1.0},
        fix=Fix(do="drop", columns=[name], says="it holds nothing"),
    )
