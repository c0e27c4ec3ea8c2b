"""Gradient-boosted trees (LightGBM)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgeline.engine import link
from forgeline.engine.graph import Graph
from forgeline.engine.search import Range
from forgeline.engine.seeds import Seed
from forgeline.engine.trees import Tree, draw
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

PROCESS_BYTES = 200 * 2**20
"""A worker before any data: Python with numpy, onnx and LightGBM loaded."""
OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "l2"}
DEFAULT: Setting = {
    **{"trees": 100, "rate": 0.1, "leaves": 31, "columns": 1.0, "rows": 1.0, "least": 20, "penalty": 0.0},
    "extra": False,
}
"""LightGBM's own defaults."""
RANGES = {
    "rate": Range(0.01, 0.2),
    "columns": Range(0.2, 1.0, "linear"),
    "rows": Range(0.5, 1.0, "linear"),
    "least": Range(1, 100, "whole"),
    "penalty": Range(0.001, 50.0),
}
LEAST_CURVATURE = {"binary": 1e-3, "multiclass": 0.1, "regression": 1e-3}
"""Second derivatives that a leaf must have together. Of several classes the rare ones have next to none, and at
LightGBM's default a leaf's value has no bounds: on the one of twelve public tables with classes of a few rows in ten
thousand .1 takes 10 % off the log loss, on all twelve .7 %."""
REFITS = 4
"""Fits on all rows, with a seed each, that ship in place of the fold models."""


