"""Rows that are almost another row, judged by what is natural for the table.

Shapes: N rows, F columns, P pairs, Q values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from forgeline.engine.cells import Cells
from forgeline.engine.duplicates import repeats
from forgeline.engine.neighbours import ABSENT, Nearest, Points, nearest, points, usual_distance
from forgeline.engine.seeds import Seed


@dataclass(frozen=True)
class Copies:
    """Rows that are almost another row, far closer than is natural for the table."""

    row_P: np.ndarray
    """The later row of each pair, int64."""
    partner_P: np.ndarray
    closeness_P: np.ndarray
    """How many times nearer the partner is than is natural for the row."""


def copies(
    frame: pl.DataFrame,
    side_N: np.ndarray | None = None,
    *,
    least_share: float = 0.004,
    least_rows: int = 6,
    seed: Seed,
) -> Copies:
    """Rows (no two of them equal) that are almost another row; with `side_N`, a row of the other side.

    Two ways to be a copy: a small distance in all columns, or agreement cell by cell in all but a few.
    Either must stand apart: many more rows as close as that, than the rows a little less close lead one to expect.
    """
    names = [name for name in frame.columns if not is_key(frame[name])]
    least = max(float(least_rows), least_share * frame.height)
    if frame.height < 20 or not names:
        return Copies(*(np.zeros(0, np.int64),) * 2, np.zeros(0))
    if len(names) < frame.width:
        return but_for_keys(frame.select(names), side_N, least, seed)
    return apart(frame, side_N, least, seed)


def apart(frame: pl.DataFrame, side_N: np.ndarray | None, least: float, seed: Seed) -> Copies:
    """The copies among rows of which no two are equal."""
    these = points(frame, seed=seed)
    near, factor_N = by_distance(these, side_N, least, seed)
    same, less_N = by_agreement(these, side_N, least, seed)
    partner_N = np.where(factor_N > 0, near.partner_N, same.partner_N)
    closeness_N = np.where(factor_N > 0, factor_N, less_N)
    row_P = np.flatnonzero(closeness_N > 0)
    return Copies(row_P, partner_N[row_P], closeness_N[row_P])


def but_for_keys(frame: pl.DataFrame, side_N: np.ndarray | None, least: float, seed: Seed) -> Copies:
    """The copies among rows that may be equal, as the columns that number them were left out.

    Equal ones are copies too where they are more than chance brings.
    """
    cells = Cells(frame)
    key_N = cells.row_keys(None if side_N is None else pl.Series("\x00side", side_N))
    _, first = np.unique(key_N, return_index=True)
    first.sort()
    found = apart(frame[first], None if side_N is None else side_N[first], least, seed)
    near = Copies(first[found.row_P], first[found.partner_P], found.closeness_P)
    equal = repeats(cells)
    later = equal.later if side_N is None else equal.later[side_N[equal.later] != side_N[equal.first_N[equal.later]]]
    if not equal.beyond or len(later) < least:
        return near
    row_P = np.append(later, near.row_P)
    once = np.unique(row_P, return_index=True)[1]
    return Copies(
        row_P[once],
        np.append(equal.first_N[later], near.partner_P)[once],
        np.append(np.full(len(later), 1e6), near.closeness_P)[once],
    )


def is_key(values: pl.Series, *, distinct: float = 0.95) -> bool:
    """Whether a column numbers or names the rows, so that copies would differ in it: text or dense whole numbers."""
    if values.dtype == pl.String:
        return values.n_unique() >= distinct * len(values)
    if not values.dtype.is_integer() or values.null_count():
        return False
    low, high = int(values.min()), int(values.max())  # type: ignore[arg-type]
    return (
        high - low < 3 * len(values) and high - low >= len(values) // 2 and values.n_unique() >= distinct * len(values)
    )


def is_later(partner_N: np.ndarray, side_N: np.ndarray | None) -> np.ndarray:
    """Rows whose partner comes before them, bool [N]; with sides, those of side 1."""
    rows = np.arange(len(partner_N))
    return (partner_N >= 0) & ((partner_N < rows) if side_N is None else (side_N == 1))


def by_distance(
    these: Points, side_N: np.ndarray | None, least: float, seed: Seed, *, most_share: float = 0.5
) -> tuple[Nearest, np.ndarray]:
    """How many times nearer than usual the nearest row is, float64 [N]; 0 where that is natural."""
    rows = len(these)
    everyone = np.arange(rows)
    among = everyone if side_N is None else np.flatnonzero(side_N == 0)
    some = np.sort(seed.child("some").generator().permutation(rows)[:300])
    usual = float(np.median(usual_distance(these, some, among, seed=seed)))
    factor_N = np.zeros(rows)
    if usual <= 0:
        return Nearest(np.full(rows, ABSENT), np.full(rows, np.inf)), factor_N
    near = nearest(these, side_N, width=usual / 2, seed=seed)
    suspects = np.flatnonzero((near.distance_N < usual / 2) & is_later(near.partner_N, side_N))
    if len(suspects) < least:
        return near, factor_N
    usual_Q = usual_distance(these, suspects, among, seed=seed)
    log_Q = np.log10(np.maximum(usual_Q, 1e-12) / np.maximum(near.distance_N[suspects], 1e-9))
    edge = stands_apart(
        log_Q, np.arange(0.5, 1.65, 0.1), 0.2, least, most_share * (rows if side_N is None else (side_N == 1).sum())
    )
    chosen = log_Q > edge
    factor_N[suspects[chosen]] = 10 ** log_Q[chosen]
    return near, factor_N


def by_agreement(
    these: Points,
    side_N: np.ndarray | None,
    least: float,
    seed: Seed,
    *,
    least_columns: int = 5,
    most_chance: float = 0.15,
    most_share: float = 0.5,
) -> tuple[Nearest, np.ndarray]:
    """For rows that differ from another in one cell only, the information they share over what they do not.

    float64 [N]; 0 where chance brings such pairs: as many as the rows that differ in one more column lead one
    to expect (see `by_chance`), judged for each column by itself.
    """
    rows, columns = these.part_NF.shape
    partner_N, factor_N = np.full(rows, ABSENT), np.zeros(rows)
    near = Nearest(partner_N, np.full(rows, np.inf))
    if columns < least_columns:
        return near, factor_N
    total_N = these.part_NF.sum(axis=1, dtype=np.uint64)
    found = [one_apart(total_N - these.part_NF[:, at], side_N) for at in range(columns)]
    likely = [at for at in np.argsort([len(later) for later, _ in found], kind="stable") if len(found[at][0])]
    pairs = [equal_pairs(total_N - these.part_NF[:, at]) for at in range(columns)]
    kept = chance = 0.0
    order = seed.child("beside").generator().permutation(columns)
    for at in likely if sum(len(later) for later, _ in found) >= least else ():
        later, partner = found[at]
        expected = one_more(these, total_N, at, order, pairs)
        if pairs[at] <= 3 * expected + 2 * np.sqrt(expected) or len(later) > most_share * (
            rows if side_N is None else (side_N == 1).sum()
        ):
            continue
        kept, chance = kept + len(later), chance + len(later) * expected / pairs[at]
        partner_N[later] = partner
        shared = float(these.information_F.sum() - these.information_F[at])
        factor_N[later] = np.maximum(factor_N[later], 1 + shared / max(these.information_F[at], 0.01))
    if kept < least or chance > most_chance * kept:
        factor_N[:] = 0
    return near, factor_N


def one_apart(rest_N: np.ndarray, side_N: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose rest equals that of an earlier row (of side 0, with sides), and that row."""
    order = np.argsort(rest_N, kind="stable")
    if side_N is not None:
        order = order[np.lexsort((side_N[order], rest_N[order]))]
    starts = np.append(True, rest_N[order][1:] != rest_N[order][:-1])
    first = order[starts][np.cumsum(starts) - 1]
    paired = (order != first) if side_N is None else (side_N[order] == 1) & (side_N[first] == 0)
    return order[paired], first[paired]


