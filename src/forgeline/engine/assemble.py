"""One ONNX model from encoders, model fragments, weights and calibration: raw columns in, predictions out.

Everything that could change bits with the batch is avoided: logarithms run in float64 (measured in onnxruntime
1.32: the float32 Log gives other last bits for rows at the end of a batch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgeline.engine import encode
from forgeline.engine.ensemble import FLOOR, Scaling
from forgeline.engine.graph import Graph

TENSORS = {"number": "float", "category": "string", "date": "int64", "image": "uint8"}


@dataclass(frozen=True)
class Entry:
    """A raw column, and the tensor that it enters the model by."""

    column: str
    tensor: str
    kind: str
    shape: tuple[int, ...] = (1,)
    """Of a row."""


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
) -> bytes:
    """The whole model, serialized. `recipes` has one entry for each fold and one for all rows.

    Outputs: `probabilities` float32 [N, outputs], or `prediction` float64 [N, 1].
    """
    graph = Graph()
    tensors = {each.column: graph.input(each.tensor, TENSORS[each.kind], *each.shape) for each in inputs}
    parts = []
    for fold, recipe in enumerate(recipes):
        here = [fragment for fragment in fragments if min(fragment.fold, len(recipes) - 1) == fold]
        if here:
            given = {"x": encode.draw(recipe, graph, tensors)}
            given |= {seen_as(place): tensors[each.column] for place, each in enumerate(recipe.pictures)}
            parts += [weighted(graph, given, fragment, task) for fragment in here]
    total = parts[0] if len(parts) == 1 else graph.add("Sum", *parts)
    if task == "regression":
        graph.output(total, "prediction", "double", 1)
    else:
        graph.output(calibrated(graph, total, scaling, outputs), "probabilities", "float", outputs)
    return graph.model()


def seen_as(place: int) -> str:
    """The name by which a fragment knows the pictures of a recipe, in their order."""
    return f"picture_{place}"


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
