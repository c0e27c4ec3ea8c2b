"""Finds the few columns whose linear combination is exactly the target.

Shapes: N rows, F columns.
"""

from dataclasses import dataclass

import numpy as np

from forgeline.engine.seeds import Seed

MOST_ROWS = 20_000
MOST_CELLS = 20_000_000
"""Rows, and rows times columns, that the search reads; what it finds is checked on every row."""
WIDE = 100
"""Up to this many columns all are fitted at once; beyond, matching pursuit picks the candidates."""


@dataclass(frozen=True)
class Fit:
    """target = intercept + Σ coefficient · column."""

    intercept: float
    coefficients: list[float]
    residual: float
    """Norm of what is left, over the norm of the target about its mean."""


def sample(rows: int, columns: int) -> np.ndarray:
    """Rows to search in: the same random choice for the same shape."""
    size = min(rows, MOST_ROWS, max(MOST_CELLS // max(columns, 1), 1))
    return Seed(0).child("combination", rows).generator().permutation(rows)[:size]


def find(x_NF: np.ndarray, y_N: np.ndarray, *, most: int, tolerance: float) -> list[int]:
    """Columns that give y exactly, none of them to spare, as sorted numbers, or none.

    Candidates come from least squares on all columns, or where they are many from orthogonal matching pursuit
    (Pati et al. 1993). Then columns are left out one at a time while the rest, fitted on one half of the rows,
    still gives the other half within the tolerance: no set comes from rows that are too few for it.
    """
    half = len(y_N) // 2
    x_NF, y_N, names = standardise(x_NF, y_N)
    if not len(names):
        return []
    fit, held = (x_NF[:half], y_N[:half]), (x_NF[half:], y_N[half:])
    if len(names) <= WIDE and 3 * len(names) <= half:
        chosen = np.arange(len(names))
        fit, held = triangle(*fit), triangle(*held)
    else:
        chosen = pursue(*fit, steps=min(3 * most, half // 3), tolerance=tolerance)
    chosen = eliminate(chosen, fit, held, tolerance)
    return sorted(int(names[column]) for column in chosen) if len(chosen) <= most else []


def standardise(x_NF: np.ndarray, y_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns and target with mean 0 and deviation 1, and the numbers of the columns: only those that vary."""
    deviation_F = x_NF.std(axis=0)
    names = np.flatnonzero(deviation_F > 1e-12 * np.abs(x_NF).max(axis=0, initial=0))
    x_NF = (x_NF[:, names] - x_NF[:, names].mean(axis=0)) / deviation_F[names]
    return x_NF, (y_N - y_N.mean()) / (y_N.std() or 1.0), names


def triangle(x_NF: np.ndarray, y_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A system of F + 1 rows with the same residuals as the N rows: the R of their QR decomposition."""
    factor = np.linalg.qr(np.column_stack([x_NF, y_N]), mode="r")
    return np.asarray(factor)[:, :-1], np.asarray(factor)[:, -1]


def pursue(x_NF: np.ndarray, y_N: np.ndarray, steps: int, tolerance: float) -> np.ndarray:
    """Orthogonal matching pursuit: add the column most like what is left, refit, and so on."""
    chosen: list[int] = []
    left_N = y_N
    while len(chosen) < min(steps, x_NF.shape[1]) and np.linalg.norm(left_N) > tolerance * np.linalg.norm(y_N):
        likeness_F = np.abs(x_NF.T @ left_N)
        likeness_F[chosen] = -1
        chosen.append(int(likeness_F.argmax()))
        left_N = y_N - x_NF[:, chosen] @ solve(x_NF[:, chosen], y_N)
    return np.array(chosen, dtype=int)


def eliminate(
    chosen: np.ndarray,
    fit: tuple[np.ndarray, np.ndarray],
    held: tuple[np.ndarray, np.ndarray],
    tolerance: float,
) -> np.ndarray:
    """Leave out what is not needed, the smallest coefficients first; empty when all together are not exact."""

    def exact(columns: np.ndarray) -> bool:
        left = held[1] - held[0][:, columns] @ solve(fit[0][:, columns], fit[1])
        return bool(np.linalg.norm(left) <= tolerance * np.linalg.norm(held[1]))

    if not len(chosen) or not exact(chosen):
        return chosen[:0]
    size = np.abs(solve(fit[0][:, chosen], fit[1]))
    large = chosen[size > tolerance]
    kept = large if len(large) and exact(large) else chosen
    for column in chosen[np.argsort(size, kind="stable")]:
        rest = kept[kept != column]
        if len(rest) < len(kept) and len(rest) and exact(rest):
            kept = rest
    return kept


def solve(x_NF: np.ndarray, y_N: np.ndarray) -> np.ndarray:
    """Least squares; of equal solutions the smallest."""
    found: np.ndarray = np.linalg.lstsq(x_NF, y_N, rcond=None)[0]
    return found


def fit(x_NF: np.ndarray, y_N: np.ndarray) -> Fit:
    """Least squares with an intercept on every row, in the columns' own units."""
    mean_F, mean = x_NF.mean(axis=0), y_N.mean()
    coefficient_F = solve(x_NF - mean_F, y_N - mean)
    left_N = y_N - mean - (x_NF - mean_F) @ coefficient_F
    residual = np.linalg.norm(left_N) / (np.linalg.norm(y_N - mean) or 1.0)
    return Fit(float(mean - mean_F @ coefficient_F), coefficient_F.tolist(), float(residual))
