"""Share of rows put in their true class."""

import numpy as np

from forgeline.engine.stats import predicted

tasks = ("binary", "multiclass")
higher_is_better = True
of_answers = True


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    """Accuracy of the most probable class."""
    return float(np.average(predicted(p_NK) == y_N, weights=weight_N))
