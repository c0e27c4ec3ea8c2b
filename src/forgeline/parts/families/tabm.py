"""Several perceptrons that share their weights and differ in a scale on each input (TabM), in torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline.engine import decaying, link, network
from forgeline.engine.graph import Graph
from forgeline.engine.network import Inputs
from forgeline.engine.search import Range
from forgeline.engine.seeds import Seed
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch
    from forgeline.engine.recipe import Recipe

REQUIRES = ("torch", "deep")
NAMED_ONLY = True
"""It wants more time than the first minute has; and who competes must not depend on whether torch is there."""
REFITS = 0
"""The mean of its fold models ships."""
RANGES = {
    "width": Range(64, 384, "whole"),
    "layers": Range(1, 3, "whole"),
    "rate": Range(0.0005, 0.01),
    "decay": Range(0.0003, 0.1),
    "dropout": Range(0.0, 0.5, "linear"),
    "bins": Range(2, 48, "whole"),
}
PROCESS_BYTES = 500 * 2**20
"""A worker before any data: Python with torch loaded."""
CHECKS = 20
"""Times in a whole schedule that the loss on held rows is looked at."""


def space(shape: Shape) -> Space:
    """One setting of the paper's default size, for a fraction of its members."""
    base = {"members": 8, "width": 256, "layers": 2, "epochs": 30, "batch": 256, "rate": 0.002, "decay": 0.003}
    return Space((base | {"dropout": 0.1, "bins": 16},), RANGES)


