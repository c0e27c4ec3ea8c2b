"""Rows as plain arrays: numbers, category codes, dates and pictures, ready to be encoded.

Shapes: N rows, A number columns, C category columns, D date columns, I columns of pictures; U distinct pictures of
H rows, W columns and C colours.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

MISSING = "\x00"
"""The reserved text of a missing category, so that missing and unseen stay two things."""
MISSING_DATE = int(np.iinfo(np.int64).min)
"""The microsecond that stands for a missing date."""


@dataclass(frozen=True)
class Arrays:
    """Rows of a table, one array per kind of column."""

    numbers_NA: np.ndarray
    """float32; NaN is missing, and nothing else is non-finite."""
    codes_NC: np.ndarray
    """int32 index into the column's levels; -1 is missing."""
    dates_ND: np.ndarray
    """int64 microseconds since 1970-01-01 UTC; MISSING_DATE is missing."""
    numbers: list[str]
    categories: list[str]
    dates: list[str]
    levels: list[list[str]]
    """Texts of each category column, sorted."""
    pictures: list[str] = field(default_factory=list)
    shown_NI: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    """int32 index into the column's pixels; -1 is missing."""
    pixels: list[np.ndarray] = field(default_factory=list)
    """The distinct pictures of each column, uint8 [U, H, W, C]."""
    texts: dict[str, float] = field(default_factory=dict)
    """The category columns that hold free text, and how many words a text has on average."""
    tokens: list[np.ndarray] = field(default_factory=list)
    """Where there is an encoder, the tokens of each level of such a column, and last of no text: uint16 [U, T], 0 after
    the last."""
    embedded: list[np.ndarray] = field(default_factory=list)
    """What the encoder makes of them, float32 [U, D]."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.numbers_NA)

    @property
    def columns(self) -> list[str]:
        """Names of all columns: numbers, categories, dates, pictures."""
        return [*self.numbers, *self.categories, *self.dates, *self.pictures]

    @property
    def lengths(self) -> list[float]:
        """How many tokens the texts of each column of texts have on average; nothing where there is no encoder."""
        return [float((each[:-1] != 0).sum(1).mean()) for each in self.tokens]

    def take(self, rows_N: np.ndarray) -> Arrays:
        """The given rows (indices or a mask), in that order; the levels stay."""
        return replace(
            self,
            numbers_NA=self.numbers_NA[rows_N],
            codes_NC=self.codes_NC[rows_N],
            dates_ND=self.dates_ND[rows_N],
            shown_NI=self.shown_NI[rows_N] if self.pictures else self.shown_NI,
        )

    def said(self, column: str, rows_N: np.ndarray) -> np.ndarray:
        """The texts of some rows, object [N, 1]; MISSING where there is none."""
        place = self.categories.index(column)
        texts = np.array([*self.levels[place], MISSING], dtype=object)
        return np.asarray(texts[self.codes_NC[rows_N, place]][:, None])

    def of_text(self, known: Sequence[np.ndarray], column: str, rows_N: np.ndarray) -> np.ndarray:
        """What is known of each row's text; `known` are `tokens` or `embedded`."""
        code_N = self.codes_NC[rows_N, self.categories.index(column)]
        return np.asarray(known[list(self.texts).index(column)][code_N])  # -1, no text, is the last

    def looked_at(self, column: str, rows_N: np.ndarray) -> np.ndarray:
        """The pictures of some rows in a column, uint8 [N, H, W, C]; one that is missing is black."""
        place = self.pictures.index(column)
        shown_N = self.shown_NI[rows_N, place]
        if not len(self.pixels[place]):
            return np.zeros((len(shown_N), *self.pixels[place].shape[1:]), np.uint8)
        found: np.ndarray = self.pixels[place][np.maximum(shown_N, 0)]
        found[shown_N < 0] = 0
        return found


