"""Share of the target's variance that the prediction explains; 0 is the mean, 1 is perfect."""

import numpy as np

tasks = ("regression",)
higher_is_better = True


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    """Coefficient of determination; nan when the target does not vary."""
    spread = np.average((y_N - np.average(y_N, weights=weight_N)) ** 2, weights=weight_N)
    if spread == 0:
        return float("nan")
    return float(1 - np.average((y_N - p_NK[:, 0]) ** 2, weights=weight_N) / spread)
