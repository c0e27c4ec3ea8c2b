"""The schema that training rows imply: kinds, ranges, levels, gaps; and where another frame departs from it.

Every tolerance is widened by what a fresh sample of the same population would show, so that such a sample raises
next to nothing. Legend: N rows, L distinct values.
"""

from typing import Literal

import msgspec
import numpy as np
import polars as pl

from forgeline.engine.cells import WIDE, Cells, Levels

What = Literal["missing_column", "extra_column", "type", "new_missing", "new_level", "range", "date", "whole", "text"]
DTYPES: dict[type[pl.DataType], str] = {
    pl.Int64: "int64",
    pl.Float64: "float64",
    pl.Boolean: "bool",
    pl.String: "text",
    pl.Binary: "picture",
    pl.Datetime: "microseconds",
}
"""Storage type → its name in records; others are named by polars."""
NUMBERS = ("int64", "float64")


class ColumnSchema(msgspec.Struct, frozen=True, kw_only=True):
    """What one column is expected to hold."""

    name: str
    dtype: str
    rows: int
    missing: int
    low: float | None = None
    """Numbers, and dates in microseconds: the least that is expected, with its tolerance."""
    high: float | None = None
    least: float | None = None
    """The least that was seen."""
    most: float | None = None
    whole: bool = False
    """Every number was whole."""
    levels: list[str] | None = None
    """Every text that was seen, when they are few and have all been seen often enough to be the only ones."""
    unseen: float = 0.0
    """Texts: the share of rows whose level was not met before that a sample may have (Good and Turing 1953)."""
    patterns: list[str] | None = None
    """Texts of many levels: their patterns, `9` a digit and `A` a letter, when they are few."""
    shortest: int | None = None
    longest: int | None = None


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What a table is expected to hold."""

    rows: int
    columns: list[ColumnSchema]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where a frame departs from a schema."""

    column: str
    what: What
    says: str
    rows: list[int] = []
    """0-based rows that depart; empty when the column as a whole does."""


# ---------------------------------------------------------------- infer


def infer(
    frame: pl.DataFrame,
    *,
    most_levels: int = 200,
    most_patterns: int = 8,
    reach: float = 0.5,
    cells: Cells | None = None,
) -> Schema:
    """The schema of the rows a model is trained on.

    most_levels, most_patterns: beyond it a column of texts is free. reach: how far numbers may lie beyond those
    seen, as a share of the range between the outermost 2 %.
    """
    cells = cells or Cells(frame)
    found = [column(cells, name, most_levels, most_patterns, reach) for name in frame.columns]
    return Schema(rows=frame.height, columns=found)


def column(cells: Cells, name: str, most_levels: int, most_patterns: int, reach: float) -> ColumnSchema:
    """The schema of one column; of a table of more than two thousand its type and gaps alone."""
    plain = ColumnSchema(name=name, dtype=dtype(cells.frame[name]), rows=cells.rows, missing=cells.missing(name))
    if len(cells.names) > 6 * WIDE:
        return plain
    if cells.is_number(name) or cells.is_date(name):
        return numbers(plain, cells.ordered(name), reach)
    if cells.is_text(name):
        return texts(plain, cells.levels(name), most_levels, most_patterns)
    return plain


def dtype(values: pl.Series) -> str:
    """The name of a storage type; a column of nothing is of any."""
    return "nothing" if values.null_count() == len(values) else DTYPES.get(type(values.dtype), str(values.dtype))


def numbers(plain: ColumnSchema, ordered_N: np.ndarray, reach: float) -> ColumnSchema:
    """Numbers lie between the least and the most seen, and as far beyond as their tails let expect.

    A tail's reach is the larger of `reach` times the middle 96 % and of the distance by which the outermost value
    lies beyond the outermost 2 %, so that skewed columns have room where they need it. Signs stay.
    """
    if not len(ordered_N):
        return plain
    least, most = float(ordered_N[0]), float(ordered_N[-1])
    inner_low, inner_high = np.quantile(ordered_N, [0.02, 0.98])
    room = reach * float(inner_high - inner_low)
    low = least - max(room, float(inner_low) - least)
    high = most + max(room, most - float(inner_high))
    if least >= 0 and plain.dtype != "microseconds":
        low = max(low, 0.0)
    whole = plain.dtype != "microseconds" and bool((ordered_N == np.floor(ordered_N)).all())
    return msgspec.structs.replace(plain, low=low, high=high, least=least, most=most, whole=whole)


def texts(plain: ColumnSchema, levels: Levels, most_levels: int, most_patterns: int) -> ColumnSchema:
    """Texts are among the levels seen, when nearly all there are were seen; else they have their patterns."""
    rows = int(levels.counts.sum())
    if not rows:
        return plain
    once = int((levels.counts == 1).sum())
    unseen = (once + 1) / rows
    length = levels.values.str.len_chars()
    plain = msgspec.structs.replace(
        plain, unseen=min(1.0, unseen), shortest=as_int(length.min()), longest=as_int(length.max())
    )
    if len(levels) <= most_levels and unseen <= 0.1:
        return msgspec.structs.replace(plain, levels=levels.values.to_list())
    shapes = pattern(levels.values).unique().sort().to_list()
    often = len(levels) >= 10 * len(shapes)
    return msgspec.structs.replace(plain, patterns=shapes if len(shapes) <= most_patterns and often else None)


def as_int(value: object) -> int:
    """A length as an integer."""
    return int(value)  # type: ignore[call-overload, no-any-return]  # polars types any aggregate as a literal


