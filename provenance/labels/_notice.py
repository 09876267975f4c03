"""Notices in the sound: spoken, or the rhythm of GB 45438-2025 5.3(c), before everything else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.media.clip import Sound
from core.media.read import whole_sound
from provenance.labels._packs import HOME
from provenance.labels._plan import RHYTHM, Plan

PAUSE_SECONDS = 0.4
_PEAK = 0.5
_HERTZ = 880.0
_SHORT, _LONG, _GAP, _WORD_GAP = 0.12, 0.36, 0.12, 0.36
_MORSE = ((_SHORT, _GAP), (_LONG, _WORD_GAP), (_SHORT, _GAP), (_SHORT, 0.0))
"""Short long, short short: A and I. Each tone with the silence after it, in seconds."""


def with_notices(plan: Plan, sound: Sound, rate: int) -> Sound:
    """Put a plan's notices before the sound, (n, channels) float32."""
    pieces = [piece for notice in plan.notices for piece in (spoken(notice, rate), _silence(rate))]
    return np.concatenate([*(np.tile(piece[:, None], (1, sound.shape[1])) for piece in pieces), sound])


def spoken(notice: str, rate: int) -> NDArray[np.float32]:
    """Give a notice as (n,) float32 at this rate."""
    if notice == RHYTHM:
        return np.concatenate(
            [piece for on, off in _MORSE for piece in (_tone(on, rate), _silence(rate, off))]
        )
    samples = whole_sound(HOME / "assets" / f"{notice}.m4a", rate=rate, mono=True)[:, 0]
    return np.asarray(samples * (_PEAK / np.abs(samples).max()), np.float32)


def _tone(seconds: float, rate: int) -> NDArray[np.float32]:
    time = np.arange(round(seconds * rate)) / rate
    edges = np.clip(np.minimum(time, seconds - time) / 0.01, 0, 1)  # no click at either end
    return np.asarray(_PEAK * edges * np.sin(2 * np.pi * _HERTZ * time), np.float32)


def _silence(rate: int, seconds: float = PAUSE_SECONDS) -> NDArray[np.float32]:
    return np.zeros(round(seconds * rate), np.float32)
