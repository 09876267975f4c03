"""Where somebody speaks: silero-vad, run directly through ONNX Runtime."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.finding import Model
from core.models import registry, wheel_file
from safety.voice.encoder import session
from safety.voice.mel import HOP, RATE, Floats

NAME = "silero-vad"
CHUNK = 512
CONTEXT = 64
ON = 0.3
OFF = 0.15
JOIN_S = 0.3
SHORTEST_S = 0.1

Flags = npt.NDArray[np.bool_]


class SpeechDetector:
    """The voice activity detector; each call starts afresh."""

    def __init__(self) -> None:
        path = wheel_file(NAME)
        self.model = Model(NAME, registry()[NAME].sha256)
        self._session = session(path, NAME)

    def probabilities(self, wave: Floats) -> Floats:
        """Return the probability of speech in each 32 ms of 16 kHz samples (n,): (ceil(n / 512),)."""
        chunks = np.pad(wave, (CONTEXT, -len(wave) % CHUNK))
        state = np.zeros((2, 1, 128), np.float32)
        rate = np.array(RATE, np.int64)
        found = []
        for start in range(0, len(chunks) - CONTEXT, CHUNK):
            chunk = chunks[None, start : start + CONTEXT + CHUNK]
            probability, state = self._session.run(None, {"input": chunk, "state": state, "sr": rate})
            found.append(probability.item())
        return np.array(found, np.float32)

    def frames(self, wave: Floats) -> Flags:
        """Tell for each mel frame (10 ms) of `wave` whether somebody speaks: (1 + n // 160,)."""
        chunks = _cleaned(self.probabilities(wave))
        centres = np.minimum(np.arange(1 + len(wave) // HOP) * HOP // CHUNK, len(chunks) - 1)
        return chunks[centres] if len(chunks) else np.zeros(1, bool)


def runs(flags: Flags) -> list[tuple[int, int]]:
    """Return the runs of true values as (first, one past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def _cleaned(probabilities: Floats) -> Flags:
    """Apply hysteresis, keep pauses up to 0.3 s as speech, and drop blips under 0.1 s."""
    speech = probabilities >= OFF
    for first, end in runs(speech):
        speech[first:end] = probabilities[first:end].max() >= ON
    for first, end in runs(~speech):
        if first > 0 and end < len(speech) and (end - first) * CHUNK <= JOIN_S * RATE:
            speech[first:end] = True
    for first, end in runs(speech):
        if (end - first) * CHUNK < SHORTEST_S * RATE:
            speech[first:end] = False
    return speech
