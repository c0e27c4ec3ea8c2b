"""Nearest neighbours: the mean of the closest rows, which it keeps, so it competes only where it is named."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgeline.engine.graph import Graph
from forgeline.engine.linear import thinned
from forgeline.engine.search import Range
from forgeline.engine.seeds import Seed
from forgeline.engine.standard import Scaling, draw_squares, squares
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

KEEPS_ROWS = True
MOST_ROWS = 5_000
"""Rows that are kept, evenly thinned: a batch's distances to all of them must fit into memory."""
PROCESS_BYTES = 200 * 2**20
"""A worker before any data: Python with numpy, onnx and scikit-learn loaded."""
STEP = 2.0**-30
"""Squared distances are rounded to this, so that equal rows are equally far on both sides."""
REFITS = 1
"""One fit on all rows ships: it is as steady as the mean of its fold models, and knows more rows."""


def space(shape: Shape) -> Space:
    """How many neighbours. It knows the mean alone."""
    if not shape.central:
        return Space(())
    most = max(1, min(200, shape.rows // 4))
    return Space(
        ({"neighbours": min(15, most)}, {"neighbours": min(50, most)}), {"neighbours": Range(1, most, "whole")}
    )


def cost(shape: Shape, setting: Setting) -> Cost:
    """Nothing is fitted; held-out rows, a quarter as many as it was given, are compared with all that are kept.

    Constants (units of 1e9 operations, about a second): numpy 2.4 on one core of an AMD EPYC.
    """
    kept = min(shape.rows, MOST_ROWS)
    work = 0.01 + 1e-9 * shape.rows * shape.features + 0.25 * shape.rows * kept * (1e-8 + 5e-11 * shape.features)
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=int(PROCESS_BYTES + shape.rows * shape.features * 12 + 4096 * kept * 24),
        size_bytes=int(2000 + 8 * kept * (shape.features + shape.outputs)),
        flops_per_row=kept * (2.0 * shape.features + 3),
    )


def build(shape: Shape, setting: Setting, seed: Seed) -> Neighbours:
    """A model without rows; nothing in it is drawn at random."""
    return Neighbours(shape, int(setting["neighbours"]))


@dataclass(frozen=True)
class Neighbours:
    """The weighted mean of the closest rows' targets, a row counting as one over its squared distance."""

    shape: Shape
    neighbours: int

    def fit(self, rows: TrainRows) -> FittedNeighbours:
        """Keep at most MOST_ROWS rows, in standard units."""
        chosen_N = thinned(len(rows.x_NF), MOST_ROWS)
        scaling = Scaling.of(rows.x_NF)
        y_M = rows.y_N[chosen_N]
        weight_M = np.ones(len(chosen_N)) if rows.weight_N is None else rows.weight_N[chosen_N]
        told_MK = y_M[:, None] if self.shape.task == "regression" else np.eye(self.shape.outputs)[y_M]
        kept_MF = scaling.apply(rows.x_NF[chosen_N])
        return FittedNeighbours(scaling, kept_MF, told_MK, weight_M, min(self.neighbours, len(chosen_N)))


@dataclass(frozen=True)
class FittedNeighbours:
    """The rows that are kept, what they say, and what they count. Both sides calculate in float64."""

    scaling: Scaling
    kept_MF: np.ndarray
    told_MK: np.ndarray
    weight_M: np.ndarray
    neighbours: int
    near: float = 0.01
    """What is added to a squared distance, so that a row at the same place does not decide alone."""

    def predict(self, x_NF: np.ndarray, *, rows: int = 2048) -> np.ndarray:
        """float64 [N, outputs]."""
        parts = [x_NF[at : at + rows] for at in range(0, len(x_NF), rows)]
        return np.concatenate([self.answer(part) for part in parts])

    def answer(self, x_NF: np.ndarray) -> np.ndarray:
        """The weighted mean of the nearest; of rows equally far the first."""
        away_NM = np.round(squares(self.scaling.apply(x_NF), self.kept_MF) / STEP) * STEP
        nearest_NJ = np.argsort(away_NM, axis=1, kind="stable")[:, : self.neighbours]
        weight_NJ = self.weight_M[nearest_NJ] / (np.take_along_axis(away_NM, nearest_NJ, axis=1) + self.near)
        told_NK: np.ndarray = (weight_NJ[:, :, None] * self.told_MK[nearest_NJ]).sum(axis=1)
        return np.asarray(told_NK / weight_NJ.sum(axis=1, keepdims=True))

    def graph(self, graph: Graph, x: str) -> str:
        """Squared distances by one product, the smallest of them, and the mean of what those rows say."""
        away = draw_squares(graph, self.scaling.draw(graph, x), self.kept_MF)
        step = graph.constant(STEP, np.float64)
        away = graph.add("Mul", graph.add("Round", graph.add("Div", away, step)), step)
        value, place = graph.add_many(
            "TopK", 2, away, graph.constant([self.neighbours], np.int64), largest=0, sorted=1, axis=1
        )
        counts = graph.add("Gather", graph.constant(self.weight_M, np.float64), place, axis=0)
        weight = graph.add("Div", counts, graph.add("Add", value, graph.constant(self.near, np.float64)))
        told = graph.add("Gather", graph.constant(self.told_MK, np.float64), place, axis=0)
        axes = graph.constant([1], np.int64)
        wide = graph.add("Unsqueeze", weight, graph.constant([2], np.int64))
        total = graph.add("ReduceSum", graph.add("Mul", wide, told), axes, keepdims=0)
        return graph.cast(graph.add("Div", total, graph.add("ReduceSum", weight, axes, keepdims=1)), "float")
