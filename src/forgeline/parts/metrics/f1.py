"""Harmonic mean of precision and recall: of the positive class, or the mean over several classes."""

import numpy as np

from forgeline.engine.stats import confusion

tasks = ("binary", "multiclass")
higher_is_better = True
of_answers = True


def score(y_N: np.ndarray, p_NK: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    """F1 score. Classes that neither occur nor are predicted do not count; nan when only one class occurs."""
    confusion_KK = confusion(y_N, p_NK, weight_N)
    if np.count_nonzero(confusion_KK.sum(axis=1)) < 2:
        return float("nan")
    size_K = confusion_KK.sum(axis=0) + confusion_KK.sum(axis=1)
    f1_K = np.divide(2 * np.diag(confusion_KK), size_K, out=np.full(len(size_K), np.nan), where=size_K > 0)
    return float(f1_K[1] if len(f1_K) == 2 else np.nanmean(f1_K))
