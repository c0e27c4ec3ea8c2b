"""What the cells of each column hold, worked out once however many checks ask.

Shapes: N rows, L distinct values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from forgeline.engine import split

WIDE = 300
"""Columns that costly looks are for; of a wider table they see the first."""


@dataclass(frozen=True)
class Levels:
    """The distinct values of a column, missing ones left out: the commonest first, ties in order."""

    values: pl.Series
    counts: np.ndarray
    """int64 [L]."""

    def __len__(self) -> int:
        return len(self.counts)


def physical(series: pl.Series) -> pl.Series:
    """Numbers as they are, dates as microseconds; polars takes a while to find out that nothing is to be done."""
    return series if series.dtype.is_numeric() else series.to_physical()


def cell_hashes(values: pl.Series) -> np.ndarray:
    """A hash of each cell, salted with the column's name so that they may be summed over columns, uint64 [N]."""
    return split.mix(split.bits(values) ^ np.uint64(split.text_hash(f"column {values.name}")))


class Cells:
    """Facts about the columns of one frame; each is worked out when first asked for, and kept."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.rows = frame.height
        self.names = frame.columns
        self.first = self.names[:WIDE]
        self.dtypes = dict(frame.schema)  # asked of polars once: it lists all columns each time
        self.missing = cache(self._missing)
        self.levels = cache(self._levels)
        self.codes = cache(self._codes)
        self.numbers = cache(self._numbers)
        self.ordered = cache(self._ordered)
        self.distinct = cache(self._distinct)
        self.first_sums = cache(self._first_sums)
        self.row_sums = cache(self._row_sums)

    def _missing(self, name: str) -> int:
        """How many cells of a column are missing."""
        return int(self.frame[name].null_count())

    def _distinct(self, name: str) -> int:
        """How many different values a column has, missing not counted."""
        series = self.frame[name]
        if series.dtype.is_float():
            ordered_N = self.ordered(name)
            infinite = int(series.is_infinite().any()) if len(ordered_N) < self.rows - self.missing(name) else 0
            return int((np.diff(ordered_N) > 0).sum()) + (len(ordered_N) > 0) + infinite
        return int(series.n_unique()) - (self.missing(name) > 0)

    def _levels(self, name: str) -> Levels:
        """Distinct values and how often each occurs."""
        present = self.frame[name]
        present = (present.drop_nulls() if present.null_count() else present).alias("value")
        if present.dtype.is_numeric() or present.dtype == pl.Datetime:
            values, counts = np.unique(physical(present).to_numpy(), return_counts=True)
            order = np.argsort(-counts, kind="stable")
            return Levels(pl.Series(values[order]).cast(present.dtype), counts[order].astype(np.int64))
        counted = present.value_counts(name="rows").sort(["rows", "value"], descending=[True, False])
        return Levels(counted["value"], counted["rows"].cast(pl.Int64).to_numpy())

    def _codes(self, name: str) -> np.ndarray:
        """int32 [N]: each cell's place among the levels, -1 where missing."""
        series, values = self.frame[name], self.levels(name).values
        if not len(values):
            return np.full(self.rows, -1, np.int32)
        if series.dtype in (pl.String, pl.Binary):
            codes = series.cast(pl.String).cast(pl.Enum(values.cast(pl.String))).to_physical().cast(pl.Int32)
            return np.asarray(codes.fill_null(-1).to_numpy())
        physical = series.to_physical()
        order = np.argsort(values.to_physical().to_numpy(), kind="stable").astype(np.int32)
        filled = physical.fill_null(values.to_physical()[0]).to_numpy()
        place_N = order[np.searchsorted(values.to_physical().to_numpy()[order], filled)]
        place_N[series.is_null().to_numpy()] = -1
        return place_N

    def _numbers(self, name: str) -> np.ndarray:
        """float64 [N] of a number, date (microseconds) or true/false column; NaN where missing or infinite."""
        series = physical(self.frame[name])
        value_N = np.array(series.cast(pl.Float64).to_numpy())  # null becomes NaN
        value_N[np.isinf(value_N)] = np.nan
        return value_N

    def _ordered(self, name: str) -> np.ndarray:
        """The finite numbers of a column, sorted, float64."""
        value_N = self.numbers(name)
        return np.sort(value_N[~np.isnan(value_N)])

    def _first_sums(self) -> np.ndarray:
        """The sum of the hashes of each row's cells in the first columns, uint64 [N]."""
        return self.summed(self.first, np.zeros(self.rows, np.uint64))

    def _row_sums(self) -> np.ndarray:
        """The same of all columns."""
        return self.summed(self.names[WIDE:], self.first_sums())

    def summed(self, names: list[str], total_N: np.ndarray) -> np.ndarray:
        """Sums of hashes, those of the cells of some columns added, uint64 [N]."""
        for name in names:
            total_N = total_N + cell_hashes(self.frame[name])
        return total_N

    def first_keys(self) -> np.ndarray:
        """Equal where rows are in the first columns, uint64 [N]."""
        return split.mix(self.first_sums())

    def row_keys(self, beside: pl.Series | None = None) -> np.ndarray:
        """Equal where whole rows are, and their cells of a column `beside` these, uint64 [N]; see `split.keys`."""
        sum_N = self.row_sums()
        return split.mix(sum_N if beside is None else sum_N + cell_hashes(beside))

    def is_text(self, name: str) -> bool:
        """Whether a column holds text."""
        return bool(self.dtypes[name] == pl.String)

    def is_number(self, name: str) -> bool:
        """Whether a column holds numbers; dates and true/false are none."""
        return bool(self.dtypes[name].is_numeric())

    def is_date(self, name: str) -> bool:
        """Whether a column holds dates."""
        return bool(self.dtypes[name] == pl.Datetime)

    def is_picture(self, name: str) -> bool:
        """Whether a column names pictures."""
        return bool(self.dtypes[name] == pl.Binary)

    def where(self, name: str, chosen: Any) -> np.ndarray:
        """Rows (0-based, int64) whose level is one of the chosen: a bool or index array over the levels."""
        mask_L = np.zeros(len(self.levels(name)) + 1, bool)
        mask_L[np.flatnonzero(chosen) if np.asarray(chosen).dtype == bool else np.asarray(chosen, np.int64)] = True
        mask_L[-1] = False  # code -1 is missing
        return np.flatnonzero(mask_L[self.codes(name)])
