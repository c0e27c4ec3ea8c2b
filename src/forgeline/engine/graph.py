"""Building ONNX graphs: names, nodes, constants, and merging one graph into another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
ML_OPSET = 3
CONTRIBUTED = "com.microsoft"
"""Operators that every onnxruntime brings beside the standard's."""
IR = 9
"""Opsets and IR that every onnxruntime from 1.17 on can read."""

KINDS = {
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
}


class Graph:
    """An ONNX graph that grows: `add` returns the name of the tensor a node gives.

    Names are counted, so the same calls give the same bytes.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.count = 0

    def name(self, stem: str) -> str:
        """A name nothing in this graph has yet."""
        self.count += 1
        return f"{stem}_{self.count}"

    def input(self, name: str, kind: str, *shape: int | str) -> str:
        """An input of shape [N, *shape], text for what may vary; its name."""
        self.inputs.append(helper.make_tensor_value_info(name, KINDS[kind], ["N", *shape]))
        return name

    def output(self, tensor: str, name: str, kind: str, width: int) -> None:
        """Publish a tensor of shape [N, width] under a name."""
        self.nodes.append(helper.make_node("Identity", [tensor], [name], name=self.name("Identity")))
        self.outputs.append(helper.make_tensor_value_info(name, KINDS[kind], ["N", width]))

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one output; the output's name. Attributes that are None are left out."""
        return self.add_many(op, 1, *inputs, domain=domain, **attributes)[0]

    def add_many(self, op: str, count: int, *inputs: str, domain: str = "", **attributes: Any) -> list[str]:
        """A node with several outputs; their names."""
        names = [self.name(op) for _ in range(count)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], domain=domain, **given))
        return names

    def constant(self, value: np.ndarray | Sequence[Any] | float, dtype: Any = np.float32) -> str:
        """A constant tensor; its name."""
        name = self.name("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def cast(self, tensor: str, kind: str) -> str:
        """The tensor in another type."""
        return self.add("Cast", tensor, to=KINDS[kind])

    def inline(self, model: bytes, inputs: dict[str, str]) -> list[str]:
        """Merge a serialized graph, feeding its inputs from tensors here; the names its outputs got."""
        inner = onnx.load_model_from_string(model).graph
        names = dict(inputs)
        for constant in inner.initializer:
            names[constant.name] = self.name("constant")
            copy = onnx.TensorProto()
            copy.CopyFrom(constant)
            copy.name = names[constant.name]
            self.constants.append(copy)
        for node in inner.node:
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            copied.name = self.name(node.op_type)
            del copied.input[:], copied.output[:]
            copied.input.extend(names[name] if name else "" for name in node.input)
            for name in node.output:
                names[name] = self.name(node.op_type)
            copied.output.extend(names[name] for name in node.output)
            self.nodes.append(copied)
        return [names[value.name] for value in inner.output]

    def model(self, producer: str = "forgeline") -> bytes:
        """The graph as a checked, serialized ONNX model."""
        graph = helper.make_graph(self.nodes, "forgeline", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        if any(node.domain == CONTRIBUTED for node in self.nodes):
            opsets.append(helper.make_opsetid(CONTRIBUTED, 1))
        model = helper.make_model(graph, producer_name=producer, opset_imports=opsets, ir_version=IR)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
