"""Which rows are sealed away, and which fold the others are in: decided by what the rows say, never by a seed.

Shapes: N rows.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

NULL = 0x9E6C63D0876A9A47
"""An odd word that stands for a missing value before it is mixed; NaN counts as missing."""

TRAIN, TEST, LEFT_OUT = 0, 1, 2
"""The bytes of a split."""


def keys(frame: pl.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """A keyed 64-bit hash of each row's values in some columns, uint64 [N].

    The order of the columns does not matter, and neither do versions or platforms: numbers are hashed by
    their float64 bits (3 and 3.0 are alike, and True is 1), text by BLAKE2b, each column salted by its name.
    """
    total = np.zeros(frame.height, np.uint64)
    for name in columns:
        total += mix(bits(frame[name]) ^ np.uint64(text_hash(f"column {name}")))
    return mix(total)


def bits(values: pl.Series) -> np.ndarray:
    """64 bits that stand for each value, equal exactly when the values are, uint64 [N]."""
    if values.dtype.is_float():
        value_N = values.to_numpy()
        return np.where(np.isnan(value_N), np.uint64(NULL), float_bits(value_N))
    if values.dtype in (pl.String, pl.Binary):
        return text_bits(values.cast(pl.String))
    whole = values if values.dtype == pl.Int64 else values.to_physical().cast(pl.Int64)
    if not whole.null_count():
        return integer_bits(whole.to_numpy())
    return np.where(whole.is_null().to_numpy(), np.uint64(NULL), integer_bits(whole.fill_null(0).to_numpy()))


def float_bits(value_N: np.ndarray) -> np.ndarray:
    """IEEE 754 bits of float64 values; -0.0 is 0.0."""
    return (value_N.astype(np.float64) + 0.0).view(np.uint64)


def integer_bits(value_N: np.ndarray) -> np.ndarray:
    """Bits of the nearest float64, plus what rounding to it lost: beyond 2^53 neighbours stay apart."""
    nearest = np.minimum(value_N.astype(np.float64), 2.0**63 - 1024)
    lost = value_N - nearest.astype(np.int64)
    return nearest.view(np.uint64) + lost.view(np.uint64) * np.uint64(NULL)


def text_bits(values: pl.Series) -> np.ndarray:
    """BLAKE2b of each text, computed once for each distinct one."""
    levels = values.drop_nulls().unique()
    hashed = np.fromiter((text_hash(level) for level in levels), np.uint64, len(levels))
    codes = values.cast(pl.Enum(levels)).to_physical().fill_null(len(levels)).to_numpy()
    bits_N: np.ndarray = np.append(hashed, np.uint64(NULL))[codes]
    return bits_N


def text_hash(text: str) -> int:
    """64 bits of BLAKE2b, little-endian."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mix(word_N: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit in moves every bit out."""
    word_N = (word_N ^ (word_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word_N = (word_N ^ (word_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    word_N ^= word_N >> np.uint64(31)
    return word_N


def unit_keys(frame: pl.DataFrame, columns: Sequence[str], by: str) -> np.ndarray:
    """The key of what stays together: the row's group, or its features where it has none, uint64 [N]."""
    if not by:
        return keys(frame, columns)
    alone_N = frame[by].is_null().to_numpy()
    return np.where(alone_N, keys(frame, columns), keys(frame, [by]))


def holdout(frame: pl.DataFrame, columns: Sequence[str], share: float, by: str) -> np.ndarray:
    """Which rows are sealed away: uint8 [N], 1 test and 0 train.

    `columns` are the features. A row is test if the key of its group `by` (else of its features) is below the
    share: equal rows stay together, and rows that are added later move none.
    """
    return (unit_keys(frame, columns, by) < np.uint64(int(share * 2**64))).astype(np.uint8)


def last(times: pl.Series, share: float) -> np.ndarray:
    """1 for the last share of the rows, uint8 [N].

    Rows as old as the newest training row, or without a time, are training rows.
    """
    known = times.drop_nulls().sort()
    train = len(known) - int(share * len(known))
    if train == 0 or train == len(known):
        return np.zeros(len(times), np.uint8)
    late_N: np.ndarray = (times > known[train - 1]).fill_null(False).to_numpy()
    return late_N.astype(np.uint8)


def strata(y_N: np.ndarray, bins: int = 10) -> np.ndarray:
    """The quantile bin of each value of a regression target, int64 [N]; ties share a bin."""
    edges = np.quantile(y_N, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, y_N, side="right")


def folds(key_N: np.ndarray, stratum_N: np.ndarray, count: int) -> np.ndarray:
    """Stratified folds in which rows of equal key stay together, uint8 [N].

    Each key belongs to the stratum most of its rows are in. Keys are dealt like cards: stratum by stratum, keys
    of many rows first, in the order of their hash.
    """
    unique, position_N, size = np.unique(key_N, return_inverse=True, return_counts=True)
    order = np.lexsort((unique, -size, main_stratum(position_N, stratum_N)))
    dealt = np.empty(len(unique), np.uint8)
    dealt[order] = np.arange(len(unique)) % count
    return dealt[position_N]


def main_stratum(position_N: np.ndarray, stratum_N: np.ndarray) -> np.ndarray:
    """The most frequent stratum of each key, the lower one where two tie."""
    strata, code_N = np.unique(stratum_N, return_inverse=True)
    pair, rows = np.unique(position_N * len(strata) + code_N, return_counts=True)
    key, code = np.divmod(pair, len(strata))
    order = np.lexsort((code, -rows, key))
    first = np.unique(key[order], return_index=True)[1]
    return code[order][first]


def blocks(time_N: np.ndarray, count: int) -> np.ndarray:
    """Contiguous folds in time, the oldest first, uint8 [N]; rows of one moment share a fold, and none is empty."""
    before_N = np.searchsorted(np.sort(time_N), time_N, side="left")
    return np.unique(before_N * count // len(time_N), return_inverse=True)[1].astype(np.uint8)
