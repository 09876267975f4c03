"""The fingerprint of a picture track: PDQ of its middle, several times a second, compared along the time line.

What is kept of a clip is the hash of the middle of the frame (a tenth cut away on every side) twice a second.
A query is hashed four times a second, mirrored too, and with less cut away on every side or on one, so that it
finds the same middle where somebody has already cut off a margin. Fixed times and not scene changes: they need no decision that a
re-encode could tip, and at twice the reference's rate a query is never more than an eighth of a second off.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from core.errors import BadInput
from core.media.clip import Luma, Picture
from provenance.fingerprint import Match, Span, pdq

ALG = "org.greenlight.fingerprint.video.1"
PER_SECOND = 4
STORED_PER_SECOND = 2
MAX_SECONDS = 120
MAX_FRAMES = PER_SECOND * MAX_SECONDS
MIN_QUALITY = 10
"""Below it a frame is flat and its hash is noise; it counts for nothing."""
_RICH = 3 * MIN_QUALITY
_BESIDE = 0.3
"""Seconds from a frame of a query to the stored one that it is a copy of, at the most."""
_WORK = 256
_MIDDLE = 0.1
_EVEN = tuple((lost,) * 4 for lost in (0.0, 0.05, 0.1))
_ONE_SIDE = tuple(tuple(lost * (at == side) for at in range(4)) for lost in (0.05, 0.1) for side in range(4))
_CORNERS = tuple((left, top, 0.07 - left, 0.07 - top) for left in (0.0, 0.07) for top in (0.0, 0.07))
_CUT_OFF = (*_EVEN, *_ONE_SIDE, *_CORNERS)
"""Margins that a query may have lost, as shares of width and height: left, top, right, bottom.

What is between is near enough to one of them. The first three, and each of them mirrored, are `CENTRED` views.
"""
CENTRED = 2 * len(_EVEN)
_MAX_BAR = 0.4
_BLACK = 24
_LIT = 0.1
"""Of the frames, so many must be brighter in a place that belongs to the picture and not to a bar."""

_CHANCE = 128
_SAME_FRAME = 80
_FOUND = 0.45
_LEAST = 1.5
"""Stored frames. A single frame must agree closer, within 41 bits, where many may each be 70 away."""
_STEP = 0.125
_REACH = 0.13
_TIE = 1e-3

_HEAD = struct.Struct(">4sBH")
_MAGIC = b"GLV1"

Times = npt.NDArray[np.float32]
"""(n,) float32: seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoPrint:
    """Hashes along the time line: `times` (n,) seconds, `words` (views, n, 4), `quality` (n,).

    The first view is the middle of the frame; a print that is stored has no other. Even views are as they
    are, odd ones mirrored.
    """

    times: Times
    words: pdq.Words
    quality: npt.NDArray[np.uint8]

    @property
    def speaks(self) -> bool:
        """Whether there is anything in it to compare: a clip of flat frames says nothing."""
        return bool((self.quality >= MIN_QUALITY).any())

    @property
    def spoken(self) -> tuple[float, ...]:
        """The times in seconds of the frames that are far from flat."""
        return tuple(self.times[self.quality >= 2 * MIN_QUALITY].tolist())

    def stored(self) -> VideoPrint:
        """Give what is kept of a clip of ours: the middle of the frame, twice a second."""
        slots = np.floor(self.times * STORED_PER_SECOND + 0.01)
        kept = np.flatnonzero(np.diff(slots, prepend=-1) > 0)
        return VideoPrint(self.times[kept], self.words[:1, kept], self.quality[kept])


class Printer:
    """Builds the print of one picture track, frame by frame; holds 64 KiB for each quarter of a second."""

    def __init__(self) -> None:
        self._next = 0.0
        self._times: list[float] = []
        self._pictures: list[Picture] = []

    def add(self, pixels: Picture | Luma, time: float) -> None:
        """Look at a frame, (h, w, 3) or its luma (h, w), uint8, at its time in seconds; times rise."""
        if time + 1e-6 < self._next or time > MAX_SECONDS or len(self._times) >= MAX_FRAMES:
            return
        self._next = (np.floor(time * PER_SECOND + 0.01) + 1) / PER_SECOND
        small = np.asarray(cv2.resize(pixels, (_WORK, _WORK), interpolation=cv2.INTER_AREA), np.uint8)
        self._times.append(time)
        grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        self._pictures.append(np.asarray(grey, np.uint8))

    def finish(self) -> VideoPrint:
        """Give the print of what was added."""
        if not self._times:
            return VideoPrint(np.zeros(0, np.float32), np.zeros((1, 0, 4), np.uint64), np.zeros(0, np.uint8))
        pictures = np.stack(self._pictures)
        pictures = pictures[:, *_inside_bars(pictures)]
        views = np.stack([view for lost in _CUT_OFF for view in _views(pictures, lost)])
        return VideoPrint(np.array(self._times, np.float32), pdq.hashes(views), pdq.quality(views[0]))


