"""Gives every column its final storage: number, category or date; says what did not fit."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import polars as pl

from forgeline.engine.arrays import token
from forgeline.errors import BadInput

Kind = Literal["number", "category", "date", "boolean", "image"]
"""What a column can be read as; `boolean` is a category stored as true and false, an image is the name of a picture,
stored as Binary."""

MICROSECONDS = pl.Datetime("us")
STORAGE: dict[pl.DataType, tuple[Literal["number", "category", "date", "image"], str, str]] = {
    pl.Int64(): ("number", "int64", "every value is a whole number"),
    pl.Float64(): ("number", "float64", "every value is a number"),
    pl.Boolean(): ("category", "bool", "every value is true or false"),
    pl.String(): ("category", "text", "some values are text"),
    MICROSECONDS: ("date", "microseconds", "every value is a date"),
    pl.Binary(): ("image", "picture", "every value is a picture"),
}
"""The six storage types: kind, name in records, and what it says of the values."""

EXACT = 2**53
"""Beyond it not every integer has a float64 of its own."""
MIXED_SHARE = 0.9
"""Share of numbers from which text is taken for a number column with some dirt in it."""

ISO_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|[+-]\d{2}:?\d{2}))?)?$"
ZONED = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z"]
PLAIN = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%Y%m%d"]


class Odd(NamedTuple):
    """Cells that did not fit: how many, the first one's row (0-based), and its text."""

    cells: int
    row: int
    example: str


@dataclass(frozen=True)
class Fact:
    """One settled column and what was noticed on the way."""

    name: str
    kind: Literal["number", "category", "date", "image"]
    dtype: str
    """Name of the storage type, as in STORAGE."""
    missing: int
    distinct: int
    why: str
    mixed: Odd | None = None
    """Cells that are no numbers in a text column that nearly is one."""
    unparsable: Odd | None = None
    """Cells that became missing because they cannot be read as the kind asked for."""
    infinite: int = 0
    large: int = 0
    """Integers beyond 2^53."""


def settle(frame: pl.DataFrame, types: Mapping[str, Kind], missing: Collection[str]) -> tuple[pl.DataFrame, list[Fact]]:
    """Every column as Int64, Float64, Boolean, String, Datetime("us") or Binary, and a fact for each.

    Text is stripped, `missing` texts become null, and then it is a number, true/false, a date or a category,
    whichever fits every cell. `types` decides instead where it names a column; cells that do not fit become
    missing. Floats hold no NaN afterwards. Errors: BadInput for a column of lists or structs.
    """
    settled = [column(series, types.get(series.name), missing) for series in frame]
    result = pl.DataFrame([series for series, _ in settled]).with_columns(pl.col(pl.Float64).fill_nan(None))
    distinct = result.select(pl.all().n_unique()).row(0) if result.width else ()  # of all at once: they may be many
    facts = [fact(series, notes, unique) for series, (_, notes), unique in zip(result, settled, distinct)]
    return result, facts


def settle_one(series: pl.Series, kind: Kind | None, missing: Collection[str]) -> tuple[pl.Series, Fact]:
    """`settle` of one column."""
    settled, notes = column(series, kind, missing)
    if settled.dtype == pl.Float64:
        settled = settled.fill_nan(None)
    return settled, fact(settled, notes, settled.n_unique())


@dataclass(frozen=True)
class Notes:
    """What reading one column showed."""

    why: str = ""
    mixed: Odd | None = None
    unparsable: Odd | None = None
    large: int = 0


def fact(series: pl.Series, notes: Notes, unique: int) -> Fact:
    """The fact of a settled column; of its `unique` values one may be null."""
    kind, dtype, why = STORAGE[series.dtype]
    distinct = unique - (series.null_count() > 0)
    return Fact(
        series.name,
        kind,
        dtype,
        missing=series.null_count(),
        distinct=distinct,
        why=notes.why or (why if distinct else "there are no values"),
        mixed=notes.mixed,
        unparsable=notes.unparsable,
        infinite=int(series.is_infinite().sum()) if dtype == "float64" else 0,
        large=notes.large,
    )


