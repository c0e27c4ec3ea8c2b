"""Root mean squared error, in the target's unit: large errors count most."""

import numpy as np

tasks = ("regression",)
higher_is_better = False


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    """Root of the mean squared difference between value and prediction."""
    return float(np.sqrt(np.average((y_N - p_NK[:, 0]) ** 2, weights=weight_N)))
