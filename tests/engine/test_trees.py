import numpy as np
import onnxruntime
import pytest

from forgeline.engine import trees
from forgeline.engine.graph import Graph
from forgeline.engine.trees import Tree


def ask(forest, x_NF, targets):
    graph = Graph()
    scores = trees.draw(forest, graph, graph.input("x", "float", x_NF.shape[1]), targets)
    graph.output(scores, "y", "float", targets)
    session = onnxruntime.InferenceSession(graph.model(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x_NF.astype(np.float32)})[0]


def stump(threshold, left, right, *, feature=0, target=0):
    return Tree(
        feature_M=np.array([feature, -1, -1]),
        threshold_M=np.array([threshold, 0.0, 0.0]),
        left_M=np.array([1, 0, 0]),
        right_M=np.array([2, 0, 0]),
        value_MK=np.array([np.zeros_like(left), left, right], dtype=np.float64).reshape(3, -1),
        target=target,
    )


LEAF = Tree(np.array([-1]), np.zeros(1), np.zeros(1, int), np.zeros(1, int), np.array([[0.25]]))


def test_leaves_are_summed_target_by_target():
    forest = [stump(0.5, 1.0, 2.0), LEAF, stump(1.5, 10.0, 20.0, feature=1, target=1)]
    x = np.array([[0.0, 1.0], [0.5, 2.0], [1.0, 1.5]])
    assert ask(forest, x, 2).tolist() == [[1.25, 10.0], [1.25, 20.0], [2.25, 10.0]]


def test_a_leaf_may_hold_a_value_for_each_target():
    forest = [stump(0.0, [0.5, 0.0, 0.5], [0.0, 0.0, 0.0]), stump(0.0, [0.0, 1.0, 0.0], [0.0, 0.0, 3.0])]
    assert ask(forest, np.array([[-1.0], [1.0]]), 3).tolist() == [[0.5, 1.0, 0.5], [0.0, 0.0, 3.0]]


@pytest.mark.parametrize("threshold", [0.1, 1 / 3, -0.1, 1e-40, 16_777_217.0])
def test_thresholds_between_two_features_are_exact(threshold):
    near = np.float32(threshold)
    x = np.array([[np.nextafter(near, np.float32(-np.inf))], [near], [np.nextafter(near, np.float32(np.inf))]])
    expected = np.where(x[:, 0].astype(np.float64) <= threshold, 1.0, 2.0)
    assert ask([stump(threshold, 1.0, 2.0)], x, 1)[:, 0].tolist() == expected.tolist()


def test_many_trees_are_summed_without_losing_digits():
    draw = np.random.default_rng(4)
    values = np.concatenate([[50.0], draw.normal(0, 0.01, 3000)])
    found = ask([stump(0.0, value, value) for value in values], np.zeros((2, 1)), 1)
    assert found[0, 0] == np.float32(values.sum())
