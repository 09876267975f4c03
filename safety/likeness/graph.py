"""Write ONNX graphs node by node."""

from __future__ import annotations

from typing import Any

import numpy as np


class Graph:
    """Nodes and initialisers of an ONNX graph under construction; every method returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []

    def constant(self, value: np.ndarray[Any, Any]) -> str:
        """Add an initialiser."""
        from onnx import numpy_helper

        name = f"w{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node."""
        from onnx import helper

        name = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def convolve(
        self,
        x: str,
        weights: np.ndarray[Any, Any],
        bias: np.ndarray[Any, Any],
        *,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
    ) -> str:
        """Add a convolution; `weights` is (out, in / groups, k, k), `bias` (out,)."""
        constants = self.constant(weights), self.constant(bias)
        return self.node("Conv", x, *constants, strides=[stride] * 2, pads=[pad] * 4, group=groups)

    def named(self, x: str, name: str) -> None:
        """Make the value `x`, which must be the newest, an output of the graph under `name`."""
        node = self.nodes[-1]
        assert node.output[0] == x
        node.output[0] = name

    def content(self, name: str, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> bytes:
        """Serialise with float32 inputs and outputs of the given shapes; a string is a free dimension."""
        from onnx import TensorProto, helper

        given, made = (
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()]
            for shapes in (inputs, outputs)
        )
        whole = helper.make_graph(self.nodes, name, given, made, self.initialisers)
        opset = [helper.make_opsetid("", 13)]
        content = helper.make_model(whole, opset_imports=opset, ir_version=8).SerializeToString()
        assert isinstance(content, bytes)
        return content
