"""A forest of decision trees, and its drawing as one ONNX node that gives the same scores.

Shapes: N rows, M nodes of one tree, T targets (summed scores), K of them that one tree adds to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import numpy_helper

from forgeline.engine.graph import Graph


@dataclass(frozen=True)
class Tree:
    """One tree. A row goes left where `x[feature] <= threshold`, until it is in a leaf."""

    feature_M: np.ndarray
    """Index of a feature; -1 in a leaf."""
    threshold_M: np.ndarray
    left_M: np.ndarray
    right_M: np.ndarray
    value_MK: np.ndarray
    """What a leaf adds to targets `target`, `target + 1`, …; not read elsewhere."""
    target: int = 0


def draw(trees: Sequence[Tree], graph: Graph, x: str, targets: int) -> str:
    """Add a node that gives the sum of the leaves each row falls in; its name, float32 [N, targets].

    Thresholds, leaves and sums are float64, rounded once at the end. Summed in float32, 400 trees fitted to a
    skewed target were off by 2e-5 of its standard deviation; this way the node is 1.15 times as large.
    """
    sizes = [len(tree.feature_M) for tree in trees]
    leaves = [leaf_values(tree) for tree in trees]
    return graph.add(
        "TreeEnsembleRegressor",
        graph.cast(x, "double"),
        domain="ai.onnx.ml",
        n_targets=targets,
        nodes_treeids=np.repeat(np.arange(len(trees)), sizes).tolist(),
        nodes_nodeids=joined([np.arange(size) for size in sizes]),
        nodes_featureids=joined([np.maximum(tree.feature_M, 0) for tree in trees]),
        nodes_modes=["BRANCH_LEQ" if feature >= 0 else "LEAF" for tree in trees for feature in tree.feature_M],
        nodes_truenodeids=joined([np.where(tree.feature_M >= 0, tree.left_M, 0) for tree in trees]),
        nodes_falsenodeids=joined([np.where(tree.feature_M >= 0, tree.right_M, 0) for tree in trees]),
        nodes_values_as_tensor=doubles([np.where(tree.feature_M >= 0, tree.threshold_M, 0) for tree in trees]),
        target_treeids=np.repeat(np.arange(len(trees)), [len(value) for _, _, value in leaves]).tolist(),
        target_nodeids=joined([node for node, _, _ in leaves]),
        target_ids=joined([target for _, target, _ in leaves]),
        target_weights_as_tensor=doubles([value for _, _, value in leaves]),
    )


def leaf_values(tree: Tree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Node, target and value of everything the leaves add; a leaf that adds nothing keeps one zero."""
    given_MK = tree.value_MK != 0
    given_MK[:, 0] |= ~given_MK.any(axis=1)
    given_MK[tree.feature_M >= 0] = False
    node, offset = np.nonzero(given_MK)
    return node, offset + tree.target, tree.value_MK[node, offset]


def joined(parts: Sequence[np.ndarray]) -> list[int]:
    """The integers of all the arrays in one list."""
    together: list[int] = np.concatenate(parts).tolist()
    return together


def doubles(parts: Sequence[np.ndarray]) -> Any:
    """The numbers of all the arrays in one float64 tensor."""
    return numpy_helper.from_array(np.concatenate(parts).astype(np.float64))