def one_more(
    these: Points,
    total_N: np.ndarray,
    at: int,
    order: np.ndarray,
    alone: list[float],
    *,
    columns: int = 12,
    most_odds: float = 10,
) -> float:
    """Pairs that chance would make differ in column `at` alone: the largest of some other columns' estimates.

    `alone`: how many pairs differ in each column alone.
    """
    largest = 0.0
    for other in [other for other in order if other != at][:columns]:
        agree = float(np.exp(-these.information_F[other]))
        odds = min(most_odds, agree / (1 - agree)) if agree < 1 else 0.0
        both = equal_pairs(total_N - these.part_NF[:, at] - these.part_NF[:, other]) - alone[at] - alone[other]
        largest = max(largest, odds * both)
        if 3 * largest > alone[at]:
            break
    return largest


def equal_pairs(hash_N: np.ndarray) -> float:
    """How many pairs of rows have equal hashes."""
    _, count = np.unique(hash_N, return_counts=True)
    return float((count * (count - 1.0) / 2).sum())


def stands_apart(
    value_Q: np.ndarray, edges: np.ndarray, step: float, least: float, most: float, *, most_natural: float = 0.1
) -> float:
    """The edge beyond which values are a crowd of their own; inf where there is none.

    A natural tail falls off: what lies beyond an edge is foretold from the steps before it, as a geometric row.
    An edge serves where that explains at most `most_natural` of what does lie beyond.
    """
    best, found = 0.0, np.inf
    for edge in edges:
        beyond = int((value_Q > edge).sum())
        natural = foretold(value_Q, float(edge), step)
        gain = beyond - 1.5 * natural
        natural += 1.5 * np.sqrt(natural) if beyond < 50 else 0.0
        if least <= beyond <= most and natural <= most_natural * beyond and gain > best:
            best, found = gain, float(edge)
    return found


def foretold(value_Q: np.ndarray, edge: float, step: float) -> float:
    """How many values a natural tail has beyond an edge, from the three steps before it.

    From the last two steps; or, where the values beyond gather in a peak of their own that may reach into the last
    step, from the two before that.
    """
    count = [int(((value_Q > edge - (at + 1) * step) & (value_Q <= edge - at * step)).sum()) for at in range(3)]
    ratio = min(0.8, (count[0] + 0.5) / (count[1] + 1))
    natural = max(0.1, count[0] * ratio / (1 - ratio))
    peak = np.histogram(value_Q, edge + step * np.arange(11))[0].max()
    if peak > 1.5 * count[0] + 3 * np.sqrt(count[0]):
        ratio = min(0.8, (count[1] + 0.5) / (count[2] + 1))
        natural = min(natural, max(0.1, count[1] * ratio**2 / (1 - ratio)))
    return float(natural)
