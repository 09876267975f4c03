"""The speaker encoder: resemblyzer's LSTM (Wan et al. 2018, GE2E), converted once to ONNX so that running needs no torch."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Model
from core.models import converted, keep, kept, registry, wheel_file
from safety.voice.mel import BANDS, Floats, gain, mel_power

if TYPE_CHECKING:
    import onnxruntime

FILE = "resemblyzer.onnx"
CHECKPOINT = "resemblyzer"
UNITS = 256
LAYERS = 3

Frames = npt.NDArray[np.intp]


def session(path: Path, name: str) -> onnxruntime.InferenceSession:
    """Open an ONNX model on one thread of the CPU; raise `ModelMissing` if it does not load."""
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidGraph, InvalidProtobuf) as error:
        raise ModelMissing(f"{name} at {path} does not load; pull it again") from error


def build(models_dir: Path) -> tuple[Model, ...]:
    """Convert the checkpoint to ONNX in `models_dir`, unless that was done from the same one, and return it."""
    source = registry()[CHECKPOINT].sha256
    if made := kept(models_dir, FILE, source):
        return (made,)
    content = to_onnx(weights()).SerializeToString(deterministic=True)
    return (keep(models_dir, FILE, content, source),)


def weights() -> dict[str, Floats]:
    """Read the checkpoint's tensors by name; raise `ModelMissing` if it cannot be read."""
    import torch

    path = wheel_file(CHECKPOINT)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    except (OSError, RuntimeError, KeyError, pickle.UnpicklingError) as error:
        raise ModelMissing(f"{CHECKPOINT} at {path} cannot be read") from error
    return {name: tensor.numpy() for name, tensor in state.items()}


def to_onnx(state: dict[str, Floats]) -> Any:
    """Lay the checkpoint out as an ONNX graph: mels (batch, frames, 40) -> vectors (batch, 256) of unit length."""
    from onnx import TensorProto, helper, numpy_helper

    tensors = {"linear.weight": state["linear.weight"], "linear.bias": state["linear.bias"]}
    nodes = [helper.make_node("Transpose", ["mels"], ["layer0"], perm=[1, 0, 2])]
    for layer in range(LAYERS):
        tensors |= _lstm_tensors(state, layer)
        inputs = [f"layer{layer}", f"W{layer}", f"R{layer}", f"B{layer}"]
        nodes.append(helper.make_node("LSTM", inputs, [f"all{layer}", f"last{layer}"], hidden_size=UNITS))
        nodes.append(helper.make_node("Squeeze", [f"all{layer}", "direction"], [f"layer{layer + 1}"]))
    tensors["direction"] = np.array([1], dtype=np.int64)
    tensors["first"] = np.array([0], dtype=np.int64)
    nodes += [
        helper.make_node("Squeeze", [f"last{LAYERS - 1}", "first"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "linear.weight", "linear.bias"], ["linear"], transB=1),
        helper.make_node("Relu", ["linear"], ["positive"]),
        helper.make_node("LpNormalization", ["positive"], ["vectors"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes[:],
        CHECKPOINT,
        [helper.make_tensor_value_info("mels", TensorProto.FLOAT, ["batch", "frames", BANDS])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", UNITS])],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _lstm_tensors(state: dict[str, Floats], layer: int) -> dict[str, Any]:
    def gates(name: str) -> Floats:
        i, f, g, o = np.split(state[f"lstm.{name}_l{layer}"], 4)  # torch's order; ONNX wants i, o, f, g
        return np.concatenate([i, o, f, g])

    return {
        f"W{layer}": gates("weight_ih")[None],
        f"R{layer}": gates("weight_hh")[None],
        f"B{layer}": np.concatenate([gates("bias_ih"), gates("bias_hh")])[None],
    }


class Encoder:
    """Mel windows in, vectors of unit length out."""

    def __init__(self, models_dir: Path) -> None:
        path, self.model = converted(models_dir, FILE, registry()[CHECKPOINT].sha256)
        self._session = session(path, FILE)

    def __call__(self, mels: Floats) -> Floats:
        """Embed mel windows (n, frames, 40): (n, 256), non-negative, unit length."""
        parts = [self._session.run(None, {"mels": mels[i : i + 32]})[0] for i in range(0, len(mels), 32)]
        return np.concatenate(parts) if parts else np.zeros((0, UNITS), np.float32)

    def embed(self, wave: Floats, power: Floats, windows: Sequence[Frames]) -> Floats:
        """Embed windows, given as the numbers of their mel frames, of 16 kHz samples (n,): (windows, 256).

        Each window is levelled by its own `power`, the mean squares of the frames.
        """
        if not windows:
            return np.zeros((0, UNITS), np.float32)
        mels = mel_power(wave)
        return self(np.stack([mels[part] * np.float32(gain(float(power[part].mean()))) for part in windows]))
