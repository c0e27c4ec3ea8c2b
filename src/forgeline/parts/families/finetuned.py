"""A pretrained encoder of texts, trained further with a head on the rows: all of it, its upper layers, or by LoRA."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline.engine import headed, texts, transformer
from forgeline.engine.graph import Graph
from forgeline.errors import BadInput
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch
    from forgeline.engine.recipe import Recipe
    from forgeline.engine.seeds import Seed

REQUIRES = ("transformers", "deep")
SEES = ("tokens",)
REFITS = 0
"""The mean of its fold models ships."""
TOLERANCE = 1e-4
"""Between the module and its graph."""
JUDGED_ROWS = 500
"""Held-out rows that are looked at while it is trained."""
CHECKS = 3
"""Times in a whole schedule that the loss on them is looked at."""
PROCESS_BYTES = 750 * 2**20
"""A worker before any data: Python with torch and transformers loaded."""
SPEED = 6.0e10
"""Operations a second of one core of an AMD EPYC with AVX2, torch 2.13, in batches of 32 texts of 23 tokens."""
FILLED = 1.15
"""Tokens that are worked out for each token that is there."""
LEAST_EPOCHS, MOST_EPOCHS, MANY_ROWS, LEAST_STEPS = 1.25, 10.0, 4_500, 30
"""Of a schedule at most so many epochs: LEAST_EPOCHS where the rows are many, more as they are fewer."""


def space(shape: Shape) -> Space:
    """How much of the encoder is trained, and at which rate; nothing where there is no encoder."""
    if shape.encoder is None or not shape.central:
        return Space(())
    base = {"tuned": "full", "frozen": 0, "epochs": 2.0, "batch": 16, "rate": 1e-4, "head_rate": 1e-3}
    base |= {"decay": 0.01, "dropout": 0.1, "rank": 8}
    return Space((base, base | {"frozen": shape.encoder.layers // 2}, base | {"tuned": "lora", "rate": 1e-3}))


def cost(shape: Shape, setting: Setting) -> Cost:
    """Of a row and epoch a pass forward, and as much again for gradients of what is passed on and of what is trained.

    Constants (units of about a second): see SPEED and below it.
    """
    made = shape.encoder
    assert made is not None
    if setting["tuned"] == "lora" and find_spec("peft") is None:
        remedy = "Install it with: pip install 'forgeline[deep]'"
        raise BadInput("LoRA needs the package peft, which is not installed", where="[train] families", remedy=remedy)
    forward = sum(made.flops(FILLED * each) for each in shape.tokens)
    trained = 1.0 - setting["frozen"] / made.layers
    passes = 1.0 + trained * (1.1 if setting["tuned"] == "lora" else 2.0)
    batch, steps = batch_of(shape, setting), steps_of(shape, setting)
    work = 3.0 + steps * (0.02 * made.parameters / 2.2e7 + batch * passes * forward / SPEED)
    tokens = FILLED * sum(shape.tokens)
    kept = made.layers * tokens * (12 * made.width + 4 * made.inner)
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=int(PROCESS_BYTES + 16 * made.parameters + 4 * batch * kept + 8 * shape.rows * 4 * tokens),
        size_bytes=10_000 + 2 * made.parameters,
        flops_per_row=forward,
    )


def brief(shape: Shape, setting: Setting, work: float) -> Setting:
    """As many epochs as about `work` bears, LEAST_STEPS at least."""
    once, twice = (cost(shape, setting | {"epochs": epochs}).work for epochs in (1.0, 2.0))
    least = LEAST_STEPS * batch_of(shape, setting) / shape.rows
    epochs = 1.0 + (work - once) / max(twice - once, 1e-9)
    most = min(MOST_EPOCHS, max(LEAST_EPOCHS, MANY_ROWS / shape.rows))
    return setting | {"epochs": round(min(most, max(0.1, min(1.0, least), epochs)), 2)}


def build(shape: Shape, setting: Setting, seed: Seed) -> Finetuned:
    """The encoder with a head that knows nothing yet. Source of LoRA: Hu et al., ICLR 2022."""
    return Finetuned(shape, setting, seed)


def batch_of(shape: Shape, setting: Setting) -> int:
    """Rows of a step."""
    return headed.batch_of(shape.rows, int(setting["batch"]), least=4, parts=10)


def steps_of(shape: Shape, setting: Setting) -> int:
    """Steps of the whole schedule."""
    return headed.steps_of(shape.rows, setting["epochs"], batch_of(shape, setting))


@dataclass
class Finetuned:
    """What the training loop drives."""

    shape: Shape
    setting: Setting
    seed: Seed
    methods = ({"use": "clip", "most": 1.0},)

    @property
    def classes(self) -> int:
        """Of the labels; 0 of values."""
        return headed.classes_of(self.shape.task, self.shape.outputs)

    def begin(self, rows: TrainRows) -> Batch:
        """Load the encoder; the rows as tensors."""
        import torch
        from safetensors.numpy import load_file

        shape, made = self.shape, self.shape.encoder
        assert made is not None
        assert rows.encoder is not None
        self.head = headed.head_of(rows.x_NF, rows.y_N, shape.task, shape.outputs, shape.quantile, shape.plain or 0)
        torch.manual_seed(self.seed.child("weights").integer)
        encoder = transformer.module(made, dropout=self.setting["dropout"])
        texts.load(encoder, load_file(rows.encoder))
        encoder = tuned(encoder, self.setting)
        self.module = texts.network(encoder, made.width, len(rows.seen), shape.plain or 0, self.head.scores)
        return self.tensors(rows)

    def tensors(self, rows: TrainRows) -> Batch:
        """Tokens of every column, the other columns standardised, targets, weights where there are any."""
        return texts.tensors(self.head, rows.x_NF, rows.y_N, rows.weight_N, rows.seen)

    @property
    def batch(self) -> int:
        """Rows of a step."""
        return batch_of(self.shape, self.setting)

    @property
    def recipe(self) -> Recipe:
        """A rise, then straight down."""
        from forgeline.engine import schedules
        from forgeline.engine.recipe import Recipe

        steps = steps_of(self.shape, self.setting)
        schedule = schedules.warmed(schedules.linear, 0.1)
        return Recipe(steps=steps, schedule=schedule, check_every=max(1, math.ceil(steps / CHECKS)))

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW; the head learns faster than the encoder."""
        import torch

        own = {id(each) for each in self.module.bodies.parameters()}  # type: ignore[union-attr]
        learning = [each for each in self.module.parameters() if each.requires_grad]
        groups = [
            {"params": [each for each in learning if id(each) in own], "lr": self.setting["rate"]},
            {"params": [each for each in learning if id(each) not in own], "lr": self.setting["head_rate"]},
        ]
        return torch.optim.AdamW(groups, weight_decay=self.setting["decay"])

    def loss(self, module: Any, batch: Batch) -> torch.Tensor:
        """The mean, weighted where rows have weights."""
        return texts.loss(self.head, module, batch)

    def weight(self, batch: Batch) -> float:
        """Rows, or their weights."""
        return headed.weight_of(batch)

    def fitted(self, done: float, steps: int) -> FittedTexts:
        """The module as it is now, its matrices rounded to what ships; what LoRA learned becomes part of them."""
        body: Any = self.module.bodies[0]  # type: ignore[index]
        if self.setting["tuned"] == "lora":
            body.encoder = body.encoder.merge_and_unload()
        texts.rounded(self.module)
        return FittedTexts(self, done, steps)


def tuned(encoder: Any, setting: Setting) -> Any:
    """The encoder, with what is not trained held fast."""
    if setting["tuned"] == "lora":
        from peft import LoraConfig, get_peft_model

        rank = int(setting["rank"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks by a name that transformers 5 will drop
            return get_peft_model(encoder, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query", "value"]))
    if setting["frozen"]:
        for each in (encoder.embeddings, *encoder.encoder.layer[: setting["frozen"]]):
            each.requires_grad_(False)
    return encoder


@dataclass(frozen=True)
class FittedTexts:
    """A trained encoder with its head."""

    made: Finetuned
    done: float
    steps: int

    def predict(self, x_NF: np.ndarray, *seen: np.ndarray) -> np.ndarray:
        """float64 [N, K]."""
        return texts.predict(self.made.module, self.made.head, x_NF, seen)

    def graph(self, graph: Graph, x: str, *seen: str) -> str:
        """The encoder's nodes, then the head's."""
        assert self.made.shape.encoder is not None
        return texts.draw(self.made.module, self.made.head, self.made.shape.encoder, graph, x, seen)
