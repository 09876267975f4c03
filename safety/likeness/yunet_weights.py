"""Build the YuNet detector from the weights that libfacedetection's shared library carries.

The library holds each layer as a named array, rounded to three digits: `<layer>_pw` are 1x1 convolutions,
(out, in), `<layer>_dw` 3x3 depthwise ones, (9, channels). The first layer is a 3x3 convolution that the library
computes on unrolled patches, (16, 32): row, column, colour, then five zeros.
Sources: Wu, Peng and Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector"; facedetectcnn-model.cpp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from safety.likeness.elf import constants
from safety.likeness.graph import Graph

STRIDES = (8, 16, 32)
_HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


class _Layers:
    def __init__(self, library: bytes) -> None:
        self._arrays = constants(library)

    def array(self, name: str, *shape: int) -> npt.NDArray[np.float32]:
        """Give a named array in its shape; raises `ModelMissing` when it is not there or of another size."""
        content = self._arrays.get(name, b"")
        if len(content) != 4 * int(np.prod(shape)):
            raise ModelMissing(f"the library with the detector's weights has no layer {name} as expected")
        return np.frombuffer(content, "<f4").astype(np.float32).reshape(shape)

    def width(self, name: str) -> int:
        """Count the output channels of a layer."""
        return len(self._arrays.get(f"{name}_bias", b"")) // 4


def _stem(graph: Graph, layers: _Layers) -> str:
    patches = layers.array("backbone__model0_pw_weight", 16, 32)[:, :27].reshape(16, 3, 3, 3)
    weights = np.ascontiguousarray(patches.transpose(0, 3, 1, 2))
    bias = layers.array("backbone__model0_pw_bias", 16)
    return graph.node("Relu", graph.convolve("input", weights, bias, stride=2, pad=1))


def _separable(graph: Graph, layers: _Layers, x: str, name: str, inputs: int) -> str:
    """Add a 1x1 convolution and the 3x3 depthwise one after it."""
    out = layers.width(f"{name}_pw")
    weights = layers.array(f"{name}_pw_weight", out, inputs)[:, :, None, None]
    x = graph.convolve(x, weights, layers.array(f"{name}_pw_bias", out))
    deep = layers.array(f"{name}_dw_weight", 9, out).T.reshape(out, 1, 3, 3)
    bias = layers.array(f"{name}_dw_bias", out)
    return graph.convolve(x, np.ascontiguousarray(deep), bias, pad=1, groups=out)


def _backbone(graph: Graph, layers: _Layers) -> list[str]:
    """Add all stages and give the features at strides 8, 16 and 32, each 64 channels."""
    x = graph.node("Relu", _separable(graph, layers, _stem(graph, layers), "backbone__model0_dp", 16))
    x, channels, levels = graph.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 16, []
    for stage in range(1, 6):
        if stage > 2:  # the third stage is the first after a second halving
            x = graph.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        for half in ("dp1", "dp2"):
            name = f"backbone__model{stage}_{half}"
            x = graph.node("Relu", _separable(graph, layers, x, name, channels))
            channels = layers.width(f"{name}_dw")
        levels.append(x)
    return levels[2:]


def _neck(graph: Graph, layers: _Layers, levels: list[str]) -> list[str]:
    """Let every level see the coarser ones."""
    scales = graph.constant(np.array((1, 1, 2, 2), np.float32))
    mixed: list[str] = []
    for level in (2, 1, 0):
        x = levels[level]
        if mixed:
            twice = graph.node("Resize", mixed[0], "", scales, mode="nearest", nearest_mode="floor",
                               coordinate_transformation_mode="asymmetric")  # fmt: skip
            x = graph.node("Add", x, twice)
        mixed.insert(0, graph.node("Relu", _separable(graph, layers, x, f"neck__lateral_convs__{level}", 64)))
    return mixed


def yunet_onnx(library: bytes) -> bytes:
    """Write the network as ONNX with the inputs and outputs of opencv_zoo's file.

    `input` is (1, 3, height, width) B'G'R' 0-255 in multiples of 32; `cls_8` and the like are (1, cells, n).
    Raises `ModelMissing` when the library does not hold the layers.
    """
    graph, layers = Graph(), _Layers(library)
    shapes: dict[str, list[Any]] = {}
    for level, x in enumerate(_neck(graph, layers, _backbone(graph, layers))):
        for head, size in _HEADS.items():
            y = _separable(graph, layers, x, f"bbox_head__multi_level_{head}__{level}", 64)
            y = graph.node("Transpose", y, perm=[0, 2, 3, 1])
            y = graph.node("Reshape", y, graph.constant(np.array((1, -1, size), np.int64)))
            y = graph.node("Sigmoid", y) if size == 1 else y
            graph.named(y, f"{head}_{STRIDES[level]}")
            shapes[f"{head}_{STRIDES[level]}"] = [1, f"cells_{STRIDES[level]}", size]
    return graph.content("yunet", {"input": [1, 3, "height", "width"]}, shapes)
