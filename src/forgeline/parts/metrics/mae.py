"""Mean absolute error, in the target's unit: what a prediction is off by."""

import numpy as np

tasks = ("regression",)
higher_is_better = False
percent = 50
"""The percentile of the target at which it is least: models are fitted to the median."""


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    """Mean absolute difference between value and prediction."""
    return float(np.average(np.abs(y_N - p_NK[:, 0]), weights=weight_N))