def stored(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in the six storage types as it is: no text is interpreted. Errors: BadInput."""
    bare = [plain(series, ()) for series in frame]
    return pl.DataFrame([READERS[stored_kind(series)](series) for series in bare])


def column(series: pl.Series, kind: Kind | None, missing: Collection[str]) -> tuple[pl.Series, Notes]:
    """One column in its final storage."""
    bare = plain(series, missing)
    if kind is not None:
        settled = READERS[kind](bare)
        return settled, Notes("as asked", unparsable=odd(bare, settled), large=large(bare, settled))
    settled = infer(bare) if bare.dtype == pl.String else READERS[stored_kind(bare)](bare)
    dirt = mixed(settled) if settled.dtype == pl.String else None
    return settled, Notes(mixed=dirt, large=large(bare, settled))


def plain(series: pl.Series, missing: Collection[str]) -> pl.Series:
    """The column with text stripped, missing markers and NaN null, and kinds of text and time made one."""
    if series.dtype in (pl.Categorical, pl.Enum, pl.Null):
        series = series.cast(pl.String)
    if series.dtype == pl.String:
        series = series.str.strip_chars()
        return series.set(series.is_in(list(missing)), None) if missing else series
    if series.dtype.is_float():
        return series.cast(pl.Float64).fill_nan(None)
    if series.dtype == pl.Date:
        return series.cast(MICROSECONDS)
    if isinstance(series.dtype, pl.Datetime):
        zoned = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if series.dtype.time_zone else series
        return zoned.dt.cast_time_unit("us")
    return series


def stored_kind(series: pl.Series) -> Kind:
    """The kind of a column that already has a type. Errors: BadInput when a table line cannot use it."""
    if series.dtype == pl.Boolean:
        return "boolean"
    if series.dtype == pl.String:
        return "category"
    if series.dtype.is_numeric():
        return "number"
    if series.dtype == MICROSECONDS:
        return "date"
    if series.dtype == pl.Binary:
        return "image"
    raise BadInput(
        f"column {series.name} holds {series.dtype}, which is no number, category, date or picture",
        remedy=f'Leave it out with drop = ["{series.name}"], or store it as one of these.',
    )


def infer(text: pl.Series) -> pl.Series:
    """The first of number, true/false and date that every cell can be read as, else the text."""
    first = text.drop_nulls().head(1)
    if first.is_empty():
        return text
    kinds: list[Kind] = ["number", "boolean"]
    if first.str.contains(ISO_DATE).all() and text.str.contains(ISO_DATE).all():
        kinds = ["date"]
    for kind in kinds:
        settled = READERS[kind](text)
        if settled.null_count() == text.null_count():
            return settled
    return text


def mixed(text: pl.Series) -> Odd | None:
    """The cells that are no numbers, when most of the others are."""
    numbers = text.cast(pl.Float64, strict=False)
    present = len(text) - text.null_count()
    return odd(text, numbers) if len(text) - numbers.null_count() >= MIXED_SHARE * present else None


def odd(cells: pl.Series, read: pl.Series) -> Odd | None:
    """The cells that reading made null, or None when there are none."""
    lost = cells.is_not_null() & read.is_null()
    row = lost.arg_max()
    if row is None or not lost[row]:
        return None
    return Odd(int(lost.sum()), row, str(cells[row]))


def large(cells: pl.Series, read: pl.Series) -> int:
    """How many integers beyond 2^53 there are; those beyond 2^63 are floats by now."""
    if read.dtype not in (pl.Int64, pl.Float64) or cells.dtype.is_float():
        return 0
    beyond = int(((read > EXACT) | (read < -EXACT)).sum())
    whole = read.dtype == pl.Int64 or cells.dtype != pl.String
    return beyond if beyond and (whole or cells.str.contains(r"^[+-]?\d+$").all()) else 0


# ---------------------------------------------------------------- readers: null where a cell does not fit


def as_number(cells: pl.Series) -> pl.Series:
    """Int64 if every readable cell is an integer that fits, else Float64; dates as microseconds since 1970."""
    if cells.dtype == MICROSECONDS:
        return cells.cast(pl.Int64)
    floats = cells.cast(pl.Float64, strict=False)
    if cells.dtype.is_float() or cells.dtype.is_decimal():
        return floats
    integers = cells.cast(pl.Int64, strict=False)
    return integers if integers.null_count() == floats.null_count() else floats


def as_category(cells: pl.Series) -> pl.Series:
    """String, by the token rule (5.0 is `5`); true and false stay Boolean."""
    if not cells.dtype.is_float():
        return cells if cells.dtype == pl.Boolean else cells.cast(pl.String)
    distinct = cells.drop_nulls().unique()
    texts = pl.Series([token(value) for value in distinct.to_list()], dtype=pl.String)
    return cells.replace_strict(distinct, texts, default=None, return_dtype=pl.String)


def as_boolean(cells: pl.Series) -> pl.Series:
    """Boolean, from true and false in any case."""
    if cells.dtype == pl.Boolean:
        return cells
    words = cells.cast(pl.String).str.to_lowercase()
    return (words == "true").set(~words.is_in(["true", "false"]), None)


def as_date(cells: pl.Series) -> pl.Series:
    """Datetime("us") without a zone, in UTC, from ISO 8601 dates with or without time and zone."""
    if cells.dtype == MICROSECONDS:
        return cells
    words = cells.cast(pl.String).str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T")
    words = words.str.replace(r" ?Z$", "+0000").str.replace(r" ([+-]\d{2}:?\d{2})$", "${1}")
    column = pl.col(cells.name)
    zoned = [
        column.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False).dt.replace_time_zone(None)
        for form in ZONED
    ]
    local = [column.str.to_datetime(form, time_unit="us", strict=False) for form in PLAIN]
    return words.to_frame().select(pl.coalesce(*local, *zoned).alias(cells.name)).to_series()


READERS: dict[Kind, Callable[[pl.Series], pl.Series]] = {
    "number": as_number,
    "category": as_category,
    "date": as_date,
    "boolean": as_boolean,
    "image": lambda cells: cells,
}
