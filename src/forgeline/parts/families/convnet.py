"""A residual convolutional network on pictures, with a table's other columns beside them, in torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline.engine import decaying, headed, pixels
from forgeline.engine.graph import Graph
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch
    from forgeline.engine.recipe import Recipe
    from forgeline.engine.seeds import Seed

REQUIRES = ("torch", "deep")
SEES = ("image",)
REFITS = 0
"""The mean of its fold models ships."""
TOLERANCE = 1e-4
"""Between the module and its graph: convolutions add in another order."""
JUDGED_ROWS = 2_000
"""Held-out rows that are looked at while it is trained."""
CHECKS = 6
"""Times in a whole schedule that the loss on them is looked at."""
PROCESS_BYTES = 450 * 2**20
"""A worker before any data: Python with torch loaded."""
SPEED, ACTIVATION_SECONDS = 6.5e10, 8e-9
"""Operations of convolutions a second, and seconds for each number that a layer gives for a row; both are of one core
of an AMD EPYC with AVX2, torch 2.13 (of five networks the dearest was 13 % above, the cheapest 20 % below)."""
STEP_SECONDS, LAYER_SECONDS = 3e-3, 1.2e-3
"""Of a step besides, and of every layer in it."""
WIDTHS = (96, 64, 48, 32, 24, 16)
"""Of the first stage: the widest that has ENOUGH epochs is taken."""
ENOUGH, MOST_EPOCHS = 8.0, 40.0


def space(shape: Shape) -> Space:
    """Pictures moved a little, and mirrored besides; nothing where there are none to see."""
    if not shape.pictures:
        return Space(())
    base = {"width": 32, "depth": 1, "stages": 3, "stem": 2, "epochs": 6.0, "batch": 64, "rate": 0.006, "decay": 0.05}
    base |= {"shift": 0.04, "mirror": False}
    return Space((base, base | {"mirror": True}))


def cost(shape: Shape, setting: Setting) -> Cost:
    """Three times the operations of a forward pass for each row and epoch.

    Constants (units of about a second): see SPEED and below it.
    """
    layers = [layer for size in shape.pictures for layer in layers_of(size, setting)]
    flops = sum(layer.flops for layer in layers)
    given = sum(layer.rows * layer.columns * layer.outside for layer in layers)
    weights = sum(9 * layer.inside * layer.outside for layer in layers)
    batch, steps = batch_of(shape, setting), steps_of(shape, setting)
    step = STEP_SECONDS + LAYER_SECONDS * len(layers) + batch * (3 * flops / SPEED + ACTIVATION_SECONDS * given)
    work = 1.0 + steps * step
    raw = sum(math.prod(size) for size in shape.pictures)
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=PROCESS_BYTES + 4 * shape.rows * (raw + 2 * shape.features) + 20 * batch * given,
        size_bytes=4000 + 4 * weights,
        flops_per_row=float(flops),
    )


def brief(shape: Shape, setting: Setting, work: float) -> Setting:
    """The widest network that has ENOUGH epochs for about `work`; the narrowest, half of one at least."""
    for width in WIDTHS:
        once, twice = (cost(shape, setting | {"width": width, "epochs": epochs}).work for epochs in (1.0, 2.0))
        epochs = 1.0 + (work - once) / max(twice - once, 1e-9)
        if epochs >= ENOUGH:
            break
    return setting | {"width": width, "epochs": round(min(MOST_EPOCHS, max(0.5, epochs)), 2)}


def build(shape: Shape, setting: Setting, seed: Seed) -> ConvNet:
    """An untrained model. Source: He et al., Identity mappings in deep residual networks, ECCV 2016."""
    return ConvNet(shape, setting, seed)


def batch_of(shape: Shape, setting: Setting) -> int:
    """Rows of a step."""
    return headed.batch_of(shape.rows, int(setting["batch"]), least=8, parts=20)


def steps_of(shape: Shape, setting: Setting) -> int:
    """Steps of the whole schedule."""
    return headed.steps_of(shape.rows, setting["epochs"], batch_of(shape, setting))


@dataclass(frozen=True)
class Layer:
    """A convolution of three by three: its channels, its stride, and the places that it is worked out at."""

    inside: int
    outside: int
    stride: int
    rows: int
    columns: int

    @property
    def flops(self) -> float:
        """Of one picture."""
        return 2.0 * 9 * self.inside * self.outside * self.rows * self.columns


def layers_of(size: tuple[int, int, int], setting: Setting) -> list[Layer]:
    """A stem, then blocks of two layers; each stage has half the sides and twice the channels of the one before."""
    height, width, channels = size
    stride = setting["stem"] * (2 if max(height, width) > 40 else 1)
    rows, columns = math.ceil(height / stride), math.ceil(width / stride)
    found = [Layer(channels, setting["width"], stride, rows, columns)]
    for stage in range(setting["stages"]):
        wide = setting["width"] * 2**stage
        for block in range(setting["depth"]):
            stride = 2 if stage and not block else 1
            rows, columns = math.ceil(rows / stride), math.ceil(columns / stride)
            found += [Layer(found[-1].outside, wide, stride, rows, columns), Layer(wide, wide, 1, rows, columns)]
    return found


@dataclass
class ConvNet:
    """What the training loop drives: the module, its loss, its optimizer."""

    shape: Shape
    setting: Setting
    seed: Seed

    @property
    def classes(self) -> int:
        """Of the labels; 0 of values."""
        return headed.classes_of(self.shape.task, self.shape.outputs)

    @property
    def methods(self) -> list[dict[str, Any]]:
        """What is done to batches while it is trained."""
        moved = {"use": "shift", "share": self.setting["shift"], "mirror": self.setting["mirror"]}
        return [moved, {"use": "clip", "most": 1.0}]

    def begin(self, rows: TrainRows) -> Batch:
        """Make the module; the rows as tensors."""
        import torch

        shape = self.shape
        self.head = headed.head_of(
            *(rows.x_NF, rows.y_N, shape.task, shape.outputs, shape.quantile, beside_of(shape)),
        )
        torch.manual_seed(self.seed.child("weights").integer)
        module: Any
        trunks = [layers_of(size, self.setting) for size in shape.pictures]
        self.module = module = network(trunks, beside_of(shape), self.head.scores)
        for trunk, pictures in zip(module.bodies, rows.seen):
            center, scale = light_of(pictures)
            trunk.center.fill_(center)
            trunk.scale.fill_(scale)
        return self.tensors(rows)

    def tensors(self, rows: TrainRows) -> Batch:
        """Pictures as bytes [N, C, H, W], the other columns standardised, targets, weights where there are any."""
        import torch

        found = headed.targets(rows.y_N, rows.weight_N, self.shape.task)
        found["x"] = torch.from_numpy(self.head.beside.of(rows.x_NF))
        for place, pictures in enumerate(rows.seen):
            found[f"picture_{place}"] = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
        return found

    @property
    def batch(self) -> int:
        """Rows of a step."""
        return batch_of(self.shape, self.setting)

    @property
    def recipe(self) -> Recipe:
        """A rise, then half a cosine; nothing ends it early, as the last steps are the ones that tell."""
        from forgeline.engine import schedules
        from forgeline.engine.recipe import Recipe

        steps = steps_of(self.shape, self.setting)
        schedule = schedules.warmed(schedules.cosine, 0.15)
        return Recipe(steps=steps, schedule=schedule, check_every=max(1, math.ceil(steps / CHECKS)))

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW; norms and biases do not decay."""
        import torch

        return torch.optim.AdamW(decaying.groups(self.module, self.setting["decay"]), lr=self.setting["rate"])

    def loss(self, module: Any, batch: Batch) -> torch.Tensor:
        """The mean, weighted where rows have weights."""
        shown = (batch[f"picture_{place}"] for place in range(len(self.shape.pictures)))
        return self.head.mean_loss(module(batch["x"], *shown), batch)

    def weight(self, batch: Batch) -> float:
        """Rows, or their weights."""
        return headed.weight_of(batch)

    def fitted(self, done: float, steps: int) -> FittedConvNet:
        """The module, as it is now."""
        return FittedConvNet(self, done, steps)


