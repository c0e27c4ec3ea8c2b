"""One ONNX model from encoders, model fragments, weights and calibration: raw columns in, predictions out.

Everything that could change bits with the batch is avoided: logarithms run in float64 (measured in onnxruntime
1.32: the float32 Log gives other last bits for rows at the end of a batch).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from forgeline.engine import encode, transformer
from forgeline.engine.ensemble import FLOOR, Scaling
from forgeline.engine.graph import Graph

TENSORS = {"number": "float", "category": "string", "date": "int64", "image": "uint8"}
SEEN = {"image": "uint8", "text": "string", "tokens": "int64", "embedded": "float"}
"""Kinds of raw columns that a family may see, and the type of their tensors: pictures [N, H, W, C], texts [N, 1], their
tokens [N, T], 0 after the last, and what a pretrained encoder makes of these [N, D]."""


@dataclass(frozen=True)
class Entry:
    """A raw column, and the tensor that it enters the model by."""

    column: str
    tensor: str
    kind: str
    shape: tuple[int, ...] = (1,)
    """Of a row."""
    text: bool = False
    """Whether it is free text."""


@dataclass(frozen=True)
class Fragment:
    """One fold model: ONNX bytes from features to scores, its weight in the mean, its regression units."""

    fold: int
    weight: float
    model: bytes
    center: float = 0.0
    scale: float = 1.0


def assemble(
    inputs: Sequence[Entry],
    recipes: Sequence[encode.Recipe],
    fragments: Sequence[Fragment],
    *,
    task: str,
    outputs: int,
    scaling: Scaling | None,
    encoder: transformer.Weights | None = None,
) -> bytes:
    """The whole model, serialized. `recipes` has one entry for each fold and one for all rows.

    An input of tokens is there, `tokens_of` a text's own, where a fragment reads them.

    Outputs: `probabilities` float32 [N, outputs], or `prediction` float64 [N, 1].
    """
    graph = Graph()
    desk = Desk(graph, inputs, encoder)
    parts = []
    for fold, recipe in enumerate(recipes):
        here = [fragment for fragment in fragments if min(fragment.fold, len(recipes) - 1) == fold]
        parts += [weighted(graph, desk.given(recipe, fold, fragment.model), fragment, task) for fragment in here]
    total = parts[0] if len(parts) == 1 else graph.add("Sum", *parts)
    if task == "regression":
        graph.output(total, "prediction", "double", 1)
    else:
        graph.output(calibrated(graph, total, scaling, outputs), "probabilities", "float", outputs)
    return graph.model()


def seen_as(kind: str, place: int) -> str:
    """The name by which a fragment knows the columns of a kind, in their order."""
    return f"{kind}_{place}"


def tokens_of(tensor: str) -> str:
    """The input that takes the tokens of the text that `tensor` takes."""
    return f"{tensor}_tokens"


class Desk:
    """What fragments are given: each tensor is drawn once, and only where a fragment reads it."""

    def __init__(self, graph: Graph, inputs: Sequence[Entry], encoder: transformer.Weights | None) -> None:
        self.graph, self.encoder = graph, encoder
        self.inputs = {each.column: each for each in inputs}
        self.raw = {each.column: graph.input(each.tensor, TENSORS[each.kind], *each.shape) for each in inputs}
        self.texts = [each.column for each in inputs if each.text]
        self.drawn: dict[tuple[str, str | int], str] = {}
        self.weights: dict[str, str] = {}
        """Of the encoder, those that are drawn."""

    def given(self, recipe: encode.Recipe, fold: int, model: bytes) -> dict[str, str]:
        """Input of a fragment → tensor, of those that it reads."""
        read = read_by(model)
        found = {}
        if "x" in read:
            found["x"] = self.once(("x", fold), lambda: encode.draw(recipe, self.graph, self.raw))
        for kind in SEEN:
            columns = [each.column for each in recipe.pictures] if kind == "image" else self.texts
            for place, column in enumerate(columns):
                if seen_as(kind, place) in read:
                    found[seen_as(kind, place)] = self.seen(kind, column)
        return found

    def seen(self, kind: str, column: str) -> str:
        """A raw column as families see it."""
        if kind in ("image", "text"):
            return self.raw[column]
        tensor = tokens_of(self.inputs[column].tensor)
        tokens = self.once(("tokens", column), lambda: self.graph.input(tensor, "int64", "T"))
        if kind == "tokens":
            return tokens
        assert self.encoder is not None
        weights = self.encoder
        return self.once(("embedded", column), lambda: transformer.draw(weights, self.graph, tokens, self.weights))

    def once(self, key: tuple[str, str | int], draw: Callable[[], str]) -> str:
        """The tensor that was drawn under this key before, or is now."""
        if key not in self.drawn:
            self.drawn[key] = draw()
        return self.drawn[key]


def read_by(model: bytes) -> set[str]:
    """Inputs of a graph that one of its nodes reads."""
    graph = onnx.load_model_from_string(model).graph
    read = {name for node in graph.node for name in node.input}
    return {each.name for each in graph.input if each.name in read}


def weighted(graph: Graph, given: dict[str, str], fragment: Fragment, task: str) -> str:
    """One fold model's share of the mean; values are given their own unit back, in float64."""
    score = graph.inline(fragment.model, given)[0]
    if task != "regression":
        return graph.add("Mul", score, graph.constant(fragment.weight))
    wide = graph.cast(score, "double")
    grown = graph.add("Mul", wide, graph.constant(fragment.scale, np.float64))
    moved = graph.add("Add", grown, graph.constant(fragment.center, np.float64))
    return graph.add("Mul", moved, graph.constant(fragment.weight, np.float64))


def calibrated(graph: Graph, p: str, scaling: Scaling | None, outputs: int) -> str:
    """Probabilities [N, outputs] after scaling; twin of `ensemble.Scaling.apply`."""
    if scaling is None:
        return p
    logits = graph.add("Log", graph.add("Max", graph.cast(p, "double"), graph.constant(FLOOR, np.float64)))
    moved = graph.add("Mul", logits, graph.constant(scaling.slope, np.float64))
    if outputs == 2:
        moved = graph.add("Add", moved, graph.constant([[0.0, scaling.intercept]], np.float64))
    top = graph.add("ReduceMax", moved, graph.constant([1], np.int64), keepdims=1)
    return graph.add("Softmax", graph.cast(graph.add("Sub", moved, top), "float"), axis=1)
