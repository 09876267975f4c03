"""What training changed in MiniLM, small enough to ship: thin matrices, biases and norms, and how they are put back.

The thin matrices are kept as float16. Products and sums of a few such numbers are exact in float64, so the merged
weights come out the same to the last bit on every machine.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing

LAYERS, HEADS, WIDTH, RANK = 6, 12, 384, 16
ADAPTED = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
Weights = Mapping[str, npt.NDArray[Any]]


def shipped() -> Path:
    """Locate the adapter that comes with the code; classifier.md is its card."""
    return Path(__file__).with_name("adapter.npz")


def to_bytes(tuned: Weights) -> bytes:
    """Write what training changed as a NumPy archive, thin matrices as float16."""
    file = io.BytesIO()
    kinds = {name: np.float16 if name.endswith((".down", ".up")) else np.float32 for name in tuned}
    arrays: dict[str, Any] = {name: value.astype(kinds[name]) for name, value in tuned.items()}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def load(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Read what `to_bytes` wrote; raise `ModelMissing` where it is something else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ModelMissing("the adapter of the prompt classifier cannot be read") from error


def merged(base: Weights, tuned: Weights) -> dict[str, npt.NDArray[Any]]:
    """Put the changes into the weights of MiniLM, float32."""
    weights = dict(base)
    for name, value in tuned.items():
        if name.endswith(".up"):
            layer = name.removesuffix(".up")
            change = value.astype(np.float64) @ tuned[f"{layer}.down"].astype(np.float64)
            weights[f"{layer}.weight"] = (base[f"{layer}.weight"].astype(np.float64) + change).astype(
                np.float32
            )
        elif not name.endswith(".down"):
            weights[name] = value.astype(np.float32)
    return weights
