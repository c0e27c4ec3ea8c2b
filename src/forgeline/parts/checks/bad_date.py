"""Dates that cannot be: 31 February, 1900-01-01 among dates of last year, an end before its start.

Shapes: N rows, L levels of a text column, D distinct moments in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from forgeline.engine.identities import shown
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.date",)

DAY = 86_400_000_000
"""Microseconds."""
SHAPES = (
    (r"^(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?:[T ]\d.*)?$", "ymd"),
    (r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?:T\d{4,6})?$", "ymd"),
    (r"^(?P<m>\d{1,2})[-/.](?P<d>\d{1,2})[-/.](?P<y>\d{4}|\d{2})(?: \d.*)?$", "mdy"),
)
"""Texts that look like dates; in the last the day may come first."""
FILLERS = tuple(
    int(np.datetime64(day, "D").astype(np.int64))
    for day in (
        *("0001-01-01", "1000-01-01", "1111-11-11", "1582-10-15", "1753-01-01", "1800-01-01", "1899-12-30"),
        *("1899-12-31", "1900-01-01", "1900-01-02", "1901-01-01", "1904-01-01", "1970-01-01", "1969-12-31"),
        *("2038-01-19", "2099-12-31", "2100-01-01", "2999-12-31", "3000-01-01", "9999-12-31", "9999-01-01"),
    )
)
"""Days since 1970 that programs write for nothing."""


@dataclass(frozen=True)
class Dates:
    """A column as moments: a date column itself, or a text column that is one but for some cells."""

    name: str
    moment_N: np.ndarray
    """float64 microseconds since 1970; NaN where missing or no date."""
    impossible_N: np.ndarray
    """Rows that look like dates and are none."""
    example: str = ""


def check(
    table: View,
    target: pl.Series | None,
    *,
    fence: float = 3.0,
    least_days: float = 30.0,
    most_share: float = 0.3,
    most_reversed: float = 0.25,
    most_markers: int = 1_000,
) -> Iterator[Finding]:
    """`quality.date`: impossible days, moments far from all others, and two columns in the wrong order.

    Far off is what lies `fence` interquartile ranges (of `least_days` at least) outside the quartiles, behind a gap
    of one such range; a famous filler needs the gap only. Two columns whose order holds but for the share
    `most_reversed` of the rows are a start and an end.
    """
    seen: list[Dates] = []
    for name in table.all.columns:
        dates = read(table, name)
        if dates is None:
            continue
        wrong_N, far = dates.impossible_N, far_off(dates.moment_N, fence, least_days * DAY)
        if len(wrong_N):
            yield finding(
                table, [name], wrong_N, f"{name} has days that do not exist, such as {shown(dates.example, name)}", []
            )
        if 0 < len(far) <= most_share * table.cells.rows:
            first = np.datetime64(int(dates.moment_N[far[0]]), "us")
            says = f"{name} has dates far from all others, such as {str(first)[:10]}"
            yield finding(table, [name], far, says, markers(table, name, far, most_markers))
            dates.moment_N[far] = np.nan
        seen.append(dates)
    for one, two in combinations(seen[:20], 2):
        yield from reversed_pairs(table, one, two, most_reversed)


def finding(table: View, names: list[str], rows: np.ndarray, says: str, marks: list[str]) -> Finding:
    """A warning with the rows."""
    fix = Fix(do="missing", columns=names, markers=marks, says="treat as missing") if marks else None
    return Finding(
        code="quality.date",
        severity="warn",
        says=f"{says}: {len(rows):,} rows",
        columns=names,
        rows=table.keep_rows(rows, np.ones(len(rows))),
        numbers={"cells": len(rows), "share": len(rows) / table.cells.rows},
        fix=fix,
    )


def markers(table: View, name: str, rows: np.ndarray, most: int) -> list[str]:
    """The texts of the cells, to be made missing; none when they are many."""
    texts = table.all[name].gather(rows).unique().sort().cast(pl.String).to_list()
    return texts if len(texts) <= most else []


# ---------------------------------------------------------------- reading


def read(table: View, name: str) -> Dates | None:
    """The column as dates; None when it holds none."""
    if table.cells.is_date(name):
        return Dates(name, table.cells.numbers(name).copy(), np.array([], np.int64))
    if not table.cells.is_text(name) or table.cells.missing(name) == table.cells.rows:
        return None
    return read_text(table, name)


def read_text(table: View, name: str, *, least_share: float = 0.6, least_valid: float = 0.6) -> Dates | None:
    """A text column of which most cells look like dates of one kind."""
    values, counts = table.cells.levels(name).values, table.cells.levels(name).counts
    rows = counts.sum()
    head = values.head(20)
    for shape, order in SHAPES:
        if not 2 * head.str.contains(shape).sum() >= len(head):
            continue  # the commonest levels settle most columns
        parts = values.str.extract_groups(shape).struct.unnest().cast(pl.Int64)
        like_L = parts["y"].is_not_null().to_numpy()
        if counts[like_L].sum() < least_share * rows:
            continue
        day_L = days(parts, counts, both=order == "mdy")
        valid_L = ~np.isnan(day_L)
        if counts[valid_L].sum() < least_valid * rows or valid_L.sum() < 2:
            continue
        impossible_L = like_L & ~valid_L
        example = values[int(np.flatnonzero(impossible_L)[0])] if impossible_L.any() else ""
        code_N = table.cells.codes(name)
        moment_N = np.append(day_L * DAY, np.nan)[code_N]
        return Dates(name, moment_N, table.cells.where(name, impossible_L), example)
    return None


def days(parts: pl.DataFrame, counts: np.ndarray, *, both: bool) -> np.ndarray:
    """float64 [L] days since 1970, NaN where there is no such day; `both`: the order that fits more rows."""
    year_L, month_L, day_L = (parts[part].fill_null(0).to_numpy() for part in ("y", "m", "d"))
    year_L = np.where((year_L < 100) & both, year_L + np.where(year_L < 70, 2000, 1900), year_L)
    read = ordinal(year_L, month_L, day_L)
    if both:
        other = ordinal(year_L, day_L, month_L)
        if counts[~np.isnan(other)].sum() > counts[~np.isnan(read)].sum():
            return other
    return read


def ordinal(year_L: np.ndarray, month_L: np.ndarray, day_L: np.ndarray) -> np.ndarray:
    """Days since 1970 by the Gregorian calendar; NaN where month or day do not exist, or the year is 0."""
    fits_L = (month_L >= 1) & (month_L <= 12) & (day_L >= 1) & (year_L >= 1)
    month = ((year_L - 1970) * 12 + np.where(fits_L, month_L, 1) - 1).astype("datetime64[M]")
    first_L = month.astype("datetime64[D]").astype(np.int64)
    length_L = (month + 1).astype("datetime64[D]").astype(np.int64) - first_L
    return np.where(fits_L & (day_L <= length_L), first_L + day_L - 1, np.nan)


# ---------------------------------------------------------------- far from all others


def far_off(moment_N: np.ndarray, fence: float, least: float, *, times_farther: float = 2.5) -> np.ndarray:
    """Rows whose moment lies outside the fence and behind a gap, or is a filler behind a gap.

    Behind the gap moments must be `times_farther` from the middle than before it, which those of a long tail are not.
    """
    ordered = np.sort(moment_N[~np.isnan(moment_N)])
    if len(ordered) < 20:
        return np.array([], np.int64)
    low, middle, high = (float(ordered[(part * len(ordered)) // 4]) for part in (1, 2, 3))
    spread = max(high - low, least)
    jumps = np.flatnonzero(np.diff(ordered) > spread)
    inner, outer = ordered[jumps], ordered[jumps + 1]
    early = (inner < low - fence * spread) & (middle - inner >= times_farther * (middle - outer))
    late = (outer > high + fence * spread) & (outer - middle >= times_farther * (inner - middle))
    floor = outer[early].max(initial=ordered[0])
    roof = inner[late].min(initial=ordered[-1])
    floor, roof = without_fillers(ordered[(ordered >= floor) & (ordered <= roof)])
    return np.flatnonzero((moment_N < floor) | (moment_N > roof))


def without_fillers(ordered: np.ndarray, *, spacings: float = 20.0) -> tuple[float, float]:
    """Least and most of the moments once fillers at the ends, behind a gap, are taken off."""
    distinct = np.unique(ordered)
    for _ in range(3):
        if len(distinct) < 10:
            break
        usual = np.median(np.diff(distinct))
        if distinct[0] // DAY in FILLERS and distinct[1] - distinct[0] > max(spacings * usual, 365 * DAY):
            distinct = distinct[1:]
        elif distinct[-1] // DAY in FILLERS and distinct[-1] - distinct[-2] > max(spacings * usual, 365 * DAY):
            distinct = distinct[:-1]
        else:
            break
    return float(distinct[0]), float(distinct[-1])


# ---------------------------------------------------------------- start and end


def reversed_pairs(table: View, one: Dates, two: Dates, most_reversed: float) -> Iterator[Finding]:
    """Rows in which the end lies before the start, where the two columns go together and else keep their order."""
    apart_N = two.moment_N - one.moment_N
    there_N = ~np.isnan(apart_N)
    if there_N.sum() < 20:
        return
    later, earlier = int((apart_N > 0).sum()), int((apart_N < 0).sum())
    start, end = (one, two) if later >= earlier else (two, one)
    rows = np.flatnonzero(apart_N < 0 if later >= earlier else apart_N > 0)
    if not 0 < len(rows) <= most_reversed * there_N.sum() or max(later, earlier) < 0.5 * there_N.sum():
        return
    if not together(np.abs(apart_N[there_N]), one.moment_N[there_N]):
        return
    says = f"{end.name} lies before {start.name}, which comes first in {max(later, earlier):,} rows"
    yield finding(table, [start.name, end.name], rows, says, [])


def together(apart: np.ndarray, moment: np.ndarray) -> bool:
    """Whether two moments of a row are usually nearer to each other than moments of two rows are."""
    others = np.abs(moment - np.roll(moment, len(moment) // 2))
    return bool(np.median(apart) < 0.5 * np.median(others))
