"""Columns of which one decides another in nearly every row: the rows that break it are suspect."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from forgeline.engine.cells import Cells
from forgeline.engine.explained import given_away
from forgeline.kinds import View
from forgeline.records import Finding, Fix

codes = ("quality.dependency",)


class Pair(NamedTuple):
    """What column `a` says of column `b`: rows that break it, and the share of a's value that agrees in each."""

    a: str
    b: str
    rows: np.ndarray
    agree: np.ndarray
    known: int


def check(
    table: View,
    target: pl.Series | None,
    *,
    most_broken: float = 0.25,
    most_levels: int = 2000,
    least_levels: int = 4,
    least_told: float = 0.5,
    sample: int = 1000,
) -> Iterator[Finding]:
    """`quality.dependency`: a value of one column goes with one value of another but for `most_broken` of the rows.

    It has to hold for every value of the first, as for a code and its name; categories that merely go together are
    none. Score is the share of the rows with the same first value that agree on another second value.
    """
    names = [name for name in table.cells.first if candidate(table.cells, name, most_levels)]
    codes = {name: table.cells.codes(name) for name in names}
    levels = {name: len(table.cells.levels(name)) for name in names}
    step = max(1, table.all.height // sample)
    some = {name: codes[name][::step] for name in names}
    told: list[set[str]] = []
    for a in names:
        for b in names:
            if a == b or {a, b} in told or levels[a] < max(least_levels, levels[b]):
                continue
            if likely(some[a], some[b]) < least_told or likely(codes[a], codes[b]) < least_told:
                continue
            found = broken(a, b, codes[a], codes[b], most_broken)
            if found is not None and not explained(table.cells, found):
                told.append({a, b})
                yield finding(table, found)


def candidate(cells: Cells, name: str, most_levels: int) -> bool:
    """Whether a column's values recur often enough to say something, and are no measurements."""
    if cells.dtypes[name].is_float() or cells.is_date(name):
        return False
    levels = len(cells.levels(name))
    known = int(cells.levels(name).counts.sum())
    return 2 <= levels <= min(most_levels, known // 4) and cells.levels(name).counts[0] < 0.95 * known


def likely(a_S: np.ndarray, b_S: np.ndarray) -> float:
    """Share of what the commonest value leaves open in b that a closes, on a sample (Goodman and Kruskal's lambda)."""
    both = (a_S >= 0) & (b_S >= 0)
    a_S, b_S = a_S[both], b_S[both]
    if len(a_S) < 20:
        return 0.0
    blind = int(np.bincount(b_S).max())
    return float((int(best(a_S, b_S).sum()) - blind) / max(len(a_S) - blind, 1))


def best(a_N: np.ndarray, b_N: np.ndarray, *, most_cells: int = 100_000) -> np.ndarray:
    """int [A]: how many rows of each value of a have its commonest b."""
    height, width = int(a_N.max()) + 1, int(b_N.max()) + 1
    if height * width <= most_cells:
        return np.asarray(np.bincount(a_N * width + b_N, minlength=height * width).reshape(height, width).max(axis=1))
    pair, count = np.unique(a_N.astype(np.int64) * width + b_N, return_counts=True)
    best_A = np.zeros(height, np.int64)
    np.maximum.at(best_A, pair // width, count)
    return best_A


def broken(a: str, b: str, a_N: np.ndarray, b_N: np.ndarray, most_broken: float) -> Pair | None:
    """The rows whose b is not that of nearly all rows with the same a; None where nothing or too much is broken."""
    known = np.flatnonzero((a_N >= 0) & (b_N >= 0))
    a_K, b_K = a_N[known].astype(np.int64), b_N[known].astype(np.int64)
    width = int(b_K.max()) + 1
    pair, place, count = np.unique(a_K * width + b_K, return_inverse=True, return_counts=True)
    all_A = np.bincount(a_K)
    best_A = np.zeros(len(all_A), np.int64)
    np.maximum.at(best_A, pair // width, count)
    rows = int(len(known) - best_A.sum())
    if not 0 < rows <= most_broken * len(known):
        return None
    if not holds(all_A, best_A, pair, count, width):
        return None
    odd_K = count[place] < best_A[a_K]
    return Pair(a, b, known[odd_K], (best_A[a_K] / all_A[a_K])[odd_K], len(known))


def holds(all_A: np.ndarray, best_A: np.ndarray, pair: np.ndarray, count: np.ndarray, width: int) -> bool:
    """Whether it is one rule with errors, and not two categories that go together.

    A rule is broken about as often in every value of a, and in many ways; a category that goes with another is so
    in some values and not in others, or has a second favourite. Where b has few values ways are few: then the errors
    have to be as even as chance makes them.
    """
    often = all_A >= 5
    if all_A[often].sum() < 0.7 * all_A.sum() or often.sum() < 4:
        return False
    got_A = all_A - best_A
    rate = got_A.sum() / all_A.sum()
    first = count == best_A[pair // width]
    majority = np.unique(pair[first] % width)
    guesses = expected(all_A, got_A, pair[first], width)
    if len(majority) < 2 or max(all_A[near(got_A, one)].sum() for one in guesses) < 0.85 * all_A.sum():
        return False
    if any(even(got_A, one, all_A, free) for one, free in zip(guesses, (1, 1, len(majority)), strict=True)):
        return True
    wrong = count[~first]
    spread = not len(wrong) or wrong.max() < (0.4 if rate < 0.1 else 0.25) * wrong.sum() + 4
    many = len(majority) >= 3 or (len(majority) == 2 and often.sum() >= 8 and rate < 0.02)
    many &= rate <= 0.1 or evenly(all_A) >= 5
    return bool(spread and many and min(dispersion(got_A, one, all_A) for one in guesses) < 5)


def expected(all_A: np.ndarray, got_A: np.ndarray, first: np.ndarray, width: int) -> tuple[np.ndarray, ...]:
    """Three guesses of how many rows are broken in each value of a, each float64 [A].

    Errors in b come as often as a value of a does, or as its value of b does; errors in a fall on each of its values
    alike.
    """
    majority_A = np.zeros(len(all_A), np.int64)
    majority_A[first // width] = first % width
    by_B = np.bincount(majority_A, got_A) / np.maximum(np.bincount(majority_A, all_A), 1)
    alike_A = np.full(len(all_A), got_A.sum() / max((all_A > 0).sum(), 1))
    return all_A * (got_A.sum() / all_A.sum()), np.minimum(alike_A, all_A), all_A * by_B[majority_A]


def dispersion(got_A: np.ndarray, expected_A: np.ndarray, all_A: np.ndarray) -> float:
    """How many standard deviations the counts are more uneven than chance makes them (chi-squared, small ones too)."""
    heard = (expected_A > 0) & (expected_A < all_A)
    got, mean = got_A[heard], expected_A[heard]
    if not len(got):
        return 0.0
    squares = float(((got - mean) ** 2 / (mean * (1 - mean / all_A[heard]))).sum())
    return float((squares - len(got)) / np.sqrt(2 * len(got) + (1 / mean).sum()))


def near(got_A: np.ndarray, expected_A: np.ndarray) -> np.ndarray:
    """bool [A]: whether as many rows are broken as expected, about."""
    return np.asarray(np.abs(got_A - expected_A) <= np.maximum(4 * np.sqrt(expected_A) + 2, 0.6 * expected_A))


def even(
    got_A: np.ndarray,
    expected_A: np.ndarray,
    all_A: np.ndarray,
    given: int,
    *,
    least: float = 5.0,
    z: float = 2.6,
    most: float = 0.3,
) -> bool:
    """Whether the broken rows of at least 4 values, `least` expected of each, differ by chance alone (chi-squared).

    `given`: how many rates were taken from the rows. No value may break in more than `most` of its rows: a rule is a
    spike in each.
    """
    heard = (expected_A >= least) & (expected_A < all_A)
    free = int(heard.sum()) - given
    if free < 3 or (got_A[heard] > most * all_A[heard]).any():
        return False
    squares = (got_A - expected_A)[heard] ** 2 / (expected_A * (1 - expected_A / np.maximum(all_A, 1)))[heard]
    return bool(squares.sum() < free + z * (2 * free) ** 0.5)


def explained(cells: Cells, found: Pair) -> bool:
    """Whether another column tells which rows break the rule: then they are a part of the world."""
    odd_N = np.zeros(cells.rows, bool)
    odd_N[found.rows] = True
    known_N = (cells.codes(found.a) >= 0) & (cells.codes(found.b) >= 0)
    return given_away(cells, [name for name in cells.names if name not in (found.a, found.b)], odd_N, known_N)


def evenly(all_A: np.ndarray) -> float:
    """How many equally common values would be as varied (the exponential of the entropy)."""
    share_A = all_A[all_A > 0] / all_A.sum()
    return float(np.exp(-(share_A * np.log(share_A)).sum()))


def finding(table: View, found: Pair) -> Finding:
    """The finding of one pair."""
    share = len(found.rows) / found.known
    return Finding(
        code="quality.dependency",
        severity="warn",
        says=f"{found.a} decides {found.b} in all but {len(found.rows):,} of {found.known:,} rows ({share:.2%})",
        columns=[found.b, found.a],
        rows=table.keep_rows(found.rows, found.agree),
        numbers={"rows": len(found.rows), "share": share},
        fix=Fix(
            do="drop_rows", columns=[found.b], says=f"give {found.b} the value that {found.a} decides, or leave out"
        ),
    )
