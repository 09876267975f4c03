"""Logistic heads over sentence vectors, one per category, calibrated on ordinary prompts of each register."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Model
from safety.prompt.encoder import Vectors

Register = Literal["video", "audio"]
REGISTERS: tuple[Register, ...] = ("video", "audio")
Logits = npt.NDArray[np.float32]
"""(n, heads), float32, not calibrated."""

_HALF, _EIGHT_TENTHS = 0.05, 0.001
_LOGIT_OF_EIGHT_TENTHS = float(np.log(4.0))


@dataclass(frozen=True, slots=True)
class Heads:
    """`weight` (384, heads), `bias` (heads,), `scale` (registers, heads, 2): slope and centre of a logit."""

    names: tuple[str, ...]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]

    def logits(self, vectors: Vectors) -> Logits:
        """Apply the heads to sentence vectors."""
        return vectors @ self.weight + self.bias

    def scores(self, vectors: Vectors, register: Register) -> dict[str, float]:
        """Score one prompt from the vectors of its windows: the highest of them, 0-1, four decimals.

        One ordinary prompt in 20 scores 0.5 and more, one in 1000 scores 0.8 and more, per category:
        about one in 100 over all of them.
        """
        slope, centre = self.scale[REGISTERS.index(register)].T
        calibrated = 1 / (1 + np.exp(-slope * (self.logits(vectors).max(axis=0) - centre)))
        return {name: round(float(score), 4) for name, score in zip(self.names, calibrated, strict=True)}


def calibrated_scale(ordinary: Logits) -> npt.NDArray[np.float32]:
    """Fit slope and centre, (heads, 2), so that scores mean what `Heads.scores` says on ordinary prompts.

    The tail is a normal distribution's, or the empirical one where that reaches further.
    """
    mean, spread = ordinary.mean(axis=0), ordinary.std(axis=0)
    centre = np.maximum(np.quantile(ordinary, 1 - _HALF, axis=0), mean + 1.645 * spread)
    high = np.maximum(np.quantile(ordinary, 1 - _EIGHT_TENTHS, axis=0), mean + 3.09 * spread)
    return np.stack([_LOGIT_OF_EIGHT_TENTHS / (high - centre), centre], axis=1).astype(np.float32)


def to_bytes(heads: Heads) -> bytes:
    """Write heads as a NumPy archive."""
    file = io.BytesIO()
    names = np.array(heads.names)
    np.savez(file, names=names, weight=heads.weight.astype(np.float16), bias=heads.bias, scale=heads.scale)
    return file.getvalue()


def shipped() -> Path:
    """Locate the heads that come with the code; heads.md tells what they were trained on."""
    return Path(__file__).with_name("heads.npz")


def load(path: Path) -> tuple[Heads, Model]:
    """Read what `to_bytes` wrote; raise `ModelMissing` where it is not there or not readable."""
    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            names: Sequence[str] = file["names"].tolist()
            heads = Heads(tuple(names), file["weight"].astype(np.float32), file["bias"], file["scale"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ModelMissing(f"the heads of the prompt classifier at {path.name} cannot be read") from error
    return heads, Model(path.name, hashlib.sha256(content).hexdigest())
