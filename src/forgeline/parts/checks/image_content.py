"""Pictures that cannot be read, are blank, dark, blurred, or of a size that is far from the rest.

For columns of pictures, and of paths of picture files. What is odd is told by the set itself.
Shapes: N pictures that were opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from forgeline.engine import pictures, prose
from forgeline.engine.pictures import Picture
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("image.blank", "image.blurred", "image.dark", "image.not_checked", "image.odd_size", "image.unreadable")


def check(
    table: View,
    target: pl.Series | None,
    *,
    most_pictures: int = 5_000,
    least_rows: int = 3,
    least_set: int = 20,
    most_spread: float = 3.0,
    most_mean: float = 35.0,
    most_of_usual: float = 0.45,
    least_blur: float = 0.8,
    least_stretch: float = 2.0,
    least_scale: float = 4.0,
    same_size: float = 0.9,
) -> Iterator[Finding]:
    """`image.unreadable`, `image.blank`, `image.dark`, `image.blurred`, `image.odd_size`: what is wrong with pictures.

    Fewer rows than `least_rows` are a note. Of more than `most_pictures` an even sample is opened. least_set: pictures
    from which the set tells what is usual. most_spread: standard deviation of colour, of 255, of a blank picture.
    most_mean, most_of_usual: luminance of a dark one, of 255 and of the set's median. least_blur: powers of ten that
    a blurred one is less sharp than the median. least_stretch, least_scale: times that sides are longer, in
    proportion and in length, than those of the median, in an odd size; where `same_size` of the pictures have one
    size, all others are odd.
    """
    for name in table.all.columns:
        paths = table.cells.is_text(name) and pictures.are_paths(table.cells.levels(name))
        if not (paths or table.cells.is_picture(name)):
            continue
        looked = look(table, name, most_pictures)
        if isinstance(looked, Finding):
            yield looked
            continue
        yield from looked.finding("unreadable", np.array(looked.broken, np.int64), "cannot be read", least_rows)
        blank_N = np.array([one.spread < most_spread for one in looked.good], bool)
        dark_N = dark(looked.good, blank_N, least_set, most_mean, most_of_usual)
        odd_N = odd_size(looked.good, least_set, least_stretch, least_scale, same_size)
        # Sharpness is a matter of scale as well: it is compared among pictures of about one size.
        blurred_N = blurred(looked.good, blank_N | dark_N | odd_N, least_set, least_blur)
        yield from looked.judged("blank", blank_N, "are blank", least_rows)
        yield from looked.judged("dark", dark_N, "are dark", least_rows)
        yield from looked.judged("blurred", blurred_N, "are blurred", least_rows)
        yield from looked.judged("odd_size", odd_N, "have a size far from the rest", least_rows)


@dataclass(frozen=True)
class Looked:
    """The pictures of a column that were opened."""

    table: View
    name: str
    opened: int
    broken: list[int]
    """Levels of the column."""
    places: np.ndarray
    """The level of each of `good`."""
    good: list[Picture]

    def judged(self, code: str, chosen_N: np.ndarray, says: str, least_rows: int) -> Iterator[Finding]:
        """The finding of some of the pictures that could be read."""
        yield from self.finding(code, self.places[chosen_N], says, least_rows)

    def finding(self, code: str, levels: np.ndarray, says: str, least_rows: int) -> Iterator[Finding]:
        """The rows of some pictures; nothing for none."""
        if not len(levels):
            return
        rows = self.table.cells.where(self.name, levels)
        every = len(self.table.cells.levels(self.name))
        of = f"{self.opened:,} pictures" if self.opened == every else f"an even sample of {self.opened:,} pictures"
        yield Finding(
            code=f"image.{code}",
            severity="warn" if len(rows) >= least_rows else "note",
            says=f"{len(levels):,} of {of} in {self.name} {says}",
            columns=[self.name],
            rows=self.table.keep_rows(rows, np.ones(len(rows))),
            numbers={
                "cells": len(rows),
                "pictures": len(levels),
                "opened": self.opened,
                "share": len(levels) / self.opened,
            },
            fix=Fix(do="drop_rows", says="look at them, and leave out those that are worth nothing"),
        )


def look(table: View, name: str, most_pictures: int) -> Looked | Finding:
    """Open the pictures of a column; a note where that is not possible."""
    base = table.base
    values = table.cells.levels(name).values
    some = prose.evenly(len(values), most_pictures)
    if not pictures.has_pillow():
        return not_checked(name, f"pictures are read with Pillow: {pictures.REMEDY}", len(values))
    if table.cells.is_picture(name):
        measured = pictures.measure_all(values.gather(some).cast(pl.String).to_list(), table.pictures)
    else:
        paths = pictures.located(values.gather(some).to_list(), base)
        if not any(path is not None and path.is_file() for path in paths):
            where = "the folder of the data" if base else "the folder, which is not known"
            return not_checked(name, f"none of the files is there, relative to {where}", len(values))
        # A missing file is as bad as a broken one, where others of the column are there.
        measured = [pictures.measure(path) if path else "the folder is not known" for path in paths]
    broken = [int(at) for at, one in zip(some, measured) if isinstance(one, str)]
    good = [(int(at), one) for at, one in zip(some, measured) if not isinstance(one, str)]
    return Looked(table, name, len(some), broken, np.array([at for at, _ in good], np.int64), [one for _, one in good])


def not_checked(name: str, why: str, values: int) -> Finding:
    """The note that pictures were not opened."""
    return Finding(
        code="image.not_checked",
        severity="note",
        says=f"{name} names {values:,} pictures, which were not looked at: {why}",
        columns=[name],
        numbers={"pictures": values},
    )


# ---------------------------------------------------------------- what is odd


def dark(
    good: list[Picture], blank_N: np.ndarray, least_set: int, most_mean: float, most_of_usual: float
) -> np.ndarray:
    """Dark in itself and beside the rest, on average and in its brightest parts: a black ground is not enough."""
    mean_N = np.array([one.mean for one in good])
    bright_N = np.array([one.bright for one in good])
    dark_N = (mean_N <= most_mean) & (bright_N <= 2 * most_mean) & ~blank_N
    if len(good) < least_set:
        return np.asarray(dark_N & (bright_N <= most_mean))
    dark_N &= mean_N <= most_of_usual * np.median(mean_N)
    return np.asarray(dark_N & (bright_N <= most_of_usual * np.median(bright_N)))


def blurred(good: list[Picture], left_out_N: np.ndarray, least_set: int, least_blur: float) -> np.ndarray:
    """Much less sharp than the median, and beyond what the sharper half of the set differs from it."""
    sharp_N = np.array([one.sharpness for one in good])
    told_N = np.isfinite(sharp_N) & ~left_out_N
    if told_N.sum() < least_set:
        return np.zeros(len(good), bool)
    low, middle, high = np.quantile(sharp_N[told_N], [0.25, 0.5, 0.75])
    width = max(high - middle, min(middle - low, 2 * (high - middle)), 0.05) / 0.6745
    return np.asarray(told_N & (np.nan_to_num(sharp_N, nan=np.inf) <= middle - max(least_blur, 3.0 * width)))


def odd_size(
    good: list[Picture], least_set: int, least_stretch: float, least_scale: float, same_size: float
) -> np.ndarray:
    """Of another size where nearly all have one; else much larger, smaller or longer than most are."""
    if len(good) < least_set:
        return np.zeros(len(good), bool)
    size_N2 = np.array([(one.width, one.height) for one in good], np.float64)
    _, kind_N, count = np.unique(size_N2, axis=0, return_inverse=True, return_counts=True)
    kind_N = kind_N.ravel()
    if count.max() >= same_size * len(good):
        return np.asarray(kind_N != count.argmax())
    scale_N = np.log(size_N2).mean(axis=1)
    stretch_N = np.abs(np.log(size_N2[:, 0] / size_N2[:, 1]))
    stretched_N = far(np.maximum(stretch_N, np.median(stretch_N)), np.log(least_stretch))
    return np.asarray(far(scale_N, np.log(least_scale)) | stretched_N)


def far(value_N: np.ndarray, least: float, *, deviations: float = 4.0) -> np.ndarray:
    """Further from the median than `least`, and than `deviations` robust standard deviations."""
    away_N = np.abs(value_N - np.median(value_N))
    return np.asarray(away_N >= max(least, deviations * 1.4826 * float(np.median(away_N))))
