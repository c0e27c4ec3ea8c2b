"""Symmetric trees, where every node of a level asks the same question, as a few ONNX nodes: a tenth of the bytes of
the same trees as branches.

A row's leaf is the number that its answers make, the first question being the lowest bit.
Shapes: N rows, T trees, L levels, S scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgeline.engine.graph import Graph

BLOCK = 256
"""Trees drawn together: what lies between the nodes stays small in a large batch."""


@dataclass(frozen=True)
class Symmetric:
    """One tree of L levels: bit l of the leaf is `x[feature_L[l]] > border_L[l]`."""

    feature_L: np.ndarray
    border_L: np.ndarray
    """float32."""
    value_VS: np.ndarray
    """float64: what each of the 2 to the L leaves adds to the scores."""


def predict(trees: Sequence[Symmetric], x_NF: np.ndarray, start_S: np.ndarray) -> np.ndarray:
    """Sums of the leaves, float64 [N, S]."""
    total_NS = np.tile(np.asarray(start_S, np.float64), (len(x_NF), 1))
    for tree in trees:
        bits_NL = x_NF[:, tree.feature_L] > tree.border_L
        total_NS += tree.value_VS[bits_NL @ (1 << np.arange(len(tree.feature_L)))]
    return total_NS


def draw(trees: Sequence[Symmetric], graph: Graph, x: str, start_S: np.ndarray) -> str:
    """Nodes that give the sums, float32 [N, S]; trees of equal depth go together, BLOCK at a time."""
    by_depth: dict[int, list[Symmetric]] = {}
    for tree in trees:
        by_depth.setdefault(len(tree.feature_L), []).append(tree)
    sums = [
        block(some[at : at + BLOCK], depth, graph, x)
        for depth, some in sorted(by_depth.items())
        for at in range(0, len(some), BLOCK)
    ]
    start = graph.constant(np.asarray(start_S, np.float64).reshape(1, -1), np.float64)
    return graph.cast(graph.add("Sum", start, *sums) if sums else start, "float")


def block(trees: Sequence[Symmetric], depth: int, graph: Graph, x: str) -> str:
    """Some trees of one depth: their questions, their leaves' numbers, and the leaves' sum, float64 [N, S]."""
    count, scores = len(trees), trees[0].value_VS.shape[1]
    values = np.concatenate([tree.value_VS for tree in trees])  # [T * 2**L, S]
    if depth == 0:  # a tree of one leaf adds the same to every row
        return graph.constant(values.sum(axis=0).reshape(1, scores), np.float64)
    features = graph.constant(np.concatenate([tree.feature_L for tree in trees]), np.int64)
    borders = graph.constant(np.concatenate([tree.border_L for tree in trees]))
    asked = graph.cast(graph.add("Greater", graph.add("Gather", x, features, axis=1), borders), "float")
    bits = graph.add("Reshape", asked, graph.constant([-1, depth], np.int64))
    own = graph.add("MatMul", bits, graph.constant((1 << np.arange(depth)).reshape(-1, 1)))  # whole numbers: exact
    own = graph.add("Reshape", graph.cast(own, "int64"), graph.constant([-1, count], np.int64))
    leaf = graph.add("Add", own, graph.constant(np.arange(count).reshape(1, -1) << depth, np.int64))
    found = graph.add("Gather", graph.constant(values, np.float64), leaf, axis=0)  # [N, T, S]
    return graph.add("ReduceSum", found, graph.constant([1], np.int64), keepdims=0)
