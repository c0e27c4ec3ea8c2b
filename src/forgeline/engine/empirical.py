"""A sample as its distinct values, ascending, and how often each occurs: its quantiles, spread and likelihood.

Shapes: V and W distinct values of two samples, N rows.
"""

import numpy as np


def distinct(ordered_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values and their counts, of sorted values."""
    start = np.flatnonzero(np.append(True, ordered_N[1:] != ordered_N[:-1])) if len(ordered_N) else np.zeros(0, int)
    return ordered_N[start], np.diff(np.append(start, len(ordered_N)))


def ascending(value_V: np.ndarray, count_V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values in order, with their counts."""
    order = np.argsort(value_V, kind="stable")
    return value_V[order], count_V[order]


def member(value_N: np.ndarray, value_V: np.ndarray, far_V: np.ndarray) -> np.ndarray:
    """bool [N]: rows whose value is one of those that are outside."""
    place_N = np.minimum(np.searchsorted(value_V, value_N), len(value_V) - 1)
    return np.asarray(far_V[place_N] & ~np.isnan(value_N))


def quantile(value_V: np.ndarray, count_V: np.ndarray, share: float) -> float:
    """The value below which a share of the rows lies."""
    sum_V = np.cumsum(count_V)
    return float(value_V[min(int(np.searchsorted(sum_V, share * sum_V[-1])), len(value_V) - 1)])


def middle(value_V: np.ndarray, count_V: np.ndarray, *, spike: float = 0.2) -> tuple[float, float]:
    """Median and spread; values that hold more than the share `spike` of the rows do not count for the spread."""
    plain = count_V <= spike * count_V.sum()
    if plain.sum() >= 4:
        value_V, count_V = value_V[plain], count_V[plain]
    centre = quantile(value_V, count_V, 0.5)
    away_V = np.abs(value_V - centre)
    spread = 1.4826 * quantile(*ascending(away_V, count_V), 0.5)
    return centre, spread or float(away_V.mean()) or 1.0


def distance(value_V: np.ndarray, count_V: np.ndarray, other_W: np.ndarray, other_count_W: np.ndarray) -> float:
    """Kolmogorov–Smirnov distance of two samples, each distinct values and counts, ascending; close ones are equal."""
    share_V = np.append(0, np.cumsum(count_V)) / count_V.sum()
    share_W = np.append(0, np.cumsum(other_count_W)) / other_count_W.sum()
    nudge_V = 1e-9 * np.abs(value_V)
    above = share_W[np.searchsorted(other_W, value_V + nudge_V, side="right")] - share_V[1:]
    below = share_W[np.searchsorted(other_W, value_V - nudge_V, side="left")] - share_V[:-1]
    return float(max(np.abs(above).max(), np.abs(below).max()))


def critical(count_V: np.ndarray, other_W: np.ndarray, *, level: float = 1.63) -> float:
    """The largest Kolmogorov–Smirnov distance that two samples of one law have in 99 % of cases."""
    m, n = float(count_V.sum()), float(other_W.sum())
    return level * float(np.sqrt((m + n) / (m * n)))


def like(value_V: np.ndarray, count_V: np.ndarray, bulk_W: np.ndarray, bulk_count_W: np.ndarray) -> float:
    """Log-likelihood of values under the bulk: a histogram of 20 bins of equal rows, and a little for the rest."""
    edges = np.unique([quantile(bulk_W, bulk_count_W, share) for share in np.linspace(0, 1, 21)])
    edges = np.append(edges, bulk_W[-1] + (edges[-1] - edges[0]) * 1e-9) if len(edges) > 1 else edges
    if len(edges) < 3:
        return -np.inf
    rows_B = np.histogram(bulk_W, edges, weights=bulk_count_W)[0]
    density_B = 0.98 * rows_B / rows_B.sum() / np.diff(edges)
    place_V = np.searchsorted(edges, value_V, side="right") - 1
    within = (place_V >= 0) & (place_V < len(density_B))
    outer = 0.02 / (3 * (edges[-1] - edges[0]))
    density_V = np.where(within, density_B[np.clip(place_V, 0, len(density_B) - 1)], 0) + outer
    return float(count_V @ np.log(density_V))


def spread_likelihood(value_V: np.ndarray, count_V: np.ndarray) -> float:
    """Log-likelihood of the values spread evenly, or their ratios, whichever is better; less 2 log N for the ends."""
    rows = count_V.sum()
    even = rows * np.log(0.98) - 2 * np.log(rows) - rows * np.log(max(value_V[-1] - value_V[0], 1e-300))
    if value_V[0] <= 0:
        return float(even)
    ratio = np.log(max(np.log(value_V[-1] / value_V[0]), 1e-12))
    return float(max(even, rows * np.log(0.98) - 2 * np.log(rows) - rows * ratio - count_V @ np.log(value_V)))
