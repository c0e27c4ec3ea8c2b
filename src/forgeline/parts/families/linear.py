"""Logistic and ridge regression on standardised features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgeline.engine import link
from forgeline.engine.arrays import quantile_of
from forgeline.engine.graph import Graph
from forgeline.engine.linear import fit, thinned
from forgeline.engine.search import Range
from forgeline.engine.seeds import Seed
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

MOST_ROWS = 200_000
"""More rows than this are thinned evenly: they hardly change so few coefficients, and cost minutes."""
PASSES, PICTURE_PASSES = 30, 300
"""Times the solver reads the data in one fit: 33 on UCI Adult, 8 to 30 on made-up data; all that it may where there are
pictures, whose blocks are much alike."""
PROCESS_BYTES = 200 * 2**20
"""A worker before any data: Python with numpy, onnx and scikit-learn loaded."""
REFITS = 1
"""One fit on all rows ships: it is as steady as the mean of its fold models, and knows more rows."""


def space(shape: Shape) -> Space:
    """The weight of the squared coefficients, beside a sum over rows of log losses or squared errors."""
    return Space(({"penalty": 1.0}, {"penalty": 30.0}), {"penalty": Range(0.001, 1000.0)})


def cost(shape: Shape, setting: Setting) -> Cost:
    """Passes over the standardised matrix, or one product of it with itself (ridge).

    Constants (units of 1e9 operations, about a second): scikit-learn 1.9 on one core of an AMD EPYC.
    """
    rows = min(shape.rows, MOST_ROWS)
    cells = rows * shape.features
    one_pass = 1.5e-9 * cells + 1.2e-8 * rows * shape.outputs
    passes = PICTURE_PASSES if shape.pictures else PASSES
    solving = 4e-11 * cells * shape.features if shape.task == "regression" else passes * one_pass
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
    return Linear(shape, float(setting["penalty"]), shape.quantile)


@dataclass(frozen=True)
class Linear:
    """A linear model with a squared penalty on the coefficients of standardised features."""

    shape: Shape
    penalty: float
    quantile: float | None = None
    """Where it is asked for, the mean is moved by that quantile of what the mean leaves."""

    def fit(self, rows: TrainRows) -> FittedLinear:
        """Fit on at most MOST_ROWS rows, evenly thinned."""
        from threadpoolctl import threadpool_limits

        chosen_N = thinned(len(rows.x_NF), MOST_ROWS)
        x_NF = rows.x_NF[chosen_N].astype(np.float64)
        mean_F, scale_F = x_NF.mean(axis=0), x_NF.std(axis=0)
        scale_F[scale_F == 0] = 1.0
        x_NF -= mean_F
        x_NF /= scale_F
        weight_N = None if rows.weight_N is None else rows.weight_N[chosen_N]
        with threadpool_limits(1):
            slope_FS, start_S = fit(
                x_NF, rows.y_N[chosen_N], weight_N, self.penalty, self.shape.task, self.shape.outputs
            )
        if self.quantile is not None:
            left_N = rows.y_N[chosen_N] - (x_NF @ slope_FS + start_S)[:, 0]
            start_S = start_S + quantile_of(left_N, weight_N, self.quantile)
        slope_FS /= scale_F[:, None]
        return FittedLinear(self.shape.task, slope_FS, start_S - mean_F @ slope_FS)


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
