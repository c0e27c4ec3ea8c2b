"""From scores to predictions, in numpy and in ONNX: softmax for classes, nothing for values.

A binary task has one score, the log-odds of class 1. Shapes: N rows, S scores, K outputs.
"""

import numpy as np

from forgeline.engine.graph import Graph


def scores(task: str, outputs: int) -> int:
    """How many scores give so many outputs."""
    return 1 if task == "binary" else outputs


def predictions(score_NS: np.ndarray, task: str) -> np.ndarray:
    """Probabilities that sum to 1, float64 [N, K]; for regression the scores themselves."""
    if task == "regression":
        return score_NS
    if task == "binary":
        score_NS = np.column_stack([np.zeros(len(score_NS)), score_NS])
    power_NK = np.exp(score_NS - score_NS.max(axis=1, keepdims=True))
    p_NK: np.ndarray = power_NK / power_NK.sum(axis=1, keepdims=True)
    return p_NK


def draw(graph: Graph, score: str, task: str) -> str:
    """The same as nodes on float32 scores; the name of float32 [N, K].

    Softmax on float32 treats each row alike, so answers do not depend on the batch. (Measured in onnxruntime
    1.32: its float64 Sigmoid and Softmax differ in the last bit.)
    """
    if task == "regression":
        return score
    if task == "binary":
        score = graph.add("Mul", score, graph.constant([[0.0, 1.0]]))
    return graph.add("Softmax", score, axis=1)
