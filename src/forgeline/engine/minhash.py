"""Near-equal texts by MinHash and locality-sensitive hashing (Broder 1997; Leskovec, Rajaraman, Ullman, chapter 3).

Shapes: T texts, G shingles of all texts one after another, K hash functions, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from forgeline.engine import split
from forgeline.engine.seeds import Seed


def folded(texts: pl.Series) -> list[str]:
    """The letters and digits of texts, in lower case, with single blanks between words."""
    return texts.str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars().to_list()


def shingles(texts: Sequence[str], *, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A hash of every `width` signs in a row, uint64 [G], and where each text's begin, int64 [T + 1].

    A text shorter than `width` has one shingle, the whole of it.
    """
    end = "\0"
    padded = [text.ljust(width, end) for text in texts]
    code_C = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    length_T = np.fromiter(map(len, padded), np.int64, len(padded))
    count_T = length_T - width + 1
    start_T = np.append(0, np.cumsum(count_T))
    # Shingle g of text t begins where g does, moved by the ends of the texts before.
    place_G = np.arange(start_T[-1]) + np.repeat(np.arange(len(padded)) * (width - 1), count_T)
    hash_G = np.zeros(len(place_G), np.uint64)
    for step in range(width):
        hash_G = hash_G * np.uint64(0x9E3779B97F4A7C15) + code_C[place_G + step] + np.uint64(1)
    return split.mix(hash_G), start_T


def signatures(hash_G: np.ndarray, start_T: np.ndarray, *, hashes: int = 60, seed: Seed) -> np.ndarray:
    """The least of each hash function over a text's shingles, uint64 [T, K]: two agree as often as the sets overlap."""
    draw = seed.generator()
    factor_K = draw.integers(0, 2**63, hashes).astype(np.uint64) * np.uint64(2) + np.uint64(1)
    shift_K = draw.integers(0, 2**63, hashes).astype(np.uint64)
    least_TK = np.empty((len(start_T) - 1, hashes), np.uint64)
    for at in range(hashes):
        least_TK[:, at] = np.minimum.reduceat(hash_G * factor_K[at] + shift_K[at], start_T[:-1])
    return least_TK


def candidates(least_TK: np.ndarray, *, rows: int = 3, window: int = 4) -> np.ndarray:
    """Pairs of texts that agree in one band of `rows` hashes, int64 [P, 2], the earlier first.

    In a band's bucket a text is compared with the first of it and the `window` before it, so that a crowd of equal
    texts costs no more than others; another band parts them otherwise.
    """
    found = []
    for start in range(0, least_TK.shape[1] - rows + 1, rows):
        key_T = np.zeros(len(least_TK), np.uint64)
        for at in range(start, start + rows):
            key_T = split.mix(key_T + least_TK[:, at])
        order = np.argsort(key_T, kind="stable")
        key_T = key_T[order]
        new_T = np.append(True, key_T[1:] != key_T[:-1])
        first_T = np.flatnonzero(new_T)[np.cumsum(new_T) - 1]
        far = np.flatnonzero(np.arange(len(order)) - first_T > window)
        found.append(np.column_stack([order[first_T[far]], order[far]]))
        for step in range(1, min(window, len(order) - 1) + 1):
            same = np.flatnonzero(key_T[step:] == key_T[:-step])
            found.append(np.column_stack([order[same], order[same + step]]))
    pairs = np.concatenate(found) if found else np.zeros((0, 2), np.int64)
    _, first = np.unique(pairs[:, 0] * len(least_TK) + pairs[:, 1], return_index=True)
    return np.asarray(pairs[first])


def jaccard(hash_G: np.ndarray, start_T: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Shingles that both texts of a pair hold over those that either holds, float64 [P]."""
    sets: dict[int, np.ndarray] = {}
    for at in np.unique(pairs):
        sets[int(at)] = np.unique(hash_G[start_T[at] : start_T[at + 1]])
    found_P = np.empty(len(pairs))
    for place, (one, other) in enumerate(pairs.tolist()):
        both = len(np.intersect1d(sets[one], sets[other], assume_unique=True))
        found_P[place] = both / (len(sets[one]) + len(sets[other]) - both)
    return found_P


def near(
    texts: Sequence[str], *, least: float, slack: float = 0.15, width: int = 5, seed: Seed
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of texts whose sets of shingles overlap by at least `least`, int64 [P, 2], and by how much.

    The overlap is worked out only where the signatures agree by `least` without `slack`.
    """
    none = np.zeros((0, 2), np.int64), np.zeros(0)
    if len(texts) < 2:
        return none
    hash_G, start_T = shingles(texts, width=width)
    least_TK = signatures(hash_G, start_T, seed=seed)
    pairs = candidates(least_TK)
    agree_P = np.concatenate(
        [
            (least_TK[some[:, 0]] == least_TK[some[:, 1]]).mean(axis=1)
            for some in np.array_split(pairs, len(pairs) // 100_000 + 1)
        ]
    )
    pairs = pairs[agree_P >= least - slack]
    overlap_P = jaccard(hash_G, start_T, pairs)
    return pairs[overlap_P >= least], overlap_P[overlap_P >= least]
