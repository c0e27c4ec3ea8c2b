"""Logistic and ridge regression on standardised features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from forgeline.engine import link
from forgeline.engine.graph import Graph
from forgeline.engine.seeds import Seed
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

MOST_ROWS = 200_000
"""More rows than this are thinned evenly: they hardly change so few coefficients, and cost minutes."""
PASSES = 30
"""Times the solver reads the data in one fit: 33 on UCI Adult, 8 to 30 on made-up data."""
PROCESS_BYTES = 200 * 2**20
"""A worker before any data: Python with numpy, onnx and scikit-learn loaded."""


def space(shape: Shape) -> Space:
    """The weight of the squared coefficients, beside a sum over rows of log losses or squared errors."""
    return Space(({"penalty": 1.0}, {"penalty": 30.0}))


def cost(shape: Shape, setting: Setting) -> Cost:
    """Passes over the standardised matrix, or one product of it with itself (ridge).

    Constants (units of 1e9 operations, about a second): scikit-learn 1.9 on one core of an AMD EPYC.
    """
    rows = min(shape.rows, MOST_ROWS)
    cells = rows * shape.features
    one_pass = 1.5e-9 * cells + 1.2e-8 * rows * shape.outputs
    solving = 4e-11 * cells * shape.features if shape.task == "regression" else PASSES * one_pass
    work = 5e-3 + 6e-9 * cells + solving
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=PROCESS_BYTES + 4 * shape.rows * shape.features + 2 * 8 * cells,
        size_bytes=500 + 8 * shape.features * link.scores(shape.task, shape.outputs),
        flops_per_row=2.0 * shape.features * shape.outputs,
    )


def build(shape: Shape, setting: Setting, seed: Seed) -> Linear:
    """An untrained linear model; nothing in it is drawn at random."""
    return Linear(shape, float(setting["penalty"]))


@dataclass(frozen=True)
class Linear:
    """A linear model with a squared penalty on the coefficients of standardised features."""

    shape: Shape
    penalty: float

    def fit(self, rows: TrainRows) -> FittedLinear:
        """Fit on at most MOST_ROWS rows, evenly thinned; a solver that stops early gives its best so far."""
        from threadpoolctl import threadpool_limits

        chosen_N = thinned(len(rows.x_NF))
        x_NF = rows.x_NF[chosen_N].astype(np.float64)
        mean_F, scale_F = x_NF.mean(axis=0), x_NF.std(axis=0)
        scale_F[scale_F == 0] = 1.0
        x_NF -= mean_F
        x_NF /= scale_F
        weight_N = None if rows.weight_N is None else rows.weight_N[chosen_N]
        fit = self.fit_value if self.shape.task == "regression" else self.fit_classes
        with threadpool_limits(1):
            slope_FS, start_S = fit(x_NF, rows.y_N[chosen_N], weight_N)
        slope_FS /= scale_F[:, None]
        return FittedLinear(self.shape.task, slope_FS, start_S - mean_F @ slope_FS)

    def fit_value(
        self, x_NF: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slopes [F, 1] and intercept [1] of ridge regression."""
        from sklearn.linear_model import Ridge

        model = Ridge(alpha=self.penalty, solver="cholesky").fit(x_NF, y_N, weight_N)
        return np.array(model.coef_).reshape(-1, 1), np.array([model.intercept_]).reshape(1)

    def fit_classes(
        self, x_NF: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slopes [F, S] and intercepts [S] of logistic regression; S is 1 (log-odds) for a binary task.

        A class that none of the rows has counts as half a row.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        seen = np.unique(y_N)
        slope_FK = np.zeros((x_NF.shape[1], self.shape.outputs))
        start_K = np.full(self.shape.outputs, np.log(0.5 / len(y_N)))
        start_K[seen] = 0.0
        if len(seen) > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = LogisticRegression(C=1 / self.penalty, max_iter=300).fit(x_NF, y_N, weight_N)
            ours = seen[1:] if len(seen) == 2 else seen
            slope_FK[:, ours], start_K[ours] = model.coef_.T, model.intercept_
        if self.shape.task == "binary":
            return slope_FK[:, 1:] - slope_FK[:, :1], start_K[1:] - start_K[:1]
        return slope_FK, start_K


def thinned(rows: int) -> np.ndarray:
    """Indices of at most MOST_ROWS of the rows, evenly spaced."""
    return np.arange(min(rows, MOST_ROWS)) * rows // min(rows, MOST_ROWS)


@dataclass(frozen=True)
class FittedLinear:
    """Slopes and intercepts on the features as they come. Both sides calculate in float64."""

    task: str
    slope_FS: np.ndarray
    start_S: np.ndarray

    def predict(self, x_NF: np.ndarray) -> np.ndarray:
        """float64 [N, outputs]."""
        return link.predictions(x_NF @ self.slope_FS + self.start_S, self.task)

    def graph(self, graph: Graph, x: str) -> str:
        """One product, then the link."""
        slopes, starts = graph.constant(self.slope_FS, np.float64), graph.constant(self.start_S, np.float64)
        scores = graph.add("Gemm", graph.cast(x, "double"), slopes, starts)
        return link.draw(graph, graph.cast(scores, "float"), self.task)
