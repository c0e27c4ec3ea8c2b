"""Pictures that look like an earlier one: the same file again, another size, a little brighter, saved once more.

Blank and tiny pictures all look alike, and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from forgeline.engine import pictures, prose
from forgeline.engine.pictures import Picture
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("image.near_duplicate",)


def check(
    table: View,
    target: pl.Series | None,
    *,
    most_pictures: int = 5_000,
    least_rows: int = 3,
    most_bits: int = 6,
    least_side: int = 32,
    least_spread: float = 6.0,
    most_share: float = 0.5,
) -> Iterator[Finding]:
    """`image.near_duplicate`: pictures whose perceptual hashes are at most `most_bits` of 64 from an earlier one's.

    Of more than `most_pictures` an even sample is compared. least_side, least_spread: pixels and standard deviation
    of colour of a picture that can be told from others. most_share: where more are like another, as frames of one
    film are, hashes tell nothing.
    """
    if not pictures.has_pillow():
        return
    for name in table.all.columns:
        paths = table.cells.is_text(name) and pictures.are_paths(table.cells.levels(name))
        if not (paths or table.cells.is_picture(name)):
            continue
        places, good = told(table, name, most_pictures, least_side, least_spread)
        pairs = pictures.alike(good, most_bits=most_bits)
        later = np.unique(pairs[:, 1])
        if not len(later) or len(later) > most_share * len(good):
            continue
        rows = table.cells.where(name, places[later])
        yield Finding(
            code="image.near_duplicate",
            severity="warn" if len(rows) >= least_rows else "note",
            says=f"{len(later):,} of {len(good):,} pictures in {name} look like an earlier one",
            columns=[name],
            rows=table.keep_rows(rows, np.ones(len(rows))),
            numbers={"cells": len(rows), "pictures": len(later), "compared": len(good)},
            fix=Fix(do="drop_rows", says="keep the first of each, or all on one side of the split"),
        )


def told(
    table: View, name: str, most_pictures: int, least_side: int, least_spread: float
) -> tuple[np.ndarray, list[Picture]]:
    """Levels whose pictures can be told from others, in order of their first row, and their pictures."""
    values = table.cells.levels(name).values
    some = prose.evenly(len(values), most_pictures)
    _, first = np.unique(table.cells.codes(name), return_index=True)
    some = some[np.argsort(first[-len(values) :][some])]  # the code of missing cells comes before all levels
    found = []
    if table.cells.is_picture(name):
        measured = pictures.measure_all(values.gather(some).cast(pl.String).to_list(), table.pictures)
    else:
        places = pictures.located(values.gather(some).to_list(), table.base)
        measured = [pictures.measure(path) if path else "" for path in places]
    for at, one in zip(some.tolist(), measured):
        if isinstance(one, Picture) and min(one.width, one.height) >= least_side and one.spread >= least_spread:
            found.append((at, one))
    return np.array([at for at, _ in found], np.int64), [one for _, one in found]
