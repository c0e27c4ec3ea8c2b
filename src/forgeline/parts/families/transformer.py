"""A small transformer on the words of texts, trained from scratch, with a table's other columns beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forgeline.engine import decaying, headed, texts, transformer, vocabulary
from forgeline.engine.graph import Graph
from forgeline.engine.transformer import Architecture
from forgeline.kinds import Setting, Shape, Space, TrainRows
from forgeline.records import Cost

if TYPE_CHECKING:
    import torch

    from forgeline.engine.feed import Batch
    from forgeline.engine.recipe import Recipe
    from forgeline.engine.seeds import Seed

REQUIRES = ("transformers", "deep")
SEES = ("text",)
REFITS = 0
"""The mean of its fold models ships."""
TOLERANCE = 1e-4
"""Between the module and its graph."""
JUDGED_ROWS = 2_000
"""Held-out rows that are looked at while it is trained."""
CHECKS = 6
"""Times in a whole schedule that the loss on them is looked at."""
PROCESS_BYTES = 750 * 2**20
"""A worker before any data: Python with torch and transformers loaded."""
SPEED, LAYER_SECONDS = 4.5e10, 2.5e-3
"""Operations a second, and seconds of a layer in a step besides, of one core of an AMD EPYC with AVX2, torch 2.13."""
WIDTHS = (256, 128, 64)
"""The widest that has ENOUGH epochs is taken."""
ENOUGH, MOST_EPOCHS = 6.0, 20.0
HEAD_WIDTH = 32
"""Of an attention head."""
MOST_WORDS, KNOWN = 128, 20_000
"""Words of a text that are read, and words that are known."""


def space(shape: Shape) -> Space:
    """Two layers, the words as they are; nothing where there are no texts."""
    if not shape.words or not shape.central:
        return Space(())
    base = {"width": 128, "layers": 2, "epochs": 8.0, "batch": 64, "rate": 1e-3, "decay": 0.05, "dropout": 0.3}
    return Space((base,))


def known_of(shape: Shape) -> int:
    """Words that there is a place for: about as many as stand in two texts or more, of as many words as there are.

    Source: Heaps' law, with constants of SST-2, TREC and CoLA.
    """
    return int(min(KNOWN, max(100.0, 8 * (shape.rows * sum(shape.words)) ** 0.6)))


def architecture(words: int, setting: Setting) -> Architecture:
    """Of an encoder that knows so many words."""
    width = int(setting["width"])
    return Architecture(
        layers=int(setting["layers"]),
        width=width,
        heads=max(1, width // HEAD_WIDTH),
        inner=4 * width,
        vocabulary=words + vocabulary.FIRST,
        positions=MOST_WORDS,
    )


def cost(shape: Shape, setting: Setting) -> Cost:
    """Three times the operations of a forward pass for each row and epoch, and the update of all words.

    Constants (units of about a second): see SPEED and below it.
    """
    total = sum(shape.words)
    made = architecture(known_of(shape), setting)
    lengths = [min(MOST_WORDS, 1 + each) for each in shape.words]
    forward = sum(made.flops(1.3 * each) for each in lengths)
    batch, steps = batch_of(shape, setting), steps_of(shape, setting)
    step = LAYER_SECONDS * (made.layers + 1) + 4e-9 * made.parameters + batch * 3 * forward / SPEED
    work = 3.0 + 2e-6 * shape.rows * total + steps * step
    kept = made.layers * sum(lengths) * (12 * made.width + 4 * made.inner)
    return Cost(
        work=work,
        seconds=work,
        memory_bytes=int(PROCESS_BYTES + 16 * made.parameters + 4 * batch * kept + 24 * shape.rows * total),
        size_bytes=int(10_000 + 2 * made.parameters + 14 * made.vocabulary),
        flops_per_row=forward,
    )


def brief(shape: Shape, setting: Setting, work: float) -> Setting:
    """The widest network that has ENOUGH epochs for about `work`; the narrowest, half of one at least."""
    for width in WIDTHS:
        once, twice = (cost(shape, setting | {"width": width, "epochs": epochs}).work for epochs in (1.0, 2.0))
        epochs = 1.0 + (work - once) / max(twice - once, 1e-9)
        if epochs >= ENOUGH:
            break
    return setting | {"width": width, "epochs": round(min(MOST_EPOCHS, max(0.5, epochs)), 2)}


def build(shape: Shape, setting: Setting, seed: Seed) -> Scratch:
    """An untrained network. Source: Vaswani et al., Attention is all you need, NeurIPS 2017; Devlin et al., 2019."""
    return Scratch(shape, setting, seed)


def batch_of(shape: Shape, setting: Setting) -> int:
    """Rows of a step."""
    return headed.batch_of(shape.rows, int(setting["batch"]), least=8, parts=20)


def steps_of(shape: Shape, setting: Setting) -> int:
    """Steps of the whole schedule."""
    return headed.steps_of(shape.rows, setting["epochs"], batch_of(shape, setting))


@dataclass
class Scratch:
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
        """Learn which words there are, make the module; the rows as tensors."""
        import torch

        shape, said = self.shape, [each[:, 0].tolist() for each in rows.seen]
        self.known = vocabulary.fit([text for column in said for text in column], known_of(shape), MOST_WORDS)
        self.made = architecture(known_of(shape), self.setting)
        self.head = headed.head_of(rows.x_NF, rows.y_N, shape.task, shape.outputs, shape.quantile, shape.plain or 0)
        torch.manual_seed(self.seed.child("weights").integer)
        encoder = transformer.module(self.made, dropout=self.setting["dropout"])
        wide = self.made.width
        self.module = texts.network(encoder, wide, len(rows.seen), shape.plain or 0, self.head.scores)
        return self.tensors(rows)

    def tensors(self, rows: TrainRows) -> Batch:
        """Tokens of every column, the other columns standardised, targets, weights where there are any."""
        return texts.tensors(
            self.head,
            rows.x_NF,
            rows.y_N,
            rows.weight_N,
            [self.known.tokens(each[:, 0].tolist()) for each in rows.seen],
        )

    @property
    def batch(self) -> int:
        """Rows of a step."""
        return batch_of(self.shape, self.setting)

    @property
    def recipe(self) -> Recipe:
        """A rise, then half a cosine."""
        from forgeline.engine import schedules
        from forgeline.engine.recipe import Recipe

        steps = steps_of(self.shape, self.setting)
        schedule = schedules.warmed(schedules.cosine, 0.1)
        return Recipe(steps=steps, schedule=schedule, check_every=max(1, math.ceil(steps / CHECKS)))

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW; norms and biases do not decay."""
        import torch

        return torch.optim.AdamW(decaying.groups(self.module, self.setting["decay"]), lr=self.setting["rate"])

    def loss(self, module: Any, batch: Batch) -> torch.Tensor:
        """The mean, weighted where rows have weights."""
        return texts.loss(self.head, module, batch)

    def weight(self, batch: Batch) -> float:
        """Rows, or their weights."""
        return headed.weight_of(batch)

    def fitted(self, done: float, steps: int) -> FittedScratch:
        """The module as it is now, its matrices rounded to what ships."""
        texts.rounded(self.module)
        return FittedScratch(self, done, steps)


@dataclass(frozen=True)
class FittedScratch:
    """A trained network."""

    made: Scratch
    done: float
    steps: int

    def predict(self, x_NF: np.ndarray, *seen: np.ndarray) -> np.ndarray:
        """float64 [N, K]."""
        made = self.made
        return texts.predict(made.module, made.head, x_NF, [made.known.tokens(each[:, 0].tolist()) for each in seen])

    def graph(self, graph: Graph, x: str, *seen: str) -> str:
        """Words to places, the encoder's nodes, then the head's."""
        made = self.made
        tokens = [made.known.draw(graph, each) for each in seen]
        return texts.draw(made.module, made.head, made.made, graph, x, tokens)
