"""Rows that repeat another exactly, by chance or beyond it, and what copies of rows add to a score.

Shapes: N rows, F columns; P rows of a probe's pool, S of its sample; K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forgeline.engine import split
from forgeline.engine.cells import WIDE, Cells, cell_hashes

if TYPE_CHECKING:
    from forgeline.engine.probe import Probe


@dataclass(frozen=True)
class Repeats:
    """Rows that repeat an earlier row, and how many of them chance would bring."""

    later: np.ndarray
    """The repeats, int64."""
    first_N: np.ndarray
    """The first row that is equal to each row; itself where there is none before."""
    copies_N: np.ndarray
    """How many rows share each row's values."""
    chance: float
    """Repeats that chance would bring; NaN where it was not worked out."""

    @property
    def beyond(self) -> float:
        """Repeats that chance does not explain; 0 where it may explain all."""
        slack = 2 * self.chance + 4 * np.sqrt(self.chance) + 3
        return float(len(self.later) - self.chance) if len(self.later) > slack else 0.0


def repeats(cells: Cells, beside: pl.Series | None = None, *, least_share: float = 0.002) -> Repeats:
    """Rows equal to an earlier one in every column, and in one `beside` these.

    Chance is worked out where they are `least_share` of the rows or more.
    """
    if len(cells.names) > WIDE and len(np.unique(cells.first_keys())) == cells.rows:
        alone_N = np.arange(cells.rows)  # rows that differ in the first columns differ
        return Repeats(alone_N[:0], alone_N, np.ones(cells.rows, np.int64), float("nan"))
    key_N = cells.row_keys(beside)
    _, first, position_N, count = np.unique(key_N, return_index=True, return_inverse=True, return_counts=True)
    later = np.flatnonzero(first[position_N] != np.arange(cells.rows))
    worth = len(later) and len(later) >= least_share * cells.rows
    frame = cells.frame if beside is None else cells.frame.with_columns(beside)
    chance = by_chance(frame, first, count, len(later)) if worth else float("nan")
    return Repeats(later, first[position_N], count[position_N], chance)


def by_chance(frame: pl.DataFrame, first: np.ndarray, count: np.ndarray, later: int, *, most_odds: float = 10) -> float:
    """How many repeats chance would bring, given how many rows differ in one column only.

    Rows that meet by chance are among many that almost meet: pairs that differ in one column alone are to equal
    pairs as disagreement to agreement in that column. Copies have no such company. The largest of the
    columns' estimates counts, over distinct rows, and over all pairs so that values met often count as often.
    """
    part_NF = np.column_stack([cell_hashes(frame[name]) for name in frame.columns])
    total_N = part_NF.sum(axis=1, dtype=np.uint64)
    equal_pairs = float((count * (count - 1.0) / 2).sum())
    single = share = 0.0
    for at in range(part_NF.shape[1]):
        agree = collision(part_NF[:, at])
        odds = min(most_odds, agree / (1 - agree)) if agree < 1 else 0.0
        _, rest = np.unique((total_N - part_NF[:, at])[first], return_inverse=True)
        distinct, rows = np.bincount(rest).astype(np.float64), np.bincount(rest, count)
        single = max(single, odds * float((distinct * (distinct - 1) / 2).sum()))
        share = max(share, odds * float(rows @ rows - count @ count) / 2 / equal_pairs)
    return max(single, later * min(1.0, share))


def collision(hash_N: np.ndarray) -> float:
    """The chance that two rows agree; that of half a pair where none does."""
    ordered = np.sort(hash_N)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    count = np.diff(np.append(starts, len(ordered))).astype(np.float64)
    pairs = max(len(hash_N) * (len(hash_N) - 1), 1)
    return float(max((count * (count - 1)).sum(), 1.0) / pairs) if len(hash_N) > 1 else 1.0


