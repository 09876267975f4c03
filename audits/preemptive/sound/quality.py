"""How much worse marked sound is, by the measures that are installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from math import gcd
from typing import Any

import numpy as np
from scipy import signal

from core.media.clip import Sound

_RATE, _SECONDS, _PART_SECONDS = 16_000, 8, 3


def pesq(before: Sound, after: Sound, rate: int) -> float | None:
    """Give the wide-band PESQ (ITU-T P.862.2) of the first 8 s, mixed down; None without the package or speech."""
    if find_spec("pesq") is None:
        return None
    package: Any = import_module("pesq")
    try:
        return float(package.pesq(_RATE, _heard(before, rate), _heard(after, rate), "wb"))
    except package.NoUtterancesError:
        return None


def pesq_by_parts(before: Sound, after: Sound, rate: int) -> float | None:
    """Give the median PESQ of parts of 3 s; None where none can be measured.

    PESQ first aligns what it compares, though both are in step here, and on tones that repeat it may align them
    wrongly and fall by two points or more: the median of parts tells that from what is heard.
    """
    size = _PART_SECONDS * rate
    starts = range(0, len(before) - size + 1, size)
    scores = [pesq(before[start : start + size], after[start : start + size], rate) for start in starts]
    known = [score for score in scores if score is not None]
    return float(np.median(known)) if known else None


def snr(before: Sound, after: Sound) -> float:
    """Give the ratio of the sound to what the mark added, in dB."""
    added = np.square(after.astype(np.float64) - before).sum()
    return float(10 * np.log10(np.square(before.astype(np.float64)).sum() / (added + 1e-20)))


def _heard(sound: Sound, rate: int) -> Any:
    common = gcd(rate, _RATE)
    mono = signal.resample_poly(sound.mean(axis=1), _RATE // common, rate // common)
    return mono[: _SECONDS * _RATE]
