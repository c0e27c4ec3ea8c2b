"""Mean negative log-likelihood of the true class: rewards honest probabilities."""

import numpy as np

tasks = ("binary", "multiclass")
higher_is_better = False


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    """Log loss in nats; probabilities are clipped at 2.2e-16, so that a sure error stays finite."""
    p_N = p_NK[np.arange(len(y_N)), y_N.astype(np.int64)].astype(np.float64)
    return float(np.average(-np.log(np.clip(p_N, np.finfo(np.float64).eps, 1.0)), weights=weight_N))