def beside_of(shape: Shape) -> int:
    """Features that are no blocks of pictures, which come last."""
    blocks = (pixels.fit("", size) for size in shape.pictures)
    return shape.features - sum(math.prod(each.blocks) * each.channels for each in blocks)


def light_of(pictures: np.ndarray) -> tuple[float, float]:
    """Mean and spread of the light of a sample of pictures."""
    some = pictures[np.linspace(0, len(pictures) - 1, min(1_000, len(pictures))).astype(int)]
    return float(some.mean()), float(some.std()) or 1.0


def network(trunks: list[list[Layer]], beside: int, scores: int) -> torch.nn.Module:
    """A module of features [B, F] and pictures [B, C, H, W] → scores [B, S]."""
    import torch
    from torch import nn

    class Convolution(nn.Module):
        """A convolution, its norm, and what its input adds to it where the shapes differ."""

        def __init__(self, layer: Layer) -> None:
            super().__init__()
            self.conv = nn.Conv2d(layer.inside, layer.outside, 3, layer.stride, 1, bias=False)
            self.norm = nn.BatchNorm2d(layer.outside)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(x))  # type: ignore[no-any-return]

    class Block(nn.Module):
        """Two convolutions and a way around them."""

        def __init__(self, first: Layer, second: Layer) -> None:
            super().__init__()
            self.first, self.second = Convolution(first), Convolution(second)
            nn.init.zeros_(self.second.norm.weight)
            same = first.stride == 1 and first.inside == second.outside
            self.around = None if same else nn.Conv2d(first.inside, second.outside, 1, first.stride)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            way = x if self.around is None else self.around(x)
            return torch.relu(way + self.second(torch.relu(self.first(x))))

    class Trunk(nn.Module):
        """From a picture to what is seen in it, on average over its places."""

        center: torch.Tensor
        scale: torch.Tensor

        def __init__(self, layers: list[Layer]) -> None:
            super().__init__()
            self.register_buffer("center", torch.zeros(()))
            self.register_buffer("scale", torch.ones(()))
            self.stem = Convolution(layers[0])
            pairs = zip(layers[1::2], layers[2::2])
            self.blocks = nn.ModuleList(Block(first, second) for first, second in pairs)

        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            light = (picture.float() - self.center) / self.scale
            h = torch.relu(self.stem(light.contiguous(memory_format=torch.channels_last)))
            for block in self.blocks:
                h = block(h)
            return h.mean((2, 3))

    seen = sum(layers[-1].outside for layers in trunks)
    made = headed.network([Trunk(layers) for layers in trunks], seen, beside, scores)
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class FittedConvNet:
    """A trained model."""

    made: ConvNet
    done: float
    steps: int

    def predict(self, x_NF: np.ndarray, *pictures: np.ndarray) -> np.ndarray:
        """float64 [N, K]: probabilities, or values within those that were trained on."""
        import torch

        made = self.made
        seen = (torch.from_numpy(np.ascontiguousarray(each)).permute(0, 3, 1, 2) for each in pictures)
        with torch.no_grad():
            score_NS = made.module(torch.from_numpy(made.head.beside.of(x_NF)), *seen).double().numpy()
        return made.head.predictions(score_NS)

    def graph(self, graph: Graph, x: str, *pictures: str) -> str:
        """The same; norms are part of the weights of their convolutions."""
        module: Any = self.made.module
        parts = [draw_trunk(trunk, graph, picture) for trunk, picture in zip(module.bodies, pictures)]
        return self.made.head.draw(graph, module, x, parts)


