"""A view of a clip in which speech stands out: a recurrent network weighs 40 bands every 10 ms by how much is speech.

The network (two GRU layers of 128, about 210,000 weights) was trained on recordings of read speech under invented
noise and music by `python -m safety.voice.train RECORDINGS`; enhance.npz holds its weights.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.finding import Model
from core.models import converted, file_sha256, keep, kept
from safety.voice.encoder import session
from safety.voice.mel import BANDS, FFT, HOP, Floats, filterbank, mel_power

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "voice-enhance.onnx"
WEIGHTS = Path(__file__).with_name("enhance.npz")
UNITS = 128
LEAST = 0.02
"""The least share of a band's power that is kept."""


def build(models_dir: Path) -> Model:
    """Lay the weights out as ONNX in `models_dir`, unless that was done from the same ones, and return it."""
    source = file_sha256(WEIGHTS)
    if made := kept(models_dir, FILE, source):
        return made
    with np.load(WEIGHTS, allow_pickle=False) as stored:
        state = {name: stored[name].astype(np.float32) for name in stored.files}
    return keep(models_dir, FILE, to_onnx(state).SerializeToString(deterministic=True), source)


def to_onnx(state: Mapping[str, Floats]) -> Any:
    """Lay torch's weights out as an ONNX graph: features (frames, 1, 40) -> shares (frames, 1, 40)."""
    from onnx import TensorProto, helper, numpy_helper

    tensors = {
        "inp.weight": state["inp.weight"].T,
        "inp.bias": state["inp.bias"],
        "out.weight": state["out.weight"].T,
        "out.bias": state["out.bias"],
        "direction": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["features", "inp.weight"], ["in0"]),
        helper.make_node("Add", ["in0", "inp.bias"], ["in1"]),
        helper.make_node("Tanh", ["in1"], ["layer0"]),
    ]
    for layer in range(2):
        tensors |= _gru(state, layer)
        inputs = [f"layer{layer}", f"W{layer}", f"R{layer}", f"B{layer}"]
        nodes.append(
            helper.make_node("GRU", inputs, [f"all{layer}"], hidden_size=UNITS, linear_before_reset=1)
        )
        nodes.append(helper.make_node("Squeeze", [f"all{layer}", "direction"], [f"layer{layer + 1}"]))
    nodes += [
        helper.make_node("MatMul", ["layer2", "out.weight"], ["out0"]),
        helper.make_node("Add", ["out0", "out.bias"], ["out1"]),
        helper.make_node("Sigmoid", ["out1"], ["shares"]),
    ]
    graph = helper.make_graph(
        nodes[:],
        "enhance",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["frames", 1, BANDS])],
        [helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["frames", 1, BANDS])],
        [numpy_helper.from_array(np.ascontiguousarray(tensor), name) for name, tensor in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _gru(state: Mapping[str, Floats], layer: int) -> dict[str, Floats]:
    def gates(name: str) -> Floats:
        r, z, n = np.split(state[f"g.{name}_l{layer}"], 3)  # torch's order; ONNX wants z, r, n
        return np.concatenate([z, r, n])

    return {
        f"W{layer}": gates("weight_ih")[None],
        f"R{layer}": gates("weight_hh")[None],
        f"B{layer}": np.concatenate([gates("bias_ih"), gates("bias_hh")])[None],
    }


class Enhancer:
    """Sound in, the same with what is not speech made quieter out."""

    def __init__(self, models_dir: Path) -> None:
        path, self.model = converted(models_dir, FILE, file_sha256(WEIGHTS))
        self._session = session(path, FILE)

    def shares(self, wave: Floats) -> Floats:
        """Tell which share of the power of each mel band is speech, of 16 kHz samples (n,): (1 + n // 160, 40)."""
        features = (np.log10(mel_power(wave) + 1e-10) + 4) / 2
        shares: Floats = self._session.run(None, {"features": features[:, None].astype(np.float32)})[0]
        return np.maximum(shares[:, 0], np.float32(LEAST))

    def __call__(self, wave: Floats) -> Floats:
        """Weigh 16 kHz samples (n,) by the shares: (n,)."""
        gains = np.sqrt(self.shares(wave) @ _spread())
        window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)).astype(np.float32)
        padded = np.pad(wave, (FFT // 2, FFT))
        frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][: len(gains)]
        out, weight = np.zeros(len(padded) + FFT, np.float32), np.zeros(len(padded) + FFT, np.float32)
        for number, frame in enumerate(np.fft.irfft(np.fft.rfft(frames * window) * gains) * window):
            out[number * HOP : number * HOP + FFT] += frame
            weight[number * HOP : number * HOP + FFT] += window**2
        part = slice(FFT // 2, FFT // 2 + len(wave))
        return np.asarray(out[part] / np.maximum(weight[part], 1e-3), np.float32)


@cache
def _spread() -> Floats:
    """Return how the gain of a bin is made of those of the bands, (40, 201), columns of sum 1."""
    bank = filterbank() / filterbank().max(axis=1, keepdims=True)
    bare = np.flatnonzero(bank.sum(axis=0) < 1e-3)
    bank = bank.copy()
    bank[0, bare[bare < FFT // 4]] = 1
    bank[-1, bare[bare >= FFT // 4]] = 1
    return np.asarray(bank / bank.sum(axis=0), np.float32)