def gain_of_shared(probe: Probe, unit_N: np.ndarray, *, most_rows: int = 8_000, folds: int = 4) -> Gain:
    """How much better a random split looks than one that keeps the rows of each unit together.

    `unit_N`: the unit of every training row. Whole units are drawn, so that copies are as frequent as in the table.
    """
    unit_P = unit_N[probe.rows_P]
    rows = probe.rows_S
    if len(unit_P) > most_rows:
        drawn_P = split.mix(unit_P.astype(np.uint64) + np.uint64(probe.seed.child("units").integer))
        rows = np.sort(np.argsort(drawn_P, kind="stable")[:most_rows])
    apart_S = (probe.seed.child("random folds").generator().permutation(len(rows)) % folds).astype(np.uint8)
    _, first, position_S = np.unique(unit_P[rows], return_index=True, return_inverse=True)
    names = tuple(probe.names)
    together = probe.crossed(names, rows, apart_S[first][position_S])
    apart = probe.crossed(names, rows, apart_S)
    # Only rows with copies gain by them: what the two models say of the others differs by luck.
    shared_S = np.bincount(position_S)[position_S] > 1
    leaked_SK = np.where(shared_S[:, None], apart.p_SK, together.p_SK)
    return Gain.of(probe, leaked_SK, together.p_SK, probe.y_P[rows], apart_S, share=float(shared_S.mean()))


def gain_of_copied(probe: Probe, share: float, *, folds: int = 3) -> Gain:
    """How much better a score looks when a share of the rows it is taken on are training rows too."""
    honest = probe.cross(folds=folds)
    rows, names = honest.rows_S, tuple(probe.names)
    fold_S = probe.fold_P[rows] % folds
    copied_S = probe.seed.child("copied").generator().random(len(rows)) < share
    x_SF, y_S = probe.matrix(names, rows), probe.y_P[rows]
    p_SK = honest.p_SK.copy()
    for fold in np.unique(fold_S):
        train = np.flatnonzero((fold_S != fold) | copied_S)
        if len(train) >= 10 and (probe.task == "regression" or len(np.unique(y_S[train])) > 1):
            p_SK[fold_S == fold] = probe.fit(names, x_SF[train], y_S[train]).predict(x_SF[fold_S == fold])
    leaked_SK = np.where(copied_S[:, None], p_SK, honest.p_SK)
    return Gain.of(probe, leaked_SK, honest.p_SK, y_S, fold_S, share=share)


@dataclass(frozen=True)
class Gain:
    """What a leak adds to a score, with a 95 % interval over folds."""

    inflation: float
    low: float
    high: float
    honest: float

    @classmethod
    def of(
        cls,
        probe: Probe,
        leaked_SK: np.ndarray,
        honest_SK: np.ndarray,
        y_S: np.ndarray,
        fold_S: np.ndarray,
        share: float,
    ) -> Gain:
        """Of two predictions of the same rows, compared in parts; at most what knowing the share would add."""
        parts = [fold_S == fold for fold in np.unique(fold_S)]
        pairs = [(probe.score(honest_SK[part], y_S[part]), probe.score(leaked_SK[part], y_S[part])) for part in parts]
        known_FS = np.array([pair for pair in pairs if np.isfinite(pair).all()]).reshape(-1, 2)
        if not len(known_FS):
            return cls(0.0, 0.0, 0.0, probe.floor)
        honest = float(known_FS[:, 0].mean())
        more = known_FS[:, 1] - known_FS[:, 0]
        error = 2 * float(more.std(ddof=1)) / np.sqrt(len(more)) if len(more) > 1 else abs(float(more[0]))
        most = max(0.0, (1 - honest) * share * (1 if probe.task == "regression" else 2))
        middle = float(np.clip(more.mean(), 0, most))
        return cls(middle, float(np.clip(middle - error, 0, most)), float(np.clip(middle + error, 0, most)), honest)

    @property
    def numbers(self) -> dict[str, float]:
        """As a finding carries it."""
        return {"inflation": self.inflation, "low": self.low, "high": self.high, "honest": self.honest}
