"""Gradient boosting of symmetric trees (CatBoost; needs the extra `boost`)."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forgeline.engine import link, symmetric
from forgeline.engine.graph import Graph
from forgeline.engine.search import Range
from forgeline.engine.seeds import Seed
from forgeline.engine.symmetric import Symmetric
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

REQUIRES = ("catboost", "boost")
"""The package, and the extra that brings it."""
PROCESS_BYTES = 300 * 2**20
"""A worker before any data: Python with numpy, onnx and CatBoost loaded."""
BORDERS = {"binary": 254, "multiclass": 32, "regression": 254}
"""Splits of a number that are tried: CatBoost's default; with every class to be scored, fewer (five times as fast)."""
LEAF_STEPS = {"binary": 10, "multiclass": 1, "regression": 1}
"""Newton steps for a leaf's value: CatBoost's own defaults, which it changes below 200 trees."""
OBJECTIVES = {"binary": "Logloss", "multiclass": "MultiClass", "regression": "RMSE"}
PATIENCE = 50
"""Trees without a gain on the held rows after which no more are grown."""
RANGES = {
    "rate": Range(0.02, 0.25),
    "depth": Range(3, 9, "whole"),
    "penalty": Range(0.3, 30.0),
    "noise": Range(0.0, 3.0, "linear"),
}
MOST_TREES = 4_000
"""Trees of one model, every class counted: more make the release too large."""
REFITS = 4
"""Fits on all rows, with a seed each, that ship in place of the fold models."""


def space(shape: Shape) -> Space:
    """CatBoost's depth with a faster rate and early stopping, then slower and deeper."""
    return Space(
        (
            {"trees": 1000, "rate": 0.08, "depth": 6, "penalty": 3.0, "noise": 1.0},
            {"trees": 2000, "rate": 0.04, "depth": 6, "penalty": 3.0, "noise": 1.0},
            {"trees": 1000, "rate": 0.08, "depth": 8, "penalty": 6.0, "noise": 1.0},
        ),
        RANGES,
    )


def objective(shape: Shape) -> str:
    """The loss in CatBoost's words."""
    return OBJECTIVES[shape.task] if shape.quantile is None else f"Quantile:alpha={shape.quantile}"


def most_trees(shape: Shape, setting: Setting) -> int:
    """The setting's trees, fewer for many classes."""
    return min(int(setting["trees"]), max(100, MOST_TREES // shape.outputs))


def cut(shape: Shape, setting: Setting) -> float:
    """The share of its steps that a setting is left."""
    return most_trees(shape, setting) / float(setting["trees"])


def cost(shape: Shape, setting: Setting) -> Cost:
    """Each tree asks one question a level of every row and scores the borders of every feature.

    Constants (units of 1e9 operations, about a second): CatBoost 1.2 on one core of an AMD EPYC.
    """
    flags = max(shape.features - 10, 0) * 0.8 if shape.flags is None else shape.flags
    scores = link.scores(shape.task, shape.outputs)
    rows = shape.rows * (0.5 + 0.5 * scores)
    per_row = 2e-8 * setting["depth"] + 1.5e-9 * setting["depth"] * (shape.features - 0.5 * flags)
    borders = BORDERS[shape.task] * (shape.features - flags) + flags
    classes = 5e-6 * scores * 2 ** setting["depth"] if scores > 1 else 0.0
    tree = 3e-4 + classes + rows * per_row + 6e-10 * borders * 2 ** setting["depth"] * scores
    trees = most_trees(shape, setting)
    work = 0.05 + trees * tree
    leaves = 2 ** setting["depth"] * scores
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=int(PROCESS_BYTES + shape.rows * (5 * shape.features + 60 * scores)),
        size_bytes=int(3000 + trees * (8 * leaves + 12 * setting["depth"])),
        flops_per_row=trees * (3.0 * setting["depth"] + scores),
    )


def build(shape: Shape, setting: Setting, seed: Seed) -> CatBoost:
    """Untrained boosting."""
    return CatBoost(shape, setting, seed)


@dataclass(frozen=True)
class CatBoost:
    """CatBoost with one thread and a fixed seed."""

    shape: Shape
    setting: Setting
    seed: Seed

    def fit(self, rows: TrainRows) -> FittedSymmetric:
        """Train on all rows; held rows say when to stop."""
        import catboost

        kind = catboost.CatBoostRegressor if self.shape.task == "regression" else catboost.CatBoostClassifier
        model = kind(**self.parameters(rows))
        held = None
        if rows.held is not None:
            held = catboost.Pool(rows.held.x_NF, rows.held.y_N, weight=rows.held.weight_N)
        given = catboost.Pool(rows.x_NF, rows.y_N, weight=rows.weight_N)
        model.fit(given, eval_set=held, use_best_model=held is not None)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            model.save_model(str(path), format="json")
            trees, start_S = read(json.loads(path.read_text()), link.scores(self.shape.task, self.shape.outputs))
        grown = len(trees) + (0 if held is None else PATIENCE)
        return FittedSymmetric(self.shape.task, trees, start_S, min(1.0, grown / most_trees(self.shape, self.setting)))

    def parameters(self, rows: TrainRows) -> dict[str, Any]:
        """The setting in CatBoost's words."""
        classes = {} if self.shape.task == "regression" else {"class_names": list(range(self.shape.outputs))}
        stopping = {} if rows.held is None else {"od_type": "Iter", "od_wait": PATIENCE}
        return (
            classes
            | stopping
            | {
                "iterations": rows.steps or most_trees(self.shape, self.setting),
                "learning_rate": self.setting["rate"],
                "depth": int(self.setting["depth"]),
                "l2_leaf_reg": self.setting["penalty"],
                "random_strength": self.setting["noise"],
                "border_count": BORDERS[self.shape.task],
                "leaf_estimation_iterations": LEAF_STEPS[self.shape.task],
                "loss_function": objective(self.shape),
                "random_seed": self.seed.integer,
                "thread_count": 1,
                "boost_from_average": self.shape.task != "multiclass",
                "allow_writing_files": False,
                "verbose": False,
            }
        )


def read(model: dict[str, Any], scores: int) -> tuple[list[Symmetric], np.ndarray]:
    """The trees in CatBoost's JSON, scaled, and what the scores start from."""
    scale, bias = model["scale_and_bias"]
    places = {each["feature_index"]: each["flat_feature_index"] for each in model["features_info"]["float_features"]}
    trees = [
        Symmetric(
            feature_L=np.array([places[split["float_feature_index"]] for split in tree["splits"] or ()], np.int64),
            border_L=np.array([split["border"] for split in tree["splits"] or ()], np.float32),
            value_VS=scale * np.array(tree["leaf_values"], np.float64).reshape(-1, scores),
        )
        for tree in model["oblivious_trees"]
    ]
    return trees, np.resize(np.array(bias, np.float64), scores)


@dataclass(frozen=True)
class FittedSymmetric:
    """Trained symmetric trees."""

    task: str
    trees: list[Symmetric]
    start_S: np.ndarray
    done: float
    """Share of the setting's trees that were grown."""

    @property
    def steps(self) -> int:
        """Trees."""
        return len(self.trees)

    def predict(self, x_NF: np.ndarray) -> np.ndarray:
        """float64 [N, outputs]."""
        return link.predictions(symmetric.predict(self.trees, x_NF, self.start_S), self.task)

    def graph(self, graph: Graph, x: str) -> str:
        """The trees, then the link."""
        return link.draw(graph, symmetric.draw(self.trees, graph, x, self.start_S), self.task)
