"""Columns with missing values, and columns that hold nothing at all."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.kinds import View
from forgeline.records import Finding, Fix, Rows

codes = ("quality.missing",)


def check(
    table: View, target: pl.Series | None, *, warn_above: float = 0.4, most_rows: int = 100_000
) -> Iterator[Finding]:
    """`quality.missing`: a note for each column with gaps, a warning above the share `warn_above`.

    The rows are counted, and named up to `most_rows` of them.
    """
    for name in table.all.columns:
        missing = table.cells.missing(name)
        if missing == table.cells.rows:
            yield empty(name, missing)
        elif missing:
            yield gaps(table, name, missing, warn_above, most_rows)


def gaps(table: View, name: str, missing: int, warn_above: float, most_rows: int) -> Finding:
    """The finding of a column that is missing in some rows."""
    share = missing / table.cells.rows
    rows = Rows(count=missing)
    if missing <= most_rows:
        rows = table.keep_rows(np.flatnonzero(table.all[name].is_null().to_numpy()), np.ones(missing))
    return Finding(
        code="quality.missing",
        severity="warn" if share > warn_above else "note",
        says=f"{name} is missing in {missing:,} of {table.cells.rows:,} rows ({share:.1%})",
        columns=[name],
        rows=rows,
        numbers={"missing": missing, "share": share},
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
