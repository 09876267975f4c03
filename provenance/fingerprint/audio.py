"""The fingerprint of a sound track: its Chromaprint words, compared at every lag."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from core.errors import BadInput
from core.media.clip import Sound
from provenance.fingerprint import Match, Span, chroma

ALG = "org.greenlight.fingerprint.audio.1"
MAX_SECONDS = 120
SECONDS_PER_WORD = chroma.STEP / chroma.RATE
_FOUND = 0.45
_APART = 8
"""Bits. Half would be chance, but recordings over the same chords already agree in more than half."""
_SMOOTH = 9
_SAME = 0.4
_LEAST = 8
"""Words, about a second: a shorter overlap of two recordings says nothing."""

_HEAD = struct.Struct(">4sH")
_MAGIC = b"GLA1"


@dataclass(frozen=True, slots=True, eq=False)
class AudioPrint:
    """Chromaprint words, (n,) uint32, one for every `SECONDS_PER_WORD`."""

    words: npt.NDArray[np.uint32]

    @property
    def speaks(self) -> bool:
        """Whether there is enough in it to compare: a second, or silence, says nothing."""
        return self.heard >= _LEAST

    @property
    def spoken(self) -> tuple[float, ...]:
        """The times in seconds of the words that are not silence."""
        return tuple((np.flatnonzero(self.words != chroma.SILENT) * SECONDS_PER_WORD).tolist())

    @property
    def heard(self) -> int:
        """How many of the words are not silence."""
        return int((self.words != chroma.SILENT).sum())


class Printer:
    """Builds the print of one sound track, block by block, up to two minutes; `rate` in Hz."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._blocks: list[npt.NDArray[np.float32]] = []
        self._room = rate * MAX_SECONDS

    def add(self, samples: Sound) -> None:
        """Listen to a block, (n, channels) float32."""
        mono = samples[: self._room].mean(axis=1, dtype=np.float32)
        self._room -= len(mono)
        self._blocks.append(mono)

    def finish(self) -> AudioPrint:
        """Give the print of what was added."""
        mono = np.concatenate([np.zeros(0, np.float32), *self._blocks])
        ratio = Fraction(chroma.RATE, self._rate).limit_denominator(2000)
        if len(mono) and ratio != 1:
            mono = resample_poly(mono, ratio.numerator, ratio.denominator).astype(np.float32)
        return AudioPrint(chroma.words(np.clip(np.nan_to_num(mono), -1, 1)))


def similarity(query: AudioPrint, reference: AudioPrint) -> Match:
    """Slide a query along a stored print and say where they agree best."""
    shorter = min(query.heard, reference.heard)
    if shorter < _LEAST:
        return Match(score=0.0, offset=0.0, spans=(), found=False)
    alike = closeness(query.words[:, None], reference.words[None])
    lags = np.arange(_LEAST - len(query.words), len(reference.words) - _LEAST + 1)
    totals = [float(np.diagonal(alike, lag).sum()) for lag in lags]
    lag = int(lags[int(np.argmax(totals))])
    score = min(1.0, max(totals) / shorter)
    return Match(
        score=score,
        offset=lag * SECONDS_PER_WORD,
        spans=_spans(np.diagonal(alike, lag), first=max(0, -lag)),
        found=score >= _FOUND,
    )


def blanked(query: AudioPrint, reference: AudioPrint, offset: float) -> tuple[float, ...]:
    """Give the times in seconds at which a query is silent where the reference, `offset` later, is not.

    No encoder makes silence of what is loud enough for a word: noise and tones from -92 to -66 dBFS did not
    become silent in AAC of 64 to 192 kbit/s.
    """
    lag = round(offset / SECONDS_PER_WORD)
    first, last = max(0, -lag), min(len(query.words), len(reference.words) - lag)
    if last <= first:
        return ()
    silent = query.words[first:last] == chroma.SILENT
    loud = reference.words[first + lag : last + lag] != chroma.SILENT
    return tuple(((first + np.flatnonzero(silent & loud)) * SECONDS_PER_WORD).tolist())


def closeness(one: npt.NDArray[np.uint32], other: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """Say how alike words are: 1 the same, 0 a quarter of the bits apart or more; silence is like nothing."""
    heard = (one != chroma.SILENT) & (other != chroma.SILENT)
    differing = np.where(heard, np.bitwise_count(one ^ other), _APART).astype(np.float32)
    return np.asarray(np.clip(1 - differing / _APART, 0, 1), np.float32)


def encode(fingerprint: AudioPrint) -> bytes:
    """Write a print: magic, words, big-endian."""
    return _HEAD.pack(_MAGIC, len(fingerprint.words)) + fingerprint.words.astype(">u4").tobytes()


def decode(data: bytes) -> AudioPrint:
    """Read what `encode` wrote; raises `BadInput` for anything else."""
    if len(data) < _HEAD.size or not data.startswith(_MAGIC):
        raise BadInput("These bytes are no audio fingerprint.")
    count = _HEAD.unpack_from(data)[1]
    if len(data) != _HEAD.size + 4 * count or count * SECONDS_PER_WORD > MAX_SECONDS:
        raise BadInput("The audio fingerprint has the wrong length.")
    return AudioPrint(np.frombuffer(data, ">u4", count, _HEAD.size).astype(np.uint32))


def _spans(alike: npt.NDArray[np.float32], *, first: int) -> tuple[Span, ...]:
    smooth = np.convolve(alike, np.ones(_SMOOTH) / _SMOOTH, mode="same")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], smooth >= _SAME, [False]]).astype(np.int8)))
    return tuple(
        Span(
            round((first + int(start)) * SECONDS_PER_WORD, 3),
            round((first + int(end) - 1) * SECONDS_PER_WORD + chroma.REACH / chroma.RATE, 3),
        )
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    )
