"""Applies the fix of a finding to rows: what refine does for good, and the remediation queue tries out.

Shapes: N rows.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import polars as pl

from forgeline.records import Fix, Kind


def mended(frame: pl.DataFrame, fix: Fix) -> pl.DataFrame:
    """The frame after a fix of whole columns: cast, map or missing; drop and the fixes of rows change nothing here."""
    here = [name for name in fix.columns if name in frame.columns]
    if fix.do == "cast" and fix.to:
        return frame.with_columns(cast(frame[name], fix.to) for name in here)
    if fix.do == "map":
        return frame.with_columns(pl.col(here).replace(fix.values)) if here else frame
    if fix.do == "missing":
        return frame.with_columns(missing(frame[name], fix.markers) for name in here)
    return frame


def mended_but(frame: pl.DataFrame, fix: Fix, alone_N: np.ndarray) -> pl.DataFrame:
    """The frame after a fix of whole columns whose cells stay as they are in some rows; a cast is of all rows."""
    after = mended(frame, fix)
    if fix.do not in ("map", "missing") or not alone_N.any():
        return after
    alone = pl.Series(alone_N)
    here = [name for name in fix.columns if name in frame.columns]
    return after.with_columns(frame[name].zip_with(alone, after[name]) for name in here)


def cast(series: pl.Series, kind: Kind) -> pl.Series:
    """Read texts as numbers; what cannot be read is missing."""
    dtype = pl.Float64 if kind == "number" else pl.String
    return series.cast(dtype, strict=False)


def missing(series: pl.Series, markers: Sequence[str]) -> pl.Series:
    """Replace markers by null; `inf` stands for infinite values."""
    if series.dtype.is_float() and "inf" in markers:
        series = series.set(series.is_infinite().fill_null(False), None)
    others = [marker for marker in markers if marker != "inf"]
    if not others:
        return series
    if series.dtype.is_numeric():
        values = pl.Series([number for number in map(as_number, others) if number is not None], dtype=pl.Float64)
        return series.set(series.cast(pl.Float64).is_in(values.implode()).fill_null(False), None)
    if series.dtype == pl.Datetime:
        moments = pl.Series(others).str.to_datetime(time_unit="us", strict=False)
        return series.set(series.is_in(moments.implode()).fill_null(False), None)
    return series.set(series.cast(pl.String).is_in(others).fill_null(False), None)


def as_number(text: str) -> float | None:
    """The number a marker stands for in a column of numbers; None for a text."""
    try:
        return float(text)
    except ValueError:
        return None


def rows_of(parquet: bytes) -> pl.DataFrame:
    """The rows a finding names: `row` in the snapshot, `score`, and `value` where a better one is suggested."""
    return pl.read_parquet(io.BytesIO(parquet))


def without_rows(frame: pl.DataFrame, ids_N: np.ndarray, gone: np.ndarray) -> tuple[pl.DataFrame, np.ndarray]:
    """The frame and its snapshot rows `ids_N` without the rows named in `gone`."""
    stay_N = ~np.isin(ids_N, gone)
    return frame.filter(pl.Series(stay_N)), ids_N[stay_N]


def relabelled(target: pl.Series, ids_N: np.ndarray, rows: np.ndarray, values: Sequence[str]) -> pl.Series:
    """The target with some rows' labels replaced, each value read in the target's own type."""
    place = {int(row): at for at, row in enumerate(ids_N)}
    known = [(place[int(row)], value) for row, value in zip(rows, values, strict=True) if int(row) in place]
    if not known:
        return target
    at = pl.Series([position for position, _ in known], dtype=pl.UInt32)
    return target.clone().scatter(at, read_as([value for _, value in known], target.dtype))


def read_as(values: Sequence[str], dtype: pl.DataType) -> pl.Series:
    """Texts in a column's own type. Errors: ValueError naming the first text that does not fit."""
    texts = pl.Series(values, dtype=pl.String)
    if dtype == pl.Boolean:
        words = texts.str.to_lowercase()
        read = pl.select(pl.when(words.is_in(["true", "false"])).then(words == "true")).to_series()
    else:
        number = texts.cast(pl.Float64, strict=False) if dtype.is_integer() else texts
        whole = number.set(number != number.floor(), None) if dtype.is_integer() else number
        read = whole.cast(dtype, strict=False)
    lost = read.is_null().arg_max()
    if lost is not None and read.is_null()[lost]:
        raise ValueError(f"{values[lost]!r} cannot be read as {dtype}")
    return read
