"""Mean recall over the classes: accuracy that a frequent class cannot buy."""

import numpy as np

from forgeline.engine.stats import confusion

tasks = ("binary", "multiclass")
higher_is_better = True
of_answers = True


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    """Mean recall over the classes that occur; nan when only one does."""
    confusion_KK = confusion(y_N, p_NK, weight_N)
    rows_K = confusion_KK.sum(axis=1)
    if np.count_nonzero(rows_K) < 2:
        return float("nan")
    return float((np.diag(confusion_KK)[rows_K > 0] / rows_K[rows_K > 0]).mean())
