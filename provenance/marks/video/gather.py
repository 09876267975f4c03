"""Pour a stream of frames into a few small pictures in which the mark adds up and the content does not.

Frames that a file stores whole (key frames) are kept apart from those it stores as changes: where the content
moves, hard compression drags the mark along with it, and only the key frames still show it in its place.
"""

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
"""Largest value of a pixel of a sum, in medians of those that are not empty."""
_NOTHING = 0.02


@dataclass(frozen=True, slots=True)
class Slot:
    """What the frames of a span of time (seconds) add up to: those stored whole, and the others."""

    start: float
    end: float
    whole: Plane | None
    changes: Plane | None

    def views(self) -> tuple[Plane, ...]:
        """Return the sums that there are."""
        return tuple(plane for plane in (self.whole, self.changes) if plane is not None)


@dataclass(frozen=True, slots=True)
class Gathered:
    """At most 32 slots in order of time, what their pictures span in pixels of analysis, and their shorter side."""

    slots: tuple[Slot, ...]
    wide: float
    high: float
    shorter: int

    def views(self) -> tuple[Plane, ...]:
        """Return the key frames of all slots and the other frames of all slots, each added up and levelled.

        Content that moves averages out and leaves the mark; a still overlay (a label, a logo) adds up as the mark
        does, and would drown it.
        """
        kinds = [slot.whole for slot in self.slots], [slot.changes for slot in self.slots]
        sums = (_added(planes) for planes in kinds)
        return tuple(_levelled(plane) for plane in sums if plane is not None)

    def total(self) -> Plane:
        """Return one picture of everything, each kind by its mean: what a search looks at."""
        views = self.views()
        return np.asarray(sum(view / (np.std(view) + 1e-9) for view in views), np.float32)


def _added(planes: Iterable[Plane | None]) -> Plane | None:
    there = [plane for plane in planes if plane is not None]
    return np.asarray(np.sum(there, axis=0), np.float32) if there else None


def _levelled(plane: Plane) -> Plane:
    """Cut off what is far louder than usual, where anything is left: hard compression empties most of smooth pictures."""
    loud = np.abs(plane)
    there = loud[loud > _NOTHING]
    most = _MOST * float(np.median(there)) if there.size else 0.0
    return np.asarray(np.clip(plane, -most, most), np.float32)


def small_luma(pixels: Picture | Luma, wide: float, high: float) -> Plane:
    """Scale the luma of a frame, (h, w, 3) or (h, w), to `wide` x `high` pixels, rounded, float32 in 0..255.

    No side gets more than 2048, so a ribbon of a picture costs no more memory than others.
    """
    size = max(1, min(round(wide), _LONGEST)), max(1, min(round(high), _LONGEST))
    shrinks = pixels.shape[0] >= size[1]
    # Grey first: one plane is resized in a third of the time.
    luma = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return small.astype(np.float32)


def whiten(luma: Plane) -> Plane:
    """Take away what is smooth and level out what is busy, to about -2..2."""
    detail = luma - cv2.blur(luma, (5, 5))
    spread = cv2.sqrt(cv2.blur(detail * detail, (7, 7)))
    return np.asarray(np.clip(detail / (spread + 0.5), -2.0, 2.0), np.float32)


def gather(frames: Iterable[Frame | Grey]) -> Gathered | None:
    """Add up about 13 frames a second and all key frames, in slots of one second (longer ones in clips over 32 s).

    Returns None when there are no frames. A frame of another size is stretched to the size of the first. The
    first frame counts as stored whole, because whoever encoded the file last had nothing to refer it to.
    """
    slots: list[Slot] = []
    seconds, due, wide, high, shorter = 1.0, float("-inf"), 0.0, 0.0, 0
    for frame in frames:
        pixels = frame.rgb if isinstance(frame, Frame) else frame.luma
        key = frame.key or not slots
        if not slots:
            wide, high = span(pixels.shape[1], pixels.shape[0])
            shorter = min(pixels.shape[:2])
        else:
            slots[-1] = Slot(slots[-1].start, max(slots[-1].end, frame.time), *_planes(slots[-1]))
        if frame.time < due - 1e-6 and not (key and frame.time >= due - _INTERVAL / 2):
            continue
        due = frame.time + _INTERVAL
        seen = whiten(small_luma(pixels, wide, high))
        here = Slot(frame.time, frame.time, *((seen, None) if key else (None, seen)))
        if slots and frame.time < slots[-1].start + seconds - 1e-6:
            slots[-1] = _joined(slots[-1], here)
            continue
        if len(slots) == _SLOTS:
            slots, seconds = _halve(slots), 2 * seconds
        slots.append(here)
    return Gathered(tuple(slots), wide, high, shorter) if slots else None


def _planes(slot: Slot) -> tuple[Plane | None, Plane | None]:
    return slot.whole, slot.changes


def _joined(one: Slot, other: Slot) -> Slot:
    """Join two slots in order of time."""
    whole = _added((one.whole, other.whole))
    return Slot(one.start, max(one.end, other.end), whole, _added((one.changes, other.changes)))


def _halve(slots: list[Slot]) -> list[Slot]:
    """Join neighbours two by two."""
    return [_joined(one, other) for one, other in zip(slots[::2], slots[1::2], strict=True)]
