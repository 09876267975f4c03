"""How much worse marked sound is, by the measures that are installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from math import gcd
from typing import Any

import numpy as np
from scipy import signal

from core.media.clip import Sound

_RATE, _SECONDS = 16_000, 8


def pesq(before: Sound, after: Sound, rate: int) -> float | None:
    """Give the wide-band PESQ (ITU-T P.862.2) of the first 8 s, mixed down; None without the package or speech."""
    if find_spec("pesq") is None:
        return None
    package: Any = import_module("pesq")
    try:
        return float(package.pesq(_RATE, _heard(before, rate), _heard(after, rate), "wb"))
    except package.NoUtterancesError:
        return None


def snr(before: Sound, after: Sound) -> float:
    """Give the ratio of the sound to what the mark added, in dB."""
    added = np.square(after.astype(np.float64) - before).sum()
    return float(10 * np.log10(np.square(before.astype(np.float64)).sum() / (added + 1e-20)))


def _heard(sound: Sound, rate: int) -> Any:
    common = gcd(rate, _RATE)
    mono = signal.resample_poly(sound.mean(axis=1), _RATE // common, rate // common)
    return mono[: _SECONDS * _RATE]
