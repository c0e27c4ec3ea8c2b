import numpy as np
import onnxruntime
import pytest

from forgeline.engine import link
from forgeline.engine.graph import Graph


def ask(score_NS, task, outputs):
    graph = Graph()
    graph.output(link.draw(graph, graph.input("s", "float", score_NS.shape[1]), task), "y", "float", outputs)
    session = onnxruntime.InferenceSession(graph.model(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"s": score_NS})[0]


def test_binary_scores_are_log_odds():
    score_NS = np.log([[3.0], [1.0], [1e-30]])
    np.testing.assert_allclose(link.predictions(score_NS, "binary"), [[0.25, 0.75], [0.5, 0.5], [1.0, 1e-30]])


def test_a_constant_changes_no_class():
    score_NS = np.log([[1.0, 2.0, 5.0]]) + 700
    np.testing.assert_allclose(link.predictions(score_NS, "multiclass"), [[0.125, 0.25, 0.625]])


@pytest.mark.parametrize(("task", "outputs"), [("binary", 2), ("multiclass", 3), ("regression", 1)])
def test_the_graph_does_the_same(task, outputs):
    scores = link.scores(task, outputs)
    score_NS = np.random.default_rng(6).normal(0, 20, (500, scores)).astype(np.float32)
    expected = link.predictions(score_NS.astype(np.float64), task)
    assert expected.shape == (500, outputs)
    np.testing.assert_allclose(ask(score_NS, task, outputs), expected, atol=1e-6)
