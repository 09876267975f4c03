"""Watermarks: 64 bits in the picture and the same 64 bits in the sound, blind and keyed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class MarkKey:
    """A watermark key of this installation: `secret` is 32 random bytes, `id` may be shown."""

    id: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """A span in seconds and whether the mark was seen in it.

    Where a sound is not `readable`, nothing can be said: the span is too quiet, short or disturbed to show a mark;
    where it is and the mark was not found, the mark is absent. Of a picture only what was found is known.
    """

    start: float
    end: float
    found: bool
    readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkReading:
    """What a detector read.

    `payload` is the 64-bit id or None; `p_false` bounds the probability that unmarked content gives this
    answer, counting every alignment and key tried. `geometry` says how the content was bent (scale,
    rotation in degrees, flip for pictures; stretch and speed for sound).
    """

    track: Literal["video", "audio"]
    found: bool
    payload: int | None
    p_false: float
    key_id: str | None = None
    segments: tuple[Segment, ...] = ()
    geometry: dict[str, float] | None = None