def space(shape: Shape) -> Space:
    """LightGBM's defaults; the portfolio knows what else is worth a try.

    With many classes there are fewer, faster steps, because each step fits one tree a class.
    """
    slower = (2 / max(shape.outputs, 2)) ** 0.5
    fewer = {"trees": math.ceil(DEFAULT["trees"] * slower), "rate": min(DEFAULT["rate"] / slower, 0.2)}
    leaves = Range(3, min(255, max(8, shape.rows // 10)), "whole")
    return Space((DEFAULT | fewer,), RANGES | {"leaves": leaves})


def cost(shape: Shape, setting: Setting) -> Cost:
    """Each tree reads each row once a level, and each leaf scans every feature's bins.

    Constants (units of 1e9 operations, about a second): LightGBM 4.7 on one core of an AMD EPYC, 500 to
    200,000 rows, 10 to 100 features, 8 to 63 leaves. Twenty flags are bundled into about one feature; where
    their number is not known, four of five features beyond the first ten are taken to be flags.
    """
    flags = max(shape.features - 10, 0) * 0.8 if shape.flags is None else shape.flags
    features = shape.features - 0.95 * flags
    leaves = max(2.0, min(setting["leaves"], shape.rows * setting["rows"] / (2 * setting["least"])))
    per_row = 2e-8 + (2e-8 if setting["rows"] < 1 else 0) + 0.9e-9 * math.log2(leaves) * features
    tree = 3e-5 + shape.rows * per_row + 1.8e-6 * leaves * features * setting["columns"]
    trees_grown = setting["trees"] * link.scores(shape.task, shape.outputs)
    work = trees_grown * tree + 3e-8 * shape.rows * shape.features
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=int(
            PROCESS_BYTES
            + shape.rows * (shape.features * 4 + features * 2 + 40 * shape.outputs)
            + trees_grown * leaves * 1200
        ),
        size_bytes=int(2000 + trees_grown * 70 * leaves),
        flops_per_row=trees_grown * (math.log2(leaves) + 2),
    )


def brief(shape: Shape, setting: Setting, work: float, *, least: int = 20, fastest: float = 0.3) -> Setting:
    """The setting with so few trees that all of them take at most `work`; the fewer they are, the faster the rate."""
    trees = max(min(least, setting["trees"]), int(setting["trees"] * min(1.0, work / cost(shape, setting).work)))
    return setting | {"trees": trees, "rate": max(setting["rate"], min(fastest, 10 / trees))}


def build(shape: Shape, setting: Setting, seed: Seed) -> Boosting:
    """Untrained boosting."""
    return Boosting(shape, setting, seed)


@dataclass(frozen=True)
class Boosting:
    """LightGBM with one thread and fixed seeds, so that equal rows give equal trees."""

    shape: Shape
    setting: Setting
    seed: Seed

    def fit(self, rows: TrainRows) -> FittedBoosting:
        """Train on all rows; with held rows, until they have not gained for a while."""
        import lightgbm

        parameters = self.parameters()
        data = lightgbm.Dataset(rows.x_NF, rows.y_N, weight=rows.weight_N, params=parameters)
        trees = rows.steps or int(self.setting["trees"])
        if rows.held is None:
            booster = lightgbm.train(parameters, data, num_boost_round=trees)
            return FittedBoosting(self.shape, booster, trees, trees / self.setting["trees"])
        held = data.create_valid(rows.held.x_NF, rows.held.y_N, weight=rows.held.weight_N)
        stop = lightgbm.early_stopping(patience(self.setting["rate"]), verbose=False)
        booster = lightgbm.train(parameters, data, num_boost_round=trees, valid_sets=[held], callbacks=[stop])
        grown = booster.current_iteration() / self.setting["trees"]
        return FittedBoosting(self.shape, booster, booster.best_iteration or trees, grown)

    def parameters(self) -> dict[str, Any]:
        """The setting in LightGBM's words."""
        classes = {"num_class": self.shape.outputs} if self.shape.task == "multiclass" else {}
        quantile = self.shape.quantile
        aim: dict[str, Any] = {"objective": OBJECTIVES[self.shape.task]}
        if quantile is not None:
            aim = {"objective": "l1"} if quantile == 0.5 else {"objective": "quantile", "alpha": quantile}
        return (
            classes
            | aim
            | {
                "learning_rate": self.setting["rate"],
                "num_leaves": self.setting["leaves"],
                "feature_fraction": self.setting["columns"],
                "bagging_fraction": self.setting["rows"],
                "bagging_freq": 1 if self.setting["rows"] < 1 else 0,
                "min_data_in_leaf": self.setting["least"],
                "lambda_l2": self.setting["penalty"],
                "min_sum_hessian_in_leaf": LEAST_CURVATURE[self.shape.task],
                "extra_trees": self.setting["extra"],
                "seed": self.seed.integer,
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": 1,
                "verbose": -1,
            }
        )


def patience(rate: float, *, least: int = 20, most: int = 200) -> int:
    """Trees without a gain after which boosting ends: the slower it goes, the more."""
    return min(most, max(least, round(3 / rate)))


@dataclass(frozen=True)
class FittedBoosting:
    """A trained booster."""

    shape: Shape
    booster: Any
    steps: int
    """Trees that count, for each class; those after the best one do not."""
    done: float
    """Share of the setting's trees that were grown."""

    def predict(self, x_NF: np.ndarray) -> np.ndarray:
        """float64 [N, outputs]."""
        asked = {"raw_score": True, "num_threads": 1, "num_iteration": self.steps}
        scores = np.asarray(self.booster.predict(x_NF, **asked))
        return link.predictions(scores.reshape(len(x_NF), -1), self.shape.task)

    def graph(self, graph: Graph, x: str) -> str:
        """One node with all trees, then the link."""
        targets = link.scores(self.shape.task, self.shape.outputs)
        scores = draw(read(self.booster.model_to_string(num_iteration=self.steps), targets), graph, x, targets)
        return link.draw(graph, scores, self.shape.task)


def read(model: str, targets: int) -> list[Tree]:
    """The trees in the text of a model; they take turns at the targets."""
    blocks = model.split("\nTree=")[1:]
    return [read_tree(block, index % targets) for index, block in enumerate(blocks)]


def read_tree(block: str, target: int) -> Tree:
    """One tree; LightGBM writes child -1 - k for its k-th leaf, which becomes node splits + k here."""
    lines = dict(line.split("=", 1) for line in block.partition("\n\n")[0].splitlines()[1:])
    leaf_L = np.array(lines["leaf_value"].split(), np.float64)
    splits = len(leaf_L) - 1

    def column(key: str, dtype: Any, leaf: float) -> np.ndarray:
        return np.append(np.array(lines.get(key, "").split()[:splits], dtype), np.full(len(leaf_L), leaf, dtype))

    def child(key: str) -> np.ndarray:
        given = column(key, np.int64, 0)
        return np.where(given < 0, splits - 1 - given, given)

    return Tree(
        feature_M=column("split_feature", np.int64, -1),
        threshold_M=column("threshold", np.float64, 0),
        left_M=child("left_child"),
        right_M=child("right_child"),
        value_MK=np.append(np.zeros(splits), leaf_L)[:, None],
        target=target,
    )
