"""Pour a stream of frames into a few small pictures in which the mark adds up and the content does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from core.media.clip import Frame, Grey, Luma, Picture
from provenance.marks.video.pattern import Plane, span

_INTERVAL = 0.065
"""Seconds between the frames that are used; neighbours share their noise, so more add little."""
_SLOTS = 32
_LONGEST = 2048
_MOST = 2.0
"""Largest value of a pixel of the total, in medians."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What the frames of a span of time (seconds) add up to."""

    start: float
    end: float
    total: Plane


@dataclass(frozen=True, slots=True)
class Gathered:
    """At most 32 slots in order of time, and what their pictures span in pixels of analysis."""

    slots: tuple[Slot, ...]
    wide: float
    high: float

    @property
    def total(self) -> Plane:
        """All slots added up, and what stands out by standing still (a label, a logo) levelled.

        Content that moves averages out and leaves the mark; a still overlay adds up as the mark does, and drowns it.
        """
        added = np.asarray(np.sum([slot.total for slot in self.slots], axis=0), np.float32)
        most = _MOST * float(np.median(np.abs(added)))
        return np.asarray(np.clip(added, -most, most), np.float32)


def small_luma(pixels: Picture | Luma, wide: float, high: float) -> Plane:
    """Scale the luma of a frame, (h, w, 3) or (h, w), to `wide` x `high` pixels, rounded, float32 in 0..255.

    No side gets more than 2048, so a ribbon of a picture costs no more memory than others.
    """
    luma = pixels if pixels.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    size = min(round(wide), _LONGEST), min(round(high), _LONGEST)
    shrinks = luma.shape[0] >= size[1]
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return small.astype(np.float32)


def whiten(luma: Plane) -> Plane:
    """Take away what is smooth and level out what is busy, to about -2..2."""
    detail = luma - cv2.blur(luma, (7, 7))
    spread = cv2.sqrt(cv2.blur(detail * detail, (7, 7)))
    return np.asarray(np.clip(detail / (spread + 1.0), -2.0, 2.0), np.float32)


def gather(frames: Iterable[Frame | Grey]) -> Gathered | None:
    """Add up about 13 frames a second, in slots of one second (longer ones in clips over 32 s).

    Returns None when there are no frames. A frame of another size is stretched to the size of the first.
    """
    slots: list[Slot] = []
    seconds, due, wide, high = 1.0, float("-inf"), 0.0, 0.0
    for frame in frames:
        pixels = frame.rgb if isinstance(frame, Frame) else frame.luma
        if not slots:
            wide, high = span(pixels.shape[1], pixels.shape[0])
        if slots:
            slots[-1] = Slot(slots[-1].start, max(slots[-1].end, frame.time), slots[-1].total)
        if frame.time < due - 1e-6:
            continue
        due = frame.time + _INTERVAL
        seen = whiten(small_luma(pixels, wide, high))
        if slots and frame.time < slots[-1].start + seconds - 1e-6:
            slots[-1] = Slot(slots[-1].start, slots[-1].end, slots[-1].total + seen)
            continue
        if len(slots) == _SLOTS:
            slots, seconds = _halve(slots), 2 * seconds
        slots.append(Slot(frame.time, frame.time, seen))
    return Gathered(tuple(slots), wide, high) if slots else None


def _halve(slots: list[Slot]) -> list[Slot]:
    """Join neighbours two by two."""
    pairs = zip(slots[::2], slots[1::2], strict=True)
    return [Slot(a.start, b.end, a.total + b.total) for a, b in pairs]
