import numpy as np
import pytest

from forgeline.engine import symmetric
from forgeline.engine.graph import Graph
from forgeline.engine.symmetric import Symmetric
from forgeline.models import open_session

DRAW = np.random.default_rng(4)


def a_tree(depth, scores, features=5):
    return Symmetric(
        feature_L=DRAW.integers(0, features, depth),
        border_L=DRAW.normal(size=depth).astype(np.float32),
        value_VS=DRAW.normal(size=(2**depth, scores)),
    )


def test_the_first_question_is_the_lowest_bit():
    tree = Symmetric(np.array([0, 1]), np.array([0.5, 0.5], np.float32), np.array([[0.0], [1.0], [2.0], [3.0]]))
    x_NF = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]], np.float32)
    assert symmetric.predict([tree], x_NF, np.array([10.0]))[:, 0].tolist() == [10, 11, 12, 13, 10]


@pytest.mark.parametrize("scores", [1, 3])
@pytest.mark.parametrize("depths", [[], [0], [3], [2, 0, 6, 6, 1], [4] * 150])
def test_the_graph_gives_the_same_sums(depths, scores):
    trees = [a_tree(depth, scores) for depth in depths]
    start_S, x_NF = DRAW.normal(size=scores), DRAW.normal(size=(70, 5)).astype(np.float32)
    graph = Graph()
    x = graph.input("x", "float", 5)
    if not trees:  # a constant alone does not grow with the batch
        zero = graph.add(
            "Mul", graph.add("Gather", x, graph.constant([0] * scores, np.int64), axis=1), graph.constant(0.0)
        )
        graph.output(graph.add("Add", zero, symmetric.draw(trees, graph, x, start_S)), "y", "float", scores)
    else:
        graph.output(symmetric.draw(trees, graph, x, start_S), "y", "float", scores)
    drawn_NS = open_session(graph.model()).run(None, {"x": x_NF})[0]
    expected_NS = symmetric.predict(trees, x_NF, start_S)
    np.testing.assert_allclose(np.broadcast_to(drawn_NS, expected_NS.shape), expected_NS, rtol=1e-6, atol=1e-6)
