"""Row fingerprints: hashes by which rows are known again, whatever array holds them.

Cells become 64-bit codes, a row's codes one hash. Shapes: N rows, D columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

MIXER = np.uint64(0x9E3779B97F4A7C15)
UNKNOWN = -1
"""Id of a row that cannot be told from others, or is in no table."""


@dataclass
class Known:
    """Rows of one array: the id of each, the fitted steps they went through, and a sample of the content."""

    ids_N: np.ndarray
    uses: frozenset[int] = frozenset()
    sample: bytes = b""


@dataclass
class View:
    """An array's rows by the hash of their content."""

    hashes: np.ndarray
    ids: np.ndarray
    uses: frozenset[int]
    width: int

    def find(self, hash_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of rows, and which of them were met at all."""
        at = np.searchsorted(self.hashes, hash_N).clip(max=len(self.hashes) - 1)
        met = self.hashes[at] == hash_N
        return np.where(met, self.ids[at], UNKNOWN), met


def as_view(cell_ND: np.ndarray, known: Known, places: Sequence[int] | None = None) -> View:
    """The rows of an array by hash; a row whose like is elsewhere too is unknown."""
    hash_N = mixed(cell_ND, range(cell_ND.shape[1]) if places is None else places)
    hashes, first, copies = np.unique(hash_N, return_index=True, return_counts=True)
    return View(hashes, np.where(copies == 1, known.ids_N[first], UNKNOWN), known.uses, cell_ND.shape[1])


def matched(
    cell_ND: np.ndarray, base_ND: np.ndarray, names: list[str], base_names: list[str], *, most_rows: int = 200
) -> tuple[list[int], list[int]]:
    """Columns of an array and the columns of the table they are: by name, else by their values where only one fits."""
    if names and set(names) <= set(base_names):
        return list(range(len(names))), [base_names.index(name) for name in names]
    some = cell_ND[:: max(1, len(cell_ND) // most_rows)]
    distinct = [np.unique(column_N) for column_N in base_ND.T]
    own, theirs = [], []
    for at, column_N in enumerate(some.T):
        fits = [place for place, values in enumerate(distinct) if np.isin(column_N, values).all()]
        if not fits:
            return [], []
        if len(fits) == 1:
            own.append(at)
            theirs.append(fits[0])
    return own, theirs


# ---------------------------------------------------------------- codes and hashes


def cells(x: Any) -> np.ndarray | None:
    """A 64-bit code for each cell, equal for equal values whatever holds them; None of what has no cells."""
    if hasattr(x, "tocsr"):
        csr = x.tocsr()
        return bits(np.asarray(csr @ np.random.default_rng(0).normal(size=csr.shape[1])).astype(np.float32))[:, None]
    if hasattr(x, "iloc"):
        series = [x] if len(x.shape) == 1 else [x.iloc[:, at] for at in range(x.shape[1])]
        return stacked([np.asarray(values) for values in series], count(x))
    if isinstance(x, (pl.DataFrame, pl.Series)):
        return stacked([values.to_numpy() for values in (x if isinstance(x, pl.DataFrame) else [x])], len(x))
    array = np.asarray(x) if isinstance(x, (np.ndarray, list, tuple)) else None
    if array is None or array.ndim not in (1, 2):
        return None
    if array.dtype.kind in "fiub":
        return bits(array.astype(np.float32).reshape(len(array), -1))
    return stacked(list(array.reshape(len(array), -1).T), len(array))


def stacked(columns: list[np.ndarray], rows: int) -> np.ndarray:
    """The codes of columns, side by side."""
    return np.column_stack([column_cells(values) for values in columns]) if columns else np.empty((rows, 0), np.uint64)


def column_cells(values: np.ndarray) -> np.ndarray:
    """The codes of one column: of numbers by value, of all else by its text."""
    if values.dtype.kind in "fiub":
        return bits(values.astype(np.float32))
    try:
        return bits(values.astype(np.float32))
    except (TypeError, ValueError):
        text = pl.Series([str(value) for value in values], dtype=pl.String)
        return text.hash(seed=1).to_numpy()


def bits(value: np.ndarray) -> np.ndarray:
    """Single-precision numbers as their bits; zeros have one sign, and all NaN are one."""
    value = np.where(np.isnan(value), np.float32(np.nan), value + np.float32(0))
    return value.astype(np.float32).view(np.uint32).astype(np.uint64)


def mixed(cell_ND: np.ndarray, places: Sequence[int] | np.ndarray) -> np.ndarray:
    """One hash a row, uint64 [N]; `places` are the columns' places in their table."""
    hash_N = np.zeros(len(cell_ND), np.uint64)
    place_D = (np.asarray(places, np.uint64) + np.uint64(1)) * MIXER
    for column_N, place in zip(cell_ND.T, place_D):
        mix_N = (column_N + place) * np.uint64(0xBF58476D1CE4E5B9)
        mix_N = (mix_N ^ (mix_N >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
        hash_N += mix_N ^ (mix_N >> np.uint64(29))
    return hash_N


def sample(x: Any, most: int = 16) -> bytes:
    """The content of a few rows, by which a change in place is noticed."""
    rows = count(x)
    at = np.linspace(0, rows - 1, min(rows, most)).astype(int) if rows else np.zeros(0, int)
    if hasattr(x, "tocsr"):
        return b""
    some = x.iloc[at] if hasattr(x, "iloc") else x[at] if hasattr(x, "shape") else [x[place] for place in at]
    cell_ND = cells(some)
    return b"" if cell_ND is None else cell_ND.tobytes()


# ---------------------------------------------------------------- anything array-like


def count(x: Any) -> int:
    """Rows of anything array-like."""
    shape = getattr(x, "shape", None)
    return int(shape[0]) if shape else len(x)


def width(x: Any) -> int:
    """Columns of anything array-like; 1 of a list of numbers or texts."""
    shape = getattr(x, "shape", None)
    return int(shape[1]) if shape is not None and len(shape) > 1 else 1


def unique_index(x: Any) -> Any:
    """A pandas index, if it names every row once."""
    index: Any = getattr(x, "index", None)
    return index if hasattr(index, "get_indexer") and index.is_unique else None
