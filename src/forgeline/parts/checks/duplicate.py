"""Rows that repeat an earlier row exactly."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import split
from forgeline.kinds import View
from forgeline.records import Finding, Fix


def check(table: View, target: pl.Series | None) -> Iterator[Finding]:
    """`quality.duplicate`: each repeat of an earlier row; score is how many rows share its values.

    Training rows must also agree in the target; the target of sealed rows is not looked at. Equal rows are on
    the same side of the split, so the two never mix.
    """
    frame = table.all if target is None else table.all.with_columns(known_target(table, target))
    _, first, position, copies = np.unique(
        split.keys(frame, frame.columns), return_index=True, return_inverse=True, return_counts=True
    )
    later = np.flatnonzero(first[position] != np.arange(frame.height))
    if not len(later):
        return
    yield Finding(
        code="quality.duplicate",
        severity="note",
        says=f"{len(later):,} of {frame.height:,} rows repeat an earlier row",
        rows=table.keep_rows(later, copies[position[later]]),
        numbers={"repeats": len(later), "share": len(later) / frame.height},
        fix=Fix(do="drop_rows", says="keep the first of equal training rows"),
    )


def known_target(table: View, target: pl.Series) -> pl.Series:
    """The target of training rows beside all rows; null for the others."""
    place = np.full(table.all.height, -1)
    place[table.train_ids] = np.arange(len(target))
    known = pl.Series(place).replace(-1, None)
    return target.gather(known).alias(f"{table.target_name} (target)")