def similarity(query: VideoPrint, reference: VideoPrint) -> Match:
    """Slide a query along a stored print and say where they agree best."""
    seen, kept = query.quality >= MIN_QUALITY, reference.quality >= MIN_QUALITY
    times, targets = query.times[seen], reference.times[kept]
    if not len(times) or not len(targets):
        return Match(score=0.0, offset=0.0, spans=(), found=False)
    distances = pdq.distance(query.words[:, seen][:, :, None], reference.words[0][kept])
    offsets = np.arange(targets[0] - times[-1], targets[-1] - times[0] + _STEP, _STEP)
    nearest, apart = _nearest(targets - offsets[:, None], times)
    # (views, offsets, stored frames); where no frame of the query is near, nothing agrees
    aligned = np.where(apart <= _REACH, distances[:, nearest, np.arange(len(targets))], _CHANCE)
    agreement = np.clip(1 - aligned / _CHANCE, 0, 1)
    # Frames that stand still agree at many offsets: the one where the times agree as well is meant.
    total = agreement.sum(axis=-1) - _TIE * np.minimum(apart, _REACH).sum(axis=-1)
    view, at = np.unravel_index(total.argmax(), total.shape)
    score = float(agreement[view, at].sum() / max(_LEAST, min(len(targets), _expected(times))))
    return Match(
        score=min(1.0, score),
        offset=round(float(offsets[at]), 3),
        spans=_spans(targets - offsets[at], aligned[view, at] <= _SAME_FRAME),
        found=score >= _FOUND,
        mirrored=bool(view % 2),
    )


def blanked(query: VideoPrint, reference: VideoPrint, offset: float) -> tuple[float, ...]:
    """Give the times in seconds at which a query is flat where the reference, `offset` later, has much to see."""
    flat = query.times[query.quality < MIN_QUALITY]
    if not len(flat) or not len(reference.times):
        return ()
    nearest, apart = _nearest(flat + np.float32(offset), reference.times)
    return tuple(flat[(reference.quality[nearest] >= _RICH) & (apart <= _BESIDE)].tolist())


def encode(fingerprint: VideoPrint) -> bytes:
    """Write a print: magic, views, frames; then times in ms, qualities and words, big-endian."""
    views, frames = fingerprint.words.shape[:2]
    milliseconds = np.round(fingerprint.times.astype(np.float64) * 1000).astype(">u4")
    parts = (milliseconds, fingerprint.quality, fingerprint.words.astype(">u8"))
    return _HEAD.pack(_MAGIC, views, frames) + b"".join(part.tobytes() for part in parts)


def decode(data: bytes) -> VideoPrint:
    """Read what `encode` wrote; raises `BadInput` for anything else."""
    if len(data) < _HEAD.size or not data.startswith(_MAGIC):
        raise BadInput("These bytes are no video fingerprint.")
    _, views, frames = _HEAD.unpack_from(data)
    if len(data) != _HEAD.size + frames * (5 + 32 * views) or not 1 <= views <= 2 * len(_CUT_OFF):
        raise BadInput("The video fingerprint has the wrong length.")
    times = np.frombuffer(data, ">u4", frames, _HEAD.size)
    quality = np.frombuffer(data, np.uint8, frames, _HEAD.size + 4 * frames)
    words = np.frombuffer(data, ">u8", views * frames * 4, _HEAD.size + 5 * frames)
    # Whoever sends a print decides what comparing with it costs.
    if (
        frames > MAX_FRAMES
        or np.any(np.diff(times.astype(np.int64)) < 0)
        or np.any(times > 1000 * MAX_SECONDS)
    ):
        raise BadInput(f"The times of a video fingerprint rise, and end within {MAX_SECONDS} s.")
    return VideoPrint(
        (times / 1000).astype(np.float32), words.reshape(views, frames, 4).astype(np.uint64), quality.copy()
    )


def _inside_bars(pictures: Picture) -> tuple[slice, slice]:
    """Find the picture between black bars, the same ones for the whole clip."""
    lit = (pictures > _BLACK).sum(axis=0) > _LIT * len(pictures)
    return _between(lit.any(axis=1)), _between(lit.any(axis=0))


def _between(bright: npt.NDArray[np.bool_]) -> slice:
    lit = np.flatnonzero(bright)
    limit = round(_MAX_BAR * len(bright))
    if not len(lit) or lit[0] > limit or lit[-1] < len(bright) - 1 - limit:
        return slice(None)
    return slice(int(lit[0]), int(lit[-1]) + 1)


def _views(pictures: Picture, lost: tuple[float, ...]) -> tuple[Picture, Picture]:
    """Cut the same middle out of pictures that have lost a margin, as they are and mirrored."""
    left, top, right, bottom = lost
    rows = _middle(pictures.shape[1], top, bottom)
    columns = _middle(pictures.shape[2], left, right)
    middle = pictures[:, rows, columns]
    small = np.stack([cv2.resize(one, (pdq.SIDE, pdq.SIDE), interpolation=cv2.INTER_AREA) for one in middle])
    return small, small[..., ::-1]


def _middle(size: int, before: float, after: float) -> slice:
    """Say where the middle of a whole side lies in one that has lost shares of it before and after."""
    left = 1 - before - after
    return slice(round((_MIDDLE - before) / left * size), size - round((_MIDDLE - after) / left * size))


def _nearest(wanted: Times, given: Times) -> tuple[npt.NDArray[np.int64], Times]:
    """Name the given time nearest to each that is wanted, and how far away it is."""
    right = np.minimum(np.searchsorted(given, wanted), len(given) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(given[left] - wanted) <= np.abs(given[right] - wanted), left, right)
    return nearest, np.abs(given[nearest] - wanted)


def _expected(times: Times) -> float:
    """Count the stored frames that so many of a query correspond to."""
    return len(times) * STORED_PER_SECOND / PER_SECOND


def _spans(times: Times, same: npt.NDArray[np.bool_]) -> tuple[Span, ...]:
    """Join the stored frames that agree, each half a second long and at its time in the query."""
    half = 0.5 / STORED_PER_SECOND
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    return tuple(
        Span(round(max(0.0, float(times[first]) - half), 3), round(float(times[last - 1]) + half, 3))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    )
