"""Numbers far outside the rest of their column that its own tail does not account for."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine.conversions import Outside
from forgeline.engine.empirical import member
from forgeline.engine.outliers import outside
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.outlier",)


def check(table: View, target: pl.Series | None, *, warn_from: float = 0.005) -> Iterator[Finding]:
    """`quality.outlier`: a warning from the share `warn_from` of the rows, else a note; score is how far out.

    Far is beyond an empty stretch that a tail as heavy as the bulk's would not have, and nothing in the other columns
    sets those rows apart (`engine.outliers`). Rows in another unit are `quality.scale`; one value repeated far out is a
    hidden marker, not an outlier. What a heavy tail hides cannot be seen.
    Of very many columns the first are looked at.
    """
    for name in table.cells.first:
        found = outside(table.cells, name) if table.cells.is_number(name) else None
        if found is not None and found.conversion is None:
            yield far(table, name, found, warn_from)


def far(table: View, name: str, found: Outside, warn_from: float) -> Finding:
    """The finding of one column."""
    value_N = table.cells.numbers(name)
    rows = np.flatnonzero(member(value_N, found.value_V, found.far_V))
    bulk_V, _ = found.bulk()
    score_N = found.distance(value_N[rows])
    low, high = float(bulk_V[0]), float(bulk_V[-1])
    return Finding(
        code="quality.outlier",
        severity="warn" if len(rows) >= warn_from * table.all.height else "note",
        says=f"{name} is far from the rest in {len(rows):,} of {table.all.height:,} rows: "
        f"the others lie from {low:.6g} to {high:.6g}",
        columns=[name],
        rows=table.keep_rows(rows, score_N),
        numbers={
            "outliers": len(rows),
            "share": len(rows) / table.all.height,
            "low": low,
            "high": high,
            "farthest": float(score_N.max()),
        },
        fix=Fix(do="drop_rows", columns=[name], says="mend these cells by hand, or leave the rows out"),
    )
