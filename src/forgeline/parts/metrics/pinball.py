"""Pinball loss, in the target's unit: least at a percentile of the target, `pinball@90` at the ninetieth."""

import numpy as np

tasks = ("regression",)
higher_is_better = False


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None, *, percent: int = 50) -> float:
    """Mean of `percent` hundredths of what a value is above its prediction, and of the rest of what it is below."""
    above_N = y_N - p_NK[:, 0]
    return float(np.average(np.maximum(percent / 100 * above_N, (percent / 100 - 1) * above_N), weights=weight_N))
