"""What networks on pictures and texts share: other columns beside what they see, one head, its losses and its nodes.

Shapes: B rows of a batch, N rows, F columns beside, S scores, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline.engine import link
from forgeline.engine.graph import Graph

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch

BESIDE = 64
"""Units for the columns that are neither pictures nor texts."""


@dataclass(frozen=True)
class Standard:
    """The first columns of features, in standard units."""

    center_F: np.ndarray
    scale_F: np.ndarray

    def of(self, x_NF: np.ndarray) -> np.ndarray:
        """The columns of rows, float32."""
        return np.asarray((x_NF[:, : len(self.center_F)] - self.center_F) / self.scale_F, np.float32)

    def draw(self, graph: Graph, x: str) -> str:
        """The same as nodes."""
        places = graph.constant(np.arange(len(self.center_F)), np.int64)
        own = graph.add("Sub", graph.add("Gather", x, places, axis=1), graph.constant(self.center_F))
        return graph.add("Div", own, graph.constant(self.scale_F))


def standard_of(x_NF: np.ndarray, columns: int) -> Standard:
    """The units of the first columns of training rows; what does not vary has spread 1."""
    own = x_NF[:, :columns]
    center_F, scale_F = own.mean(axis=0), own.std(axis=0)
    scale_F[scale_F == 0] = 1.0
    return Standard(center_F, scale_F)


@dataclass(frozen=True)
class Head:
    """What scores are of: a task, and the values that were trained on."""

    task: str
    outputs: int
    quantile: float | None
    lowest: float
    highest: float
    beside: Standard
    """The columns beside, the first of a row."""

    @property
    def scores(self) -> int:
        """Scores of a row."""
        return link.scores(self.task, self.outputs)

    def losses(self, score_BS: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Of each row; `y` are values or classes [B], or shares of classes [B, K]."""
        from torch.nn import functional

        if self.task == "regression":
            error_B = y - score_BS[:, 0]
            return error_B**2 if self.quantile is None else (self.quantile - (error_B < 0).float()) * error_B
        if self.task == "binary":
            target_B = y.float() if y.ndim == 1 else y[:, 1]
            return functional.binary_cross_entropy_with_logits(score_BS[:, 0], target_B, reduction="none")
        return functional.cross_entropy(score_BS, y, reduction="none")

    def mean_loss(self, score_BS: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The mean, weighted where rows have weights."""
        each_B = self.losses(score_BS, batch["y"])
        return each_B.mean() if "weight" not in batch else (each_B * batch["weight"]).sum() / batch["weight"].sum()

    def predictions(self, score_NS: np.ndarray) -> np.ndarray:
        """Float64 [N, K]: probabilities, or values within those that were trained on."""
        if self.task == "regression":
            return np.asarray(np.clip(score_NS, self.lowest, self.highest))
        return link.predictions(score_NS, self.task)

    def draw(self, graph: Graph, module: Any, x: str, parts: Sequence[str]) -> str:
        """Nodes from features and from what the bodies make of what they see [N, D] to predictions."""
        found = list(parts)
        if module.beside is not None:
            own = graph.add("Gemm", self.beside.draw(graph, x), *constants(graph, module.beside))
            found.append(graph.add("Relu", own))
        joined = found[0] if len(found) == 1 else graph.add("Concat", *found, axis=1)
        score = graph.add("Gemm", joined, *constants(graph, module.head))
        if self.task == "regression":
            ends = graph.constant(self.lowest), graph.constant(self.highest)
            return graph.add("Min", graph.add("Max", score, ends[0]), ends[1])
        return link.draw(graph, score, self.task)


def head_of(x_NF: np.ndarray, y_N: np.ndarray, task: str, outputs: int, quantile: float | None, beside: int) -> Head:
    """The head of training rows, of which the first `beside` features are given to it."""
    return Head(task, outputs, quantile, float(y_N.min()), float(y_N.max()), standard_of(x_NF, beside))


def classes_of(task: str, outputs: int) -> int:
    """Of the labels; 0 of values."""
    return 0 if task == "regression" else max(2, outputs)


def batch_of(rows: int, most: int, *, least: int, parts: int) -> int:
    """Rows of a step: fewer where there would be less than about so many `parts` in an epoch."""
    few = max(least, rows // parts)
    return most if most < few else few


def steps_of(rows: int, epochs: float, batch: int) -> int:
    """Steps of the whole schedule."""
    return max(1, round(epochs * rows / batch))


def constants(graph: Graph, layer: Any) -> tuple[str, str]:
    """Weights [inputs, outputs] and bias of a linear layer."""
    weights = layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy()
    return graph.constant(weights[0]), graph.constant(weights[1])


def weight_of(batch: Batch) -> float:
    """Rows, or their weights."""
    return float(batch["weight"].sum()) if "weight" in batch else float(len(batch["y"]))


def targets(y_N: np.ndarray, weight_N: np.ndarray | None, task: str) -> Batch:
    """Targets, and weights where there are any, as tensors."""
    import torch

    found = {"y": torch.from_numpy(y_N)}
    if task == "regression":
        found["y"] = found["y"].float()
    if weight_N is not None:
        found["weight"] = torch.from_numpy(weight_N.astype(np.float32))
    return found


def network(bodies: Sequence[torch.nn.Module], wide: int, beside: int, scores: int) -> torch.nn.Module:
    """A module of features [B, F] and what each body sees → scores [B, S]; the bodies give `wide` units together."""
    import torch
    from torch import nn

    class Network(nn.Module):
        """Bodies, and a layer for the other columns, into one head."""

        def __init__(self) -> None:
            super().__init__()
            self.bodies = nn.ModuleList(bodies)
            self.beside = nn.Linear(beside, BESIDE) if beside else None
            self.head = nn.Linear(wide + (BESIDE if beside else 0), scores)

        def forward(self, x: torch.Tensor, *seen: torch.Tensor) -> torch.Tensor:
            parts = [body(each) for body, each in zip(self.bodies, seen)]
            parts += [] if self.beside is None else [torch.relu(self.beside(x))]
            return self.head(torch.cat(parts, 1))  # type: ignore[no-any-return]

    return Network()
