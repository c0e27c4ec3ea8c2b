"""Evidence of structure: how much pairs of rows resemble one another, and clues that are joined.

Shapes: N rows, P pairs, C columns compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgeline.engine.cells import Cells


@dataclass(frozen=True)
class Clue:
    """A column and what speaks for it."""

    name: str
    sure: float
    resemblance: float = 0.0


def joined(*clues: float) -> float:
    """Independent clues: 1 − Π(1 − clue)."""
    return round(1 - float(np.prod([1 - clue for clue in clues])), 9)


class Pairs:
    """Compares rows: how far apart two are, column by column."""

    def __init__(self, cells: Cells, draw: np.random.Generator, most_pairs: int, most_columns: int) -> None:
        self.cells, self.most, self.draw = cells, most_pairs, draw
        names = [name for name in cells.first if self.compared(name)]
        chosen = draw.permutation(len(names))[:most_columns]
        self.names = [names[at] for at in np.sort(chosen)]

    def compared(self, name: str) -> bool:
        """Whether a column can show resemblance: it varies, and its texts are not all their own."""
        levels = self.cells.distinct(name)
        return levels > 1 and not (self.cells.is_text(name) and levels > 0.9 * self.cells.rows)

    def apart(self, name: str, left_P: np.ndarray, right_P: np.ndarray) -> np.ndarray:
        """float64 [P]: 0 or 1 for categories, the difference of ranks (0 to 1) for numbers; NaN where unknown."""
        cells = self.cells
        if cells.is_number(name) or cells.is_date(name):
            value_2P = cells.numbers(name)[np.stack([left_P, right_P])]
            rank_2P = np.searchsorted(cells.ordered(name), value_2P) / max(len(cells.ordered(name)), 1)
            return np.asarray(np.abs(rank_2P[0] - rank_2P[1]) + 0 * value_2P[0] * value_2P[1])
        codes_N = cells.codes(name)
        return np.asarray(codes_N[left_P] != codes_N[right_P], np.float64)

    def matrix(self, names: Sequence[str], left_P: np.ndarray, right_P: np.ndarray) -> np.ndarray:
        """float64 [P, C] of `apart`."""
        parts = [self.apart(name, left_P, right_P) for name in names]
        return np.column_stack(parts) if parts else np.zeros((len(left_P), 0))

    def lift(self, near_PC: np.ndarray, far_PC: np.ndarray) -> tuple[np.ndarray, float]:
        """1 − near ÷ far of each column, and how many standard errors their mean is above 0."""
        far_C, near_C = mean(far_PC), mean(near_PC)
        known_C = (far_C > 1e-9) & ~np.isnan(near_C)
        if not known_C.any() or len(near_PC) < 20 or len(far_PC) < 20:
            return np.zeros(far_PC.shape[1]), 0.0
        lift_C = np.where(known_C, 1 - near_C / np.where(known_C, far_C, 1), 0.0)
        near_P, far_P = (mean((x_PC[:, known_C] / far_C[known_C]).T) for x_PC in (near_PC, far_PC))
        error = (spread(near_P) + spread(far_P)) ** 0.5
        return lift_C, float(lift_C[known_C].mean() / max(error, 1e-9))


def mean(x_PC: np.ndarray) -> np.ndarray:
    """Mean of each column without NaN; NaN where nothing is known."""
    known_PC = ~np.isnan(x_PC)
    count_C = known_PC.sum(axis=0)
    total_C = np.where(known_PC, x_PC, 0.0).sum(axis=0)
    return np.asarray(np.where(count_C > 0, total_C / np.maximum(count_C, 1), np.nan))


def spread(x_P: np.ndarray) -> float:
    """Squared standard error of the mean."""
    known_P = x_P[~np.isnan(x_P)]
    return float(known_P.var() / max(len(known_P), 1))
