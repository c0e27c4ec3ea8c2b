import numpy as np
import onnx
import pytest

from forgeline.engine.graph import IR, ML_OPSET, OPSET, Graph
from forgeline.models import open_session


def affine(slope, start):
    graph = Graph()
    x = graph.input("x", "float", 2)
    y = graph.add("Add", graph.add("Mul", x, graph.constant(slope)), graph.constant(start))
    graph.output(y, "y", "float", 2)
    return graph


def test_a_graph_calculates():
    x = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    (y,) = open_session(affine(2.0, 1.0).model()).run(None, {"x": x})
    assert y.tolist() == [[3.0, 5.0], [7.0, 9.0]]


def test_the_same_calls_give_the_same_bytes():
    assert affine(2.0, 1.0).model() == affine(2.0, 1.0).model()
    assert affine(2.0, 1.0).model() != affine(2.0, 1.5).model()


def test_inlined_graphs_keep_their_names_apart():
    outer = Graph()
    x = outer.input("x", "float", 2)
    for slope, start in ((2.0, 1.0), (3.0, -1.0)):
        (x,) = outer.inline(affine(slope, start).model(), {"x": x})
    outer.output(x, "y", "float", 2)
    given = np.array([[1.0, 2.0]], np.float32)
    assert open_session(outer.model()).run(None, {"x": given})[0].tolist() == [[8.0, 14.0]]
    names = [node.name for node in outer.nodes]
    assert len(set(names)) == len(names)


def test_opsets_are_those_old_readers_know():
    model = onnx.load_model_from_string(affine(1.0, 0.0).model())
    assert model.ir_version == IR
    assert {each.domain: each.version for each in model.opset_import} == {"": OPSET, "ai.onnx.ml": ML_OPSET}


def test_attributes_that_are_none_are_left_out():
    graph = Graph()
    graph.add("Softmax", "x", axis=1, other=None)
    assert [each.name for each in graph.nodes[0].attribute] == ["axis"]


def test_a_broken_graph_is_not_given_out():
    graph = Graph()
    graph.output("nowhere", "y", "float", 1)
    with pytest.raises(onnx.checker.ValidationError):
        graph.model()
