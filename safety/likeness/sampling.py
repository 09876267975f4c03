"""Which frames of a clip are looked at, and how closely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.media.clip import VideoTrack

_RATE = 4
_SHORT = 24
_JUMP = 0.08
_MOST_CUTS = 2.0
"""Frames a second that changes of the packets' size may add."""
_FINE_SECONDS = 3.0
_AROUND = 0.5
_MOST_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class Look:
    """How closely a frame is searched: `fine` at full size, else reduced; `quarters` also turned by that much."""

    fine: bool
    quarters: int


def sampled(video: VideoTrack) -> frozenset[int]:
    """Choose the frames to look at: four a second, the first, the last, and all of a very short clip."""
    step = 1 if video.frames <= _SHORT else max(1, int(video.fps / _RATE))
    return frozenset((*range(0, video.frames, step), video.frames - 1))


def changes(sizes: Sequence[int], seconds: float) -> frozenset[int]:
    """Name frames at which the picture changes at once, told by the sizes of the packets of an intra-only codec.

    What every frame costs in bytes is known without decoding any: a cut shows as a jump. The frame before it is
    named too. At most two changes a second count, the largest.
    """
    if len(sizes) < 2:  # a change takes two
        return frozenset()
    each = np.array(sizes, np.float64)
    jumps = np.abs(np.diff(each)) / np.maximum(each[:-1], 1)
    order = np.argsort(-jumps)[: max(1, int(_MOST_CUTS * seconds))]
    at = [int(i) + 1 for i in order if jumps[i] > _JUMP]
    return frozenset((*at, *(index - 1 for index in at)))


def packet_sizes(path: Path) -> tuple[int, ...]:
    """List the size in bytes of each picture of an intra-only video, in order; nothing for other codecs."""
    from core.media import read

    return tuple(read.picture_sizes(path))


def look(number: int, time: float, before: float | None) -> Look:
    """Say how to search sampled frame `number` at `time` seconds; `before` is when one was searched finely.

    The picture is turned by another quarter each time, so that a head in any position is found within a second.
    """
    fine = before is None or time - before >= _FINE_SECONDS
    return Look(fine, 1 + number % 3)


def around(times: Iterable[float], video: VideoTrack) -> frozenset[int]:
    """Choose every frame within half a second of the first few of these times."""
    chosen: set[int] = set()
    for time in list(times)[:_MOST_WINDOWS]:
        first = max(0, int((time - _AROUND) * video.fps))
        last = min(video.frames - 1, int((time + _AROUND) * video.fps))
        chosen |= set(range(first, last + 1))
    return frozenset(chosen)