def pattern(values: pl.Series) -> pl.Series:
    """Each text with digits as 9 and letters as A; runs are one."""
    return values.str.replace_all(r"\d+", "9").str.replace_all(r"\p{L}+", "A").str.replace_all(r"\s+", " ")


# ---------------------------------------------------------------- compare


def compare(
    schema: Schema, frame: pl.DataFrame, *, level: float = 1e-4, cells: Cells | None = None
) -> list[Difference]:
    """Where a frame departs from the schema, in the order of its columns.

    level: how improbable a count of departing rows must be in a sample of the same population, for each column and
    rule; a table of 20 columns from that population raises a difference about once in 500.
    """
    cells = cells or Cells(frame)
    known = {one.name: one for one in schema.columns}
    found = []
    for one in schema.columns:
        if one.name not in frame.columns:
            found.append(Difference(column=one.name, what="missing_column", says=f"{one.name} is not there"))
        else:
            found.extend(differences(one, cells, level))
    extra = [name for name in frame.columns if name not in known]
    return found + [
        Difference(column=name, what="extra_column", says=f"{name} was not there in training") for name in extra
    ]


def differences(one: ColumnSchema, cells: Cells, level: float) -> list[Difference]:
    """Where one column departs."""
    found = new_missing(one, cells, level)
    given = dtype(cells.frame[one.name])
    if "nothing" in (given, one.dtype) or one.dtype == "picture":  # which may come as paths, or as bytes
        return found
    if given != one.dtype and not {given, one.dtype} <= set(NUMBERS):
        return [*found, Difference(column=one.name, what="type", says=f"{one.name} was {one.dtype} and is {given}")]
    if one.low is not None:
        return found + outside(one, cells, level)
    if cells.is_text(one.name):
        return found + other_texts(one, cells, level)
    return found


def new_missing(one: ColumnSchema, cells: Cells, level: float) -> list[Difference]:
    """Gaps where there were none, or far more than there were."""
    missing = cells.missing(one.name)
    if not missing or not improbable(missing, cells.rows, one.missing, one.rows, level):
        return []
    before = f"{one.missing / max(1, one.rows):.1%}" if one.missing else "none"
    says = f"{one.name} is missing in {missing:,} of {cells.rows:,} rows; in training in {before}"
    at_N = np.flatnonzero(cells.frame[one.name].is_null().to_numpy())
    return [Difference(column=one.name, what="new_missing", says=says, rows=at_N.tolist())]


def outside(one: ColumnSchema, cells: Cells, level: float) -> list[Difference]:
    """Numbers and dates beyond the range with its tolerance, and fractions among whole numbers."""
    assert one.low is not None and one.high is not None  # noqa: PT018  # they come together
    value_N = cells.numbers(one.name)
    beyond_N = np.flatnonzero((value_N < one.low) | (value_N > one.high))
    found = []
    if improbable(len(beyond_N), cells.rows, 0, one.rows, level):
        what: What = "date" if one.dtype == "microseconds" else "range"
        seen = f"{shown(one, one.least)} to {shown(one, one.most)}"
        says = f"{one.name} lies far outside {seen} in {len(beyond_N):,} rows"
        found.append(Difference(column=one.name, what=what, says=says, rows=beyond_N.tolist()))
    if one.whole:
        broken_N = np.flatnonzero(np.isfinite(value_N) & (value_N != np.floor(value_N)))
        if improbable(len(broken_N), cells.rows, 0, one.rows, level):
            says = f"{one.name} was whole in training and has fractions in {len(broken_N):,} rows"
            found.append(Difference(column=one.name, what="whole", says=says, rows=broken_N.tolist()))
    return found


def shown(one: ColumnSchema, value: float | None) -> str:
    """An end of a range as a person writes it."""
    if one.dtype == "microseconds":
        return str(np.datetime64(int(value or 0), "us").astype("datetime64[s]"))
    return f"{value:,.6g}"


def other_texts(one: ColumnSchema, cells: Cells, level: float) -> list[Difference]:
    """Texts that were not met, or of patterns or lengths that were not."""
    values = cells.levels(one.name)
    rows = cells.rows - cells.missing(one.name)
    if one.levels is not None:
        new_L = ~values.values.is_in(one.levels).to_numpy()
        what: What = "new_level"
        says = f"{one.name} has {int(new_L.sum()):,} values that training did not have"
    elif one.patterns is not None:
        new_L = ~pattern(values.values).is_in(one.patterns).to_numpy()
        what, says = "text", f"{one.name} has texts of another form"
    else:
        length = values.values.str.len_chars().to_numpy()
        new_L = (length > 3 * (one.longest or 0)) | (3 * length < (one.shortest or 0))
        what, says = "text", f"{one.name} has texts of other lengths"
    count = int(values.counts[new_L].sum())
    expected = round(one.unseen * one.rows) if one.levels is not None else 0
    if not improbable(count, rows, expected, one.rows, level):
        return []
    at_N = cells.where(one.name, new_L)
    return [Difference(column=one.name, what=what, says=f"{says}, in {count:,} rows", rows=at_N.tolist())]


def improbable(count: int, rows: int, before: int, before_rows: int, level: float) -> bool:
    """Whether so many rows are too many for the rate seen before (both Poisson, the rate with half a row added).

    Given the sum, the new count is binomial; its upper tail is compared with `level`.
    """
    if not count:
        return False
    if not before_rows:
        return True
    from scipy.stats import binom

    share = rows / (rows + before_rows)
    return bool(binom.sf(count - 1, count + before, share) < level)
