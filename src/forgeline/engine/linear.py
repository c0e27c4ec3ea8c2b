"""Linear fits that several families rest on: ridge, and logistic regression that heeds absent classes.

Shapes: N rows, F features, K classes, S scores.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

Matrix: TypeAlias = "np.ndarray | sparse.csr_array"


def thinned(rows: int, most: int) -> np.ndarray:
    """Indices of at most `most` of the rows, evenly spaced."""
    return np.arange(min(rows, most)) * rows // min(rows, most)


def fit(
    x_NF: Matrix, y_N: np.ndarray, weight_N: np.ndarray | None, penalty: float, task: str, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Slopes [F, S] and intercepts [S] for a task; S is 1 for a value and for a binary task (log-odds)."""
    if task == "regression":
        return fit_value(x_NF, y_N, weight_N, penalty)
    slope_FK, start_K = fit_classes(x_NF, y_N, weight_N, penalty, outputs)
    if task == "binary":
        return slope_FK[:, 1:] - slope_FK[:, :1], start_K[1:] - start_K[:1]
    return slope_FK, start_K


def fit_value(
    x_NF: Matrix, y_N: np.ndarray, weight_N: np.ndarray | None, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Slopes [F, 1] and intercept [1] of ridge regression."""
    from sklearn.linear_model import Ridge

    solver = "cholesky" if isinstance(x_NF, np.ndarray) else "sparse_cg"
    model = Ridge(alpha=penalty, solver=solver).fit(x_NF, y_N, weight_N)
    return np.array(model.coef_).reshape(-1, 1), np.array([model.intercept_]).reshape(1)


def fit_classes(
    x_NF: Matrix, y_N: np.ndarray, weight_N: np.ndarray | None, penalty: float, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Slopes [F, K] and intercepts [K] of logistic regression.

    A class that none of the rows has counts as half a row. A solver that stops early gives its best so far.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(y_N)
    slope_FK = np.zeros((x_NF.shape[1], outputs))
    start_K = np.full(outputs, np.log(0.5 / len(y_N)))
    start_K[seen] = 0.0
    if len(seen) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=1 / penalty, max_iter=300).fit(x_NF, y_N, weight_N)
        ours = seen[1:] if len(seen) == 2 else seen
        slope_FK[:, ours], start_K[ours] = model.coef_.T, model.intercept_
    return slope_FK, start_K