def from_frame(
    frame: pl.DataFrame,
    inputs: Sequence[tuple[str, str]],
    seen: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> Arrays:
    """The named columns of a frame; `inputs` are (column, kind), kind being number, category, date or image.

    `seen`: of each column of pictures which one a row shows, and all of them.
    """
    seen = seen or {}
    names = {kind: [name for name, its in inputs if its == kind] for kind in ("number", "category", "date")}
    coded = [codes(frame[name]) for name in names["category"]]
    return Arrays(
        numbers_NA=stack([numbers(frame[name]) for name in names["number"]], frame.height, np.float32),
        codes_NC=stack([codes_N for codes_N, _ in coded], frame.height, np.int32),
        dates_ND=stack([dates(frame[name]) for name in names["date"]], frame.height, np.int64),
        numbers=names["number"],
        categories=names["category"],
        dates=names["date"],
        levels=[levels for _, levels in coded],
        pictures=list(seen),
        shown_NI=stack([shown_N for shown_N, _ in seen.values()], frame.height, np.int32),
        pixels=[pixels for _, pixels in seen.values()],
    )


def stack(columns: list[np.ndarray], rows: int, dtype: Any) -> np.ndarray:
    """Columns side by side, C-contiguous; [rows, 0] when there are none."""
    out = np.empty((rows, len(columns)), dtype)
    for index, column in enumerate(columns):
        out[:, index] = column
    return out


def numbers(series: pl.Series) -> np.ndarray:
    """float32 values; NaN where missing, unreadable, infinite or beyond float32."""
    wide = series.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    with np.errstate(over="ignore"):
        narrow: np.ndarray = wide.astype(np.float32)
    narrow[~np.isfinite(narrow)] = np.nan
    return narrow


def token(value: object) -> str:
    """The text a category is known by, the rule of `serving.reader`; MISSING for null, NaN and empty text.

    >>> [token(value) for value in (True, 5, 5.0, 2.5, " a ", None)]
    ['true', '5', '5', '2.5', 'a', '\\x00']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if value is None or value != value:
        return MISSING
    return str(value).strip() or MISSING


def codes(series: pl.Series) -> tuple[np.ndarray, list[str]]:
    """int32 codes and the sorted levels they index; the token rule runs in Python, once per distinct value."""
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype == pl.Decimal:
        series = series.cast(pl.Float64)
    distinct = series.drop_nulls().unique()
    tokens = [token(value) for value in distinct.to_list()]
    levels = sorted(set(tokens) - {MISSING})
    if not levels:
        return np.full(len(series), -1, np.int32), []
    index = {level: code for code, level in enumerate(levels)}
    known = pl.Series([index.get(text, -1) for text in tokens], dtype=pl.Int32)
    return series.replace_strict(distinct, known, default=-1, return_dtype=pl.Int32).to_numpy(), levels


def dates(series: pl.Series) -> np.ndarray:
    """int64 microseconds UTC of a date or datetime column, or of one that holds microseconds already."""
    if series.dtype == pl.Date:
        series = series.cast(pl.Datetime("us"))
    if series.dtype == pl.Datetime:
        series = series.dt.cast_time_unit("us")
    return series.to_physical().cast(pl.Int64).fill_null(MISSING_DATE).to_numpy()


def save(arrays: Arrays) -> dict[str, bytes]:
    """File name → content: .npy files that can be mapped into memory, and the columns as JSON."""
    columns = {key: getattr(arrays, key) for key in ("numbers", "categories", "dates", "levels", "pictures", "texts")}
    pixels = {f"pixels_{place}.npy": npy(each) for place, each in enumerate(arrays.pixels)}
    read = {f"tokens_{place}.npy": npy(each) for place, each in enumerate(arrays.tokens)}
    read |= {f"embedded_{place}.npy": npy(each) for place, each in enumerate(arrays.embedded)}
    return {
        "numbers.npy": npy(arrays.numbers_NA),
        "codes.npy": npy(arrays.codes_NC),
        "dates.npy": npy(arrays.dates_ND),
        "columns.json": json.dumps(columns, ensure_ascii=False).encode(),
        **({"shown.npy": npy(arrays.shown_NI)} if pixels else {}),
        **pixels,
        **read,
    }


def npy(array: np.ndarray) -> bytes:
    """The bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def load(files: Mapping[str, Path]) -> Arrays:
    """What `save` gave, from the places the files are kept at; the arrays are mapped read-only."""
    columns = json.loads(files["columns.json"].read_bytes())
    seen = columns["pictures"]

    def of_texts(what: str) -> list[np.ndarray]:
        return [
            mapped(files[name])
            for name in (f"{what}_{place}.npy" for place in range(len(columns["texts"])))
            if name in files
        ]

    return Arrays(
        numbers_NA=mapped(files["numbers.npy"]),
        codes_NC=mapped(files["codes.npy"]),
        dates_ND=mapped(files["dates.npy"]),
        shown_NI=mapped(files["shown.npy"]) if seen else np.zeros((0, 0), np.int32),
        pixels=[mapped(files[f"pixels_{place}.npy"]) for place in range(len(seen))],
        tokens=of_texts("tokens"),
        embedded=of_texts("embedded"),
        **columns,
    )


def mapped(path: Path) -> np.ndarray:
    """A .npy file mapped read-only; an array without elements cannot be mapped, so it is read."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
    array: np.ndarray = np.load(path, mmap_mode="r" if 0 not in shape else None, allow_pickle=False)
    return array


def quantile_of(value_N: np.ndarray, weight_N: np.ndarray | None, quantile: float) -> float:
    """The smallest value below or at which a share `quantile` of the weight is."""
    weight_N = np.ones(len(value_N)) if weight_N is None else weight_N
    return float(np.quantile(value_N, quantile, weights=weight_N, method="inverted_cdf"))


def largest(value_N: np.ndarray, count: int) -> np.ndarray:
    """Places of the `count` largest values, ascending; of equal ones the first, on every processor (int64)."""
    if count >= len(value_N):
        return np.arange(len(value_N))
    last = np.partition(value_N, len(value_N) - count)[len(value_N) - count]
    above = np.flatnonzero(value_N > last)
    return np.sort(np.append(above, np.flatnonzero(value_N == last)[: count - len(above)]))