def draw_trunk(trunk: Any, graph: Graph, picture: str) -> str:
    """A trunk as nodes, from pictures uint8 [N, H, W, C]; its mean [N, D]."""
    light = graph.add("Sub", graph.cast(picture, "float"), graph.constant(float(trunk.center)))
    light = graph.add("Div", light, graph.constant(float(trunk.scale)))
    h = graph.add("Transpose", light, perm=[0, 3, 1, 2])
    h = graph.add("Relu", draw_convolution(trunk.stem, graph, h))
    for block in trunk.blocks:
        way = h
        if block.around is not None:
            weights = (graph.constant(each.detach().numpy()) for each in (block.around.weight, block.around.bias))
            way = graph.add("Conv", h, *weights, kernel_shape=[1, 1], strides=list(block.around.stride))
        inner = graph.add("Relu", draw_convolution(block.first, graph, h))
        h = graph.add("Relu", graph.add("Add", way, draw_convolution(block.second, graph, inner)))
    return graph.add("ReduceMean", h, graph.constant([2, 3], np.int64), keepdims=0)


def draw_convolution(layer: Any, graph: Graph, x: str) -> str:
    """A convolution and its norm as one, whose weights are worked out in float64."""
    norm = layer.norm
    gain, shift, mean, spread = (
        each.detach().double().numpy() for each in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    factor = gain / np.sqrt(spread + norm.eps)
    kernel = layer.conv.weight.detach().double().numpy() * factor[:, None, None, None]
    weights = graph.constant(kernel), graph.constant(shift - mean * factor)
    strides = list(layer.conv.stride)
    return graph.add("Conv", x, *weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=strides)
