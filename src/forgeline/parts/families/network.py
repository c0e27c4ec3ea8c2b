"""A small neural network on piecewise linear numbers (RealMLP-like), in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgeline.engine import link, network
from forgeline.engine.arrays import quantile_of
from forgeline.engine.graph import Graph
from forgeline.engine.network import Schedule, Trained
from forgeline.engine.search import Range
from forgeline.engine.seeds import Seed
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

LOSSES = {"binary": network.log_odds, "multiclass": network.cross_entropy, "regression": network.squared}
RANGES = {
    "width": Range(48, 320, "whole"),
    "layers": Range(1, 3, "whole"),
    "rate": Range(0.0005, 0.03),
    "decay": Range(0.001, 0.3),
    "dropout": Range(0.0, 0.5, "linear"),
    "bins": Range(2, 48, "whole"),
}
PROCESS_BYTES = 200 * 2**20
"""A worker before any data: Python with numpy, onnx and scikit-learn loaded."""
REFITS = 0
"""The mean of its fold models ships: networks differ so much that their mean is worth more than the rows."""


def space(shape: Shape) -> Space:
    """Values bear eight times the rate and want finer steps than classes do; batches grow with the rows."""
    batch = 64 if shape.rows < 1_500 else 128 if shape.rows < 6_000 else 256 if shape.rows < 50_000 else 1024
    base = {"layers": 2, "epochs": 40, "batch": batch, "decay": 0.02}
    if shape.task == "regression":
        base |= {"width": 128, "rate": 0.016, "dropout": 0.1, "bins": 16}
        return Space((base, base | {"width": 256, "layers": 3}), RANGES)
    base |= {"width": 256, "rate": 0.002, "dropout": 0.2, "bins": 2}
    return Space((base, base | {"bins": 16}), RANGES)


def cost(shape: Shape, setting: Setting) -> Cost:
    """Three products a layer and step (answers, slopes of weights, slopes of inputs), and the update of all weights.

    Constants (units of 1e9 operations, about a second): numpy 2.4 with OpenBLAS on one core of an AMD EPYC.
    """
    schedule = Schedule(**setting)
    inputs = network.inputs_of(
        shape.features, network.flags_of(shape.features, shape.flags), network.bins_for(shape.rows, schedule.bins)
    )
    scores = link.scores(shape.task, shape.outputs)
    weights = inputs * schedule.width + schedule.width**2 * (schedule.layers - 1) + schedule.width * scores
    size = min(schedule.batch, shape.rows)
    hidden = schedule.layers * schedule.width
    step = 1.5e-4 + size * (2.2e-11 * 3 * weights + 4e-9 * inputs + 1.1e-8 * hidden + 2e-8 * scores) + 4e-9 * weights
    work = 0.01 + network.total_steps(shape.rows, schedule) * step
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=PROCESS_BYTES + 4 * shape.rows * (shape.features + 2 * inputs) + 40 * weights,
        size_bytes=3000 + 4 * weights + 20 * inputs,
        flops_per_row=2.0 * weights,
    )


def build(shape: Shape, setting: Setting, seed: Seed) -> Network:
    """An untrained network."""
    return Network(shape, Schedule(**setting), seed)


@dataclass(frozen=True)
class Network:
    """A perceptron of a few layers, trained with one thread."""

    shape: Shape
    schedule: Schedule
    seed: Seed

    def fit(self, rows: TrainRows) -> FittedNetwork:
        """Train on all rows; where held rows are given, the weights that suited them best are kept."""
        from threadpoolctl import threadpool_limits

        held = None if rows.held is None else (rows.held.x_NF, rows.held.y_N, rows.held.weight_N)
        with threadpool_limits(1):
            trained = network.train(
                rows.x_NF,
                rows.y_N,
                rows.weight_N,
                self.start(rows),
                LOSSES[self.shape.task] if self.shape.quantile is None else network.pinball(self.shape.quantile),
                self.schedule,
                self.seed,
                held=held,
                steps=rows.steps,
            )
        if self.shape.quantile is not None:  # dropout's noise has moved it outwards
            left_N = rows.y_N - trained.scores(rows.x_NF)[:, 0]
            trained.move(quantile_of(left_N, rows.weight_N, self.shape.quantile))
        lowest, highest = float(rows.y_N.min()), float(rows.y_N.max())
        made = 1.0 if rows.steps is None else rows.steps / network.total_steps(len(rows.x_NF), self.schedule)
        return FittedNetwork(self.shape.task, trained, lowest, highest, min(1.0, made))

    def start(self, rows: TrainRows) -> np.ndarray:
        """Scores of a model without inputs [S]; a class that none of the rows has counts as half a row."""
        if self.shape.quantile is not None:
            return np.array([quantile_of(rows.y_N, rows.weight_N, self.shape.quantile)])
        if self.shape.task == "regression":
            return np.array([np.average(rows.y_N, weights=rows.weight_N)])
        counts_K = np.bincount(rows.y_N, weights=rows.weight_N, minlength=self.shape.outputs)
        logs_K: np.ndarray = np.log(np.maximum(counts_K, 0.5) / counts_K.sum())
        return logs_K[1:] - logs_K[:1] if self.shape.task == "binary" else logs_K


@dataclass(frozen=True)
class FittedNetwork:
    """A trained network; values are kept within those of the training rows."""

    task: str
    trained: Trained
    lowest: float
    highest: float
    done: float
    """Share of the schedule that was gone through."""

    @property
    def steps(self) -> int:
        """Steps that the weights have been through."""
        return self.trained.steps

    def predict(self, x_NF: np.ndarray) -> np.ndarray:
        """float64 [N, outputs]."""
        score_NS = self.trained.scores(x_NF)
        if self.task == "regression":
            return np.asarray(np.clip(score_NS, self.lowest, self.highest))
        return link.predictions(score_NS, self.task)

    def graph(self, graph: Graph, x: str) -> str:
        """A product and a hinge for each layer, then the link."""
        scores = self.trained.draw(graph, x)
        if self.task == "regression":
            low, high = graph.constant(self.lowest), graph.constant(self.highest)
            return graph.add("Min", graph.add("Max", scores, low), high)
        return link.draw(graph, scores, self.task)