def cost(shape: Shape, setting: Setting) -> Cost:
    """Three products a layer, member and step.

    Constants (units of 1e9 operations, about a second): torch 2.13 on one core of an AMD EPYC.
    """
    flags = network.flags_of(shape.features, shape.flags)
    inputs = network.inputs_of(shape.features, flags, network.bins_for(shape.rows, setting["bins"]))
    width, members, scores = setting["width"], setting["members"], link.scores(shape.task, shape.outputs)
    shared = inputs * width + width**2 * (setting["layers"] - 1)
    own = members * (inputs + width * scores)
    batch = min(setting["batch"], shape.rows)
    steps = max(1, setting["epochs"] * (shape.rows // batch))
    step = 6e-4 + batch * members * (2.2e-11 * 3 * (shared + width * scores) + 4e-9 * width) + 6e-9 * (shared + own)
    work = 0.3 + steps * step
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=PROCESS_BYTES + 4 * shape.rows * (shape.features + 2 * inputs) + 40 * (shared + own),
        size_bytes=4000 + 4 * (shared + own) + 20 * inputs,
        flops_per_row=2.0 * members * (shared + width * scores),
    )


def build(shape: Shape, setting: Setting, seed: Seed) -> TabM:
    """An untrained model. Source: Gorishniy et al., TabM, ICLR 2025 (its variant TabM-mini)."""
    return TabM(shape, setting, seed)


@dataclass
class TabM:
    """What the training loop drives: the module, its loss, its optimizer."""

    shape: Shape
    setting: Setting
    seed: Seed

    @property
    def classes(self) -> int:
        """Of the labels; 0 of values."""
        return 0 if self.shape.task == "regression" else self.shape.outputs if self.shape.outputs > 1 else 2

    def begin(self, rows: TrainRows) -> Batch:
        """Fit the encoding of the inputs, make the module; the rows as tensors."""
        import torch

        self.inputs = network.fit_inputs(rows.x_NF, bins=network.bins_for(len(rows.x_NF), self.setting["bins"]))
        self.lowest, self.highest = float(rows.y_N.min()), float(rows.y_N.max())
        torch.manual_seed(self.seed.child("weights").integer)
        scores = link.scores(self.shape.task, self.shape.outputs)
        sizes = [len(self.inputs.source_D), *[self.setting["width"]] * self.setting["layers"]]
        self.module = perceptrons(sizes, self.setting["members"], scores, self.setting["dropout"])
        return self.tensors(rows)

    def tensors(self, rows: TrainRows) -> Batch:
        """Encoded inputs, targets, weights where there are any."""
        import torch

        found = {"x": torch.from_numpy(self.inputs.encode(rows.x_NF)), "y": torch.from_numpy(rows.y_N)}
        if self.shape.task == "regression":
            found["y"] = found["y"].float()
        if rows.weight_N is not None:
            found["weight"] = torch.from_numpy(rows.weight_N.astype(np.float32))
        return found

    @property
    def batch(self) -> int:
        """Rows of a step."""
        return min(int(self.setting["batch"]), self.shape.rows)

    @property
    def recipe(self) -> Recipe:
        """A short rise, then half a cosine; looks at held rows twenty times."""
        from forgeline.engine import schedules
        from forgeline.engine.recipe import Recipe

        steps = max(1, self.setting["epochs"] * (self.shape.rows // self.batch))
        schedule = schedules.warmed(schedules.cosine, 0.03)
        return Recipe(steps=steps, schedule=schedule, check_every=max(1, steps // CHECKS), patience=6)

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW; scales and biases do not decay."""
        import torch

        return torch.optim.AdamW(decaying.groups(self.module, self.setting["decay"]), lr=self.setting["rate"])

    def loss(self, module: Any, batch: Batch) -> torch.Tensor:
        """The mean over members, each judged by itself."""
        each_B: torch.Tensor = self.losses(module(batch["x"]), batch["y"]).mean(1)
        return each_B.mean() if "weight" not in batch else (each_B * batch["weight"]).sum() / batch["weight"].sum()

    def losses(self, score_BMS: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Of each row and member [B, M]; `y` are values or classes [B], or shares of classes [B, K]."""
        from torch.nn import functional

        members = score_BMS.shape[1]
        if self.shape.task == "regression":
            error_BM = y[:, None] - score_BMS[..., 0]
            quantile = self.shape.quantile
            return error_BM**2 if quantile is None else (quantile - (error_BM < 0).float()) * error_BM
        if y.ndim == 1:
            y = functional.one_hot(y, self.classes)
        if self.shape.task == "binary":
            target_BM = y[:, 1:].float().expand(-1, members)
            return functional.binary_cross_entropy_with_logits(score_BMS[..., 0], target_BM, reduction="none")
        return -(functional.log_softmax(score_BMS, -1) * y[:, None]).sum(-1)

    def weight(self, batch: Batch) -> float:
        """Rows, or their weights."""
        return float(batch["weight"].sum()) if "weight" in batch else float(len(batch["x"]))

    def fitted(self, done: float, steps: int) -> FittedTabM:
        """The module, as it is now."""
        return FittedTabM(self.shape.task, self.inputs, self.module, self.lowest, self.highest, done, steps)


def perceptrons(sizes: list[int], members: int, scores: int, dropout: float) -> torch.nn.Module:
    """A module of [B, D] → [B, M, S]: shared layers, a scale on each input and a last layer for each member."""
    import torch
    from torch import nn

    class Perceptrons(nn.Module):
        """Members M, inputs D, hidden units H, scores S."""

        def __init__(self) -> None:
            super().__init__()
            signs = torch.randint(0, 2, (members, sizes[0])).float() * 2 - 1
            self.scale_MD = nn.Parameter(signs)
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
            self.drop = nn.Dropout(dropout)
            bound = 1 / math.sqrt(sizes[-1])
            self.last_MHS = nn.Parameter(torch.empty(members, sizes[-1], scores).uniform_(-bound, bound))
            self.bias_MS = nn.Parameter(torch.zeros(members, scores))

        def forward(self, x_BD: torch.Tensor) -> torch.Tensor:
            h = x_BD[:, None] * self.scale_MD
            for layer in self.layers:
                h = self.drop(torch.relu(layer(h)))
            return torch.einsum("bmh,mhs->bms", h, self.last_MHS) + self.bias_MS

    return Perceptrons()


@dataclass(frozen=True)
class FittedTabM:
    """A trained model; its answer is the mean of its members' answers."""

    task: str
    inputs: Inputs
    module: Any
    lowest: float
    highest: float
    done: float
    """Share of the schedule that was gone through."""
    steps: int
    """Steps that the weights have been through."""

    def predict(self, x_NF: np.ndarray, *, rows: int = 4096) -> np.ndarray:
        """float64 [N, outputs]."""
        return np.concatenate([self.answers(x_NF[at : at + rows]) for at in range(0, len(x_NF), rows)])

    def answers(self, x_NF: np.ndarray) -> np.ndarray:
        """Of some rows."""
        import torch

        with torch.no_grad():
            score_NMS = self.module(torch.from_numpy(self.inputs.encode(x_NF))).double().numpy()
        if self.task == "regression":
            return np.asarray(np.clip(score_NMS.mean(axis=1), self.lowest, self.highest))
        members = [link.predictions(score_NMS[:, place], self.task) for place in range(score_NMS.shape[1])]
        return np.asarray(np.mean(members, axis=0))

    def graph(self, graph: Graph, x: str) -> str:
        """The members side by side, then the mean of their answers."""
        weights = {name: each.detach().numpy() for name, each in self.module.state_dict().items()}
        members, inputs = weights["scale_MD"].shape
        z = graph.add("Unsqueeze", self.inputs.draw(graph, x), graph.constant([1], np.int64))
        h = graph.add("Mul", z, graph.constant(weights["scale_MD"]))
        h = graph.add("Reshape", h, graph.constant([-1, inputs], np.int64))
        for place in range(len(self.module.layers)):
            layer = graph.constant(weights[f"layers.{place}.weight"].T), graph.constant(weights[f"layers.{place}.bias"])
            h = graph.add("Relu", graph.add("Gemm", h, *layer))
        width, scores = weights["last_MHS"].shape[1:]
        h = graph.add("Reshape", h, graph.constant([-1, members, 1, width], np.int64))
        h = graph.add("MatMul", h, graph.constant(weights["last_MHS"]))
        score = graph.add("Reshape", h, graph.constant([-1, members, scores], np.int64))
        score = graph.add("Add", score, graph.constant(weights["bias_MS"]))
        if self.task == "binary":
            score = graph.add("Mul", score, graph.constant([[[0.0, 1.0]]]))
        answer = score if self.task == "regression" else graph.add("Softmax", score, axis=2)
        mean = graph.add("ReduceMean", answer, graph.constant([1], np.int64), keepdims=0)
        if self.task != "regression":
            return mean
        return graph.add("Min", graph.add("Max", mean, graph.constant(self.lowest)), graph.constant(self.highest))
