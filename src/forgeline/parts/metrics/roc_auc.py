"""Area under the ROC curve: how often a positive row is ranked above a negative one."""

import numpy as np

tasks = ("binary", "multiclass")
higher_is_better = True


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    """ROC AUC; several classes: one-versus-rest, weighted by class. nan when only one class occurs."""
    if p_NK.shape[1] == 2:
        return area(y_N == 1, p_NK[:, 1], weight_N)
    share_K = np.bincount(y_N.astype(np.int64), weight_N, p_NK.shape[1])
    found = np.flatnonzero(share_K)
    areas = [area(y_N == k, p_NK[:, k], weight_N) for k in found]
    return float(np.average(areas, weights=share_K[found]))


def area(positive_N: np.ndarray, p_N: np.ndarray, weight_N: np.ndarray | None) -> float:
    """Share of the pairs that are ranked rightly, ties counted half: trapezoids under the ROC curve.

    Rows of one score may come in any order, but for the last bits of sums of weights: so these are sorted stably.
    """
    order = np.argsort(-p_N, kind=None if weight_N is None else "stable")
    ends = np.append(np.flatnonzero(np.diff(p_N[order])), len(order) - 1)
    weight_N = np.ones(len(p_N)) if weight_N is None else weight_N
    true_positive = np.cumsum((weight_N * positive_N)[order])[ends]
    false_positive = np.cumsum((weight_N * ~positive_N)[order])[ends]
    if true_positive[-1] == 0 or false_positive[-1] == 0:
        return float("nan")
    trapezoids = np.trapezoid(np.append(0.0, true_positive), np.append(0.0, false_positive))
    return float(trapezoids / true_positive[-1] / false_positive[-1])
