"""Mean squared error of the probabilities (Brier 1950): calibration and sharpness in one number."""

import numpy as np

tasks = ("binary", "multiclass")
higher_is_better = False


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    """Brier score: of the positive class for two classes (0 to 1), summed over more than two (0 to 2)."""
    error_NK = p_NK.astype(np.float64)
    error_NK[np.arange(len(y_N)), y_N.astype(np.int64)] -= 1.0
    error_N = error_NK[:, 1] ** 2 if p_NK.shape[1] == 2 else (error_NK**2).sum(axis=1)
    return float(np.average(error_N, weights=weight_N))
