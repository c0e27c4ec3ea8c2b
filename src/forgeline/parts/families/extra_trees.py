"""Extremely randomised trees (Geurts, Ernst and Wehenkel 2006)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgeline.engine.graph import Graph
from forgeline.engine.seeds import Seed
from forgeline.engine.trees import Tree, draw
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

MOST_NODES = 300_000
"""Nodes of all trees: about 10 MB in the release."""
PROCESS_BYTES = 200 * 2**20
"""A worker before any data: Python with numpy, onnx and scikit-learn loaded."""
REFITS = 1
"""One fit on all rows ships: it is as steady as the mean of its fold models, and knows more rows."""


def space(shape: Shape) -> Space:
    """scikit-learn's √F features a split, then half of them; fewer trees for many rows, for time.

    Leaves grow with the rows, so that the forest keeps its size. It knows the mean alone.
    """
    if not shape.central:
        return Space(())
    count = min(100, max(30, 1_000_000 // max(shape.rows, 1)))
    least = max(2, -(-shape.rows * count // MOST_NODES))
    return Space(
        (
            {"trees": count, "least": least, "columns": round(max(shape.features, 1) ** -0.5, 4)},
            {"trees": count, "least": 3 * least, "columns": 0.5},
        )
    )


def least_of(shape: Shape, setting: Setting) -> int:
    """Rows of a leaf: what the setting says, but so many that the forest keeps within MOST_NODES."""
    return max(int(setting["least"]), -(-shape.rows * int(setting["trees"]) // MOST_NODES))


def cost(shape: Shape, setting: Setting) -> Cost:
    """Each level of each tree reads each row once for each feature it tries.

    Constants (units of 1e9 operations, about a second): scikit-learn 1.9 on one core of an AMD EPYC, 500 to
    200,000 rows, 10 to 100 features; a matrix larger than the processor's cache takes up to twice as long.
    """
    leaves = max(2.0, 0.7 * shape.rows / least_of(shape, setting))
    levels = math.log2(leaves) + 1
    matrix_bytes = 4 * shape.rows * shape.features
    per_row = 1.5e-8 + 5e-9 * max(1.0, setting["columns"] * shape.features)
    work = setting["trees"] * (1e-4 + shape.rows * levels * per_row) * (1 + min(1.0, matrix_bytes / 2**26))
    nodes = 2 * leaves * setting["trees"]
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=int(PROCESS_BYTES + matrix_bytes + shape.rows * 32 + nodes * (600 + 16 * shape.outputs)),
        size_bytes=int(2000 + nodes * 31 + nodes / 2 * 14 * max(1, shape.outputs - 1)),
        flops_per_row=setting["trees"] * (levels + shape.outputs),
    )


def build(shape: Shape, setting: Setting, seed: Seed) -> ExtraTrees:
    """An untrained forest."""
    return ExtraTrees(shape, setting, seed)


@dataclass(frozen=True)
class ExtraTrees:
    """scikit-learn's extra trees with one thread."""

    shape: Shape
    setting: Setting
    seed: Seed

    def fit(self, rows: TrainRows) -> FittedForest:
        """Train on all rows."""
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        kind = ExtraTreesRegressor if self.shape.task == "regression" else ExtraTreesClassifier
        forest = kind(
            n_estimators=self.setting["trees"],
            min_samples_leaf=least_of(self.shape, self.setting),
            max_features=self.setting["columns"],
            n_jobs=1,
            random_state=self.seed.integer,
        )
        return FittedForest(self.shape, forest.fit(rows.x_NF, rows.y_N, rows.weight_N))


@dataclass(frozen=True)
class FittedForest:
    """A trained forest: the mean of its trees."""

    shape: Shape
    forest: Any

    def predict(self, x_NF: np.ndarray) -> np.ndarray:
        """float64 [N, outputs]; a class that none of the rows had has probability 0."""
        if self.shape.task == "regression":
            return np.asarray(self.forest.predict(x_NF)).reshape(-1, 1)
        p_NK = np.zeros((len(x_NF), self.shape.outputs))
        p_NK[:, self.forest.classes_] = self.forest.predict_proba(x_NF)
        return p_NK

    def graph(self, graph: Graph, x: str) -> str:
        """One node with all trees; of two probabilities one is summed and the other is the rest."""
        if self.shape.task != "binary":
            return draw(self.trees(0), graph, x, self.shape.outputs)
        positive = draw(self.trees(1), graph, x, 1)
        return graph.add("Concat", graph.add("Sub", graph.constant(1.0), positive), positive, axis=1)

    def trees(self, first: int) -> list[Tree]:
        """The trees with what each leaf adds to the outputs from `first` on."""
        return [self.tree(estimator.tree_, first) for estimator in self.forest.estimators_]

    def tree(self, tree: Any, first: int) -> Tree:
        """One tree in our form."""
        value_MK = np.zeros((tree.node_count, self.shape.outputs))
        value_MK[:, getattr(self.forest, "classes_", [0])] = tree.value[:, 0, :]
        leaf_M = tree.children_left < 0
        return Tree(
            feature_M=np.where(leaf_M, -1, tree.feature),
            threshold_M=tree.threshold,
            left_M=tree.children_left,
            right_M=tree.children_right,
            value_MK=value_MK[:, first:] / len(self.forest.estimators_),
        )
