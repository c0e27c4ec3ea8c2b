"""Rows that repeat an earlier row exactly."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import duplicates
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.duplicate",)


def check(
    table: View, target: pl.Series | None, *, warn_share: float = 0.01, least_share: float = 0.002
) -> Iterator[Finding]:
    """`quality.duplicate`: each repeat of an earlier row; score is how many rows share its values.

    Training rows must also agree in the target; the target of sealed rows is not looked at. Where rows with few
    possible values are bound to meet, repeats are a note and there is nothing to mend; so they are below
    `least_share` of the rows, where chance is not worked out. Others are a warning from `warn_share` on.
    """
    if not table.all.width:
        return
    known = None if target is None else known_target(table, target)
    repeats = duplicates.repeats(table.cells, known, least_share=least_share)
    later, share = repeats.later, len(repeats.later) / max(table.all.height, 1)
    if not len(later):
        return
    numbers = {"repeats": float(len(later)), "share": share}
    if not np.isnan(repeats.chance):
        numbers |= {"chance": repeats.chance, "beyond_chance": repeats.beyond}
    beyond = bool(repeats.beyond > 0)
    says = f"{len(later):,} of {table.all.height:,} rows repeat an earlier row"
    if not beyond and 2 * repeats.chance >= len(later):
        says += f"; chance alone would bring about {repeats.chance:,.0f}, as few values are possible"
    yield Finding(
        code="quality.duplicate",
        severity="warn" if beyond and share >= warn_share else "note",
        says=says,
        rows=table.keep_rows(later, repeats.copies_N[later]),
        numbers=numbers,
        fix=Fix(do="drop_rows", says="keep the first of equal training rows") if beyond else None,
    )


def known_target(table: View, target: pl.Series) -> pl.Series:
    """The target of training rows beside all rows; null for the others."""
    place = np.full(table.all.height, -1)
    place[table.train_ids] = np.arange(len(target))
    known = pl.Series(place).replace(-1, None)
    return target.gather(known).alias(f"{table.target_name} (target)")
