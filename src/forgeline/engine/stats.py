"""How sure a number is: intervals for scores, shares, ratios and differences.

Shapes: N rows, K classes (or 1 column of values).
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from forgeline.engine.seeds import Seed

Score = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]
"""The verb of a metric: (y_N, p_NK, weight_N) → its value."""

MOST_ROWS = 10_000
"""Rows in one bootstrap draw; above it draws are smaller than the data and their spread is scaled back."""


def bootstrap(
    score: Score,
    y_N: np.ndarray,
    p_NK: np.ndarray,
    weight_N: np.ndarray | None,
    seed: Seed,
    *,
    draws: int = 200,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a score; (nan, nan) when no draw can be scored.

    Rows are drawn with their weights. Above `MOST_ROWS` rows it is the m-out-of-n bootstrap (Bickel, Götze, van
    Zwet 1997): draws of m rows, their spread around the score scaled by √(m/n); a million rows take a second.
    """

    def value(rows: np.ndarray) -> float:
        return score(y_N[rows], p_NK[rows], None if weight_N is None else weight_N[rows])

    found = drawn(value, len(y_N), seed, draws)
    centre = score(y_N, p_NK, weight_N) if len(y_N) > MOST_ROWS else 0.0
    return percentiles(found, centre, len(y_N), level)


def paired_difference(
    score: Score,
    y_N: np.ndarray,
    p_NK: np.ndarray,
    other_NK: np.ndarray,
    weight_N: np.ndarray | None,
    seed: Seed,
    *,
    draws: int = 200,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """score(p) − score(other) on the same rows, with its bootstrap interval: (difference, low, high).

    Both predictions are scored on the same drawn rows, so what they share cancels out.
    """

    def difference(y: np.ndarray, both: np.ndarray, weight: np.ndarray | None) -> float:
        width = p_NK.shape[1]
        return score(y, both[:, :width], weight) - score(y, both[:, width:], weight)

    both_NK = np.concatenate([p_NK, other_NK], axis=1)
    low, high = bootstrap(difference, y_N, both_NK, weight_N, seed, draws=draws, level=level)
    return difference(y_N, both_NK, weight_N), low, high


def drawn(value: Callable[[np.ndarray], float], rows: int, seed: Seed, draws: int) -> np.ndarray:
    """A statistic of the rows of each draw; draw i is a function of (seed, i)."""
    size = min(rows, MOST_ROWS)
    picks = (seed.child("draw", index).generator().integers(0, rows, size) for index in range(draws))
    return np.array([value(pick) for pick in picks])


def percentiles(found: np.ndarray, centre: float, rows: int, level: float) -> tuple[float, float]:
    """The middle `level` of the draws; draws smaller than the data are moved to the centre and narrowed."""
    found = found[np.isfinite(found)]
    if not len(found):
        return float("nan"), float("nan")
    if rows > MOST_ROWS:
        found = centre + (found - found.mean()) * np.sqrt(MOST_ROWS / rows)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def normal_quantile(level: float) -> float:
    """How many standard errors each side of a two-sided interval reaches: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); (0, 1) when nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    z, share = normal_quantile(level), successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - reach), min(1.0, middle + reach)


def ratio_interval(
    successes: float, n: float, base_successes: float, base_n: float, level: float = 0.95
) -> tuple[float, float, float]:
    """The ratio of two shares, normal on the log scale (Katz 1978): (ratio, low, high).

    Where nothing succeeded, the upper end adds half a row to each count (Walter 1975); nan over a base of zero.
    """
    if not (n and base_n and base_successes):
        return float("nan"), float("nan"), float("nan")
    ratio = (successes / n) / (base_successes / base_n)
    add = 0.0 if successes else 0.5
    a, b, c, d = successes + add, n + add, base_successes + add, base_n + add
    reach = normal_quantile(level) * (1 / a - 1 / b + 1 / c - 1 / d) ** 0.5
    middle = (a / b) / (c / d)
    low = middle * np.exp(-reach) if successes else 0.0
    return ratio, float(low), float(middle * np.exp(reach))


def predicted(p_NK: np.ndarray) -> np.ndarray:
    """The class each row is put in, int64 [N]: the most probable one; of two, the positive one from 0.5 on."""
    if p_NK.shape[1] == 2:
        return (p_NK[:, 1] >= 0.5).astype(np.int64)
    best_N: np.ndarray = p_NK.argmax(axis=1)
    return best_N


def confusion(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> np.ndarray:
    """Weight of the rows of each true class (down) put in each class (across), float64 [K, K]."""
    classes = p_NK.shape[1]
    cell_N = y_N.astype(np.int64) * classes + predicted(p_NK)
    return np.bincount(cell_N, weight_N, classes * classes).astype(np.float64).reshape(classes, classes)
