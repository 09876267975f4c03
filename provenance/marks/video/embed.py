"""Add the pattern to frames: where each scene forgives it, and most where its first frame speaks against it.

Within a scene the pattern stands still, so that encoders carry it along for nothing. At every cut it is weighed
anew (Cox et al. 2007, informed embedding): waves that the content already agrees with need little, those that it
opposes get more, so that a single frame that is stored whole, which is all that survives hard compression of moving
content, can be read. The strength follows a model of what VMAF would take off (`sight`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from core.errors import BadMedia
from core.media.clip import Picture
from provenance.marks import MarkKey
from provenance.marks.video import pattern, sight
from provenance.marks.video.gather import small_luma, whiten
from provenance.marks.video.pattern import Floats, Plane

_CUT = 15.0
"""Mean change between two frames, in steps of green, that may start a new scene."""
_LEAP = 2.5
"""How many times as much as the change before it must be: a fast pan changes much in every frame."""
_GRID = 8
_REFRESH = 7.0
"""Times a second at which the strength is measured anew, at most."""
_STALE, _GONE = 4, 3.0
"""How many times as long it may stand, and the change in steps (of neighbouring frames, added up) after which not."""
_ONSET = 0.07
"""Seconds at the start of a scene that are marked more loudly, one frame at least.

After a cut the eye is blind for 30 to 100 ms (Tam et al. 1995, Pastrana-Vidal et al. 2004), and one frame that is stored
whole is all that survives hard compression.
"""
_BLIND = 0.09
"""Seconds that these frames may last at full loudness: a single frame of a slow film lasts longer."""
_UNKNOWN = 99.0
"""Motion that is assumed of a scene while these frames last."""
_DEEP = 0.5
"""How much louder long waves are in these frames (a power of the radius): hard compression rounds short ones away."""
_LEAN = 0.6
_LEAST, _MOST = 0.3, 2.0
_PIXELS = 5.5
"""Pixels from which on a wave has its full strength: shorter ones do not survive that the picture is reduced."""
_LONG, _TILT = 12.0, 1.2
"""Radius up to which waves are long, and how much louder they get where the content has nothing to say there.

In smooth pictures and in grain an encoder rounds short waves away.
"""


def embedder(
    key: MarkKey, payload: int, *, width: int, height: int, fps: float = 24.0
) -> Callable[[Picture], Picture]:
    """Return a function that marks the (height, width, 3) frames of one clip with a 64-bit payload, in order.

    Raises BadInput when the payload does not fit 64 bits; the function raises BadMedia when a frame is not of
    that shape.
    """
    return _Marker(key, payload, width, height, fps).mark


class _Marker:
    """Remembers the scene: its pattern, and what is added to and taken from its frames."""

    def __init__(self, key: MarkKey, payload: int, width: int, height: int, fps: float) -> None:
        self._key, self._payload, self._size = key, payload, (width, height)
        self._span = pattern.span(width, height, min(pattern.ANALYSIS, max(2, min(width, height) // 2 * 2)))
        self._every = max(1, round(fps / _REFRESH))
        self._after = max(1, round(fps * _ONSET))
        self._louder = min(1.0, _BLIND * fps / self._after)
        self._second = max(1, round(fps))
        self._symbols = pattern.symbols(payload)
        self._age, self._moved = 0, 0.0
        self._since, self._gone = 0, 0.0
        self._last: Picture | None = None
        self._amplitude: Floats | None = None
        self._drawn: Plane | None = None
        self._small: Plane | None = None
        self._bearable, self._judged = 1.0, 0
        self._change: tuple[Picture, Picture] | None = None

    def mark(self, rgb: Picture) -> Picture:
        """Mark the next frame."""
        width, height = self._size
        if rgb.shape != (height, width, 3):
            raise BadMedia(f"Expected a frame of {width}x{height}, got {rgb.shape}.")
        rgb = np.ascontiguousarray(rgb)
        self._age = 0 if self._cut(rgb) else self._age + 1
        if self._due() or self._change is None:
            self._change, self._since, self._gone = self._measured(rgb), 0, 0.0
        up, down = self._change
        lifted = cv2.add(rgb, up)
        # in place: a second fresh picture costs more than the subtraction
        return np.asarray(cv2.subtract(lifted, down, dst=lifted), np.uint8)

    def _due(self) -> bool:
        """Say whether the strength must be measured anew: for the louder frames, after them, and where much has moved."""
        self._since += 1
        self._gone += self._moved
        if self._age <= self._after:
            return self._age in {0, self._after}
        return self._since >= self._every and (self._gone >= _GONE or self._since >= _STALE * self._every)

    def _cut(self, rgb: Picture) -> bool:
        seen, last = rgb[::_GRID, ::_GRID, 1], self._last
        self._last = seen.copy()
        if last is None:
            return True
        before, self._moved = self._moved, float(np.mean(cv2.absdiff(seen, last)))
        return self._moved > max(_CUT, _LEAP * before)

    def _measured(self, rgb: Picture) -> tuple[Picture, Picture]:
        """Say what to add to a frame and what to take away, as bytes: one product cuts the other's part off."""
        luma = small_luma(rgb, *self._span)
        first = self._age < self._after
        strength = sight.strength(luma, _UNKNOWN if first else self._moved)
        if first:
            strength += np.float32(self._louder) * (sight.louder(luma, strength) - strength)
        self._bear(luma, strength, None if first else self._moved)
        strength *= self._bearable
        if self._age == 0 or self._amplitude is None:
            self._amplitude = self._weighed(luma, strength)
        if self._age <= self._after or self._drawn is None:
            self._drawn = self._pattern(self._amplitude, deep=_DEEP if first else 0.0)
        full = cv2.resize(strength, self._size, interpolation=cv2.INTER_LINEAR)
        up, down = (
            cv2.cvtColor(
                cv2.multiply(self._drawn, full, scale=sign, dtype=cv2.CV_8U),
                cv2.COLOR_GRAY2RGB,
                dst=old,
            )
            for sign, old in zip((1, -1), self._change or (None, None), strict=True)
        )
        return np.asarray(up, np.uint8), np.asarray(down, np.uint8)

    def _bear(self, luma: Plane, strength: Plane, motion: float | None) -> None:
        """Judge at a scene's start, after its first frames and once a second how much of the strength is borne."""
        if self._age > self._after and self._age - self._judged < self._second:
            return
        high, wide = luma.shape
        finest = math.log2(max(1.0, min(self._size) / min(high, wide)))
        self._bearable = sight.bearable(luma, strength, self._unit(luma), finest, motion)
        self._judged = self._age

    def _unit(self, luma: Plane) -> Plane:
        """Draw the pattern at the size of analysis, all waves alike; once a clip."""
        if self._small is None:
            high, wide = luma.shape
            self._small = pattern.draw(self._key, self._payload, wide, high, pixels=min(self._size))
        return self._small

    def _pattern(self, amplitude: Floats, deep: float) -> Plane:
        """Draw the pattern, long waves louder by a power `deep`, cut off at 2.5 standard deviations."""
        deeper = amplitude * (self._layout().radius / _LONG) ** -deep
        drawn = pattern.draw(self._key, self._payload, *self._size, np.asarray(deeper, np.float64))
        return np.asarray(np.clip(drawn, -2.5, 2.5, out=drawn), np.float32)

    def _weighed(self, luma: Plane, strength: Plane) -> Floats:
        """Choose the amplitudes for a scene that starts with this frame."""
        width, height = self._size
        high, wide = luma.shape
        opposed = self._towards(luma)
        response = (
            self._towards(
                np.asarray(luma + self._unit(luma) * cv2.resize(strength, (wide, high)), np.float32)
            )
            - opposed
        )
        return _amplitudes(opposed, response, self._layout()) * _coarse(self._layout(), width, height)

    def _layout(self) -> pattern.Layout:
        return pattern.layout(self._key, pattern.grid_for(*self._size))

    def _towards(self, luma: Plane) -> Floats:
        """Measure how much a picture already says the payload, wave by wave."""
        held = self._layout()
        found = pattern.transform(whiten(luma), *pattern.span(*self._size, pattern.grid_for(*self._size)))
        return np.asarray(
            (pattern.pick(found, held.bins) * held.wave.conj()).real * self._symbols, np.float64
        )


def _amplitudes(opposed: Floats, response: Floats, held: pattern.Layout) -> Floats:
    """Choose amplitudes for waves of which the content says `opposed` and the mark `response`."""
    host = opposed / max(float(np.mean(response)), 1e-9)
    wanted = np.clip(1.0 - _LEAN * host, _LEAST, _MOST)
    # What speaks too loudly against a wave cannot be outdone; the code makes up for it.
    wanted = np.where(host < -3.0, 1.0, wanted)
    long = held.radius < _LONG
    quiet = 1.0 / (
        1.0 + float(np.mean(np.square(opposed[long]))) / max(float(np.mean(response[long])), 1e-9) ** 2
    )
    return np.asarray(wanted * (held.radius / _LONG) ** (-_TILT * quiet), np.float64)


def _coarse(held: pattern.Layout, width: int, height: int) -> Floats:
    """Say how much of each wave is left in a picture so small that short waves are only a few pixels long."""
    shortest = pattern.TILE * min(width, height) / pattern.grid_for(width, height) / _PIXELS
    return np.asarray(np.minimum(1.0, shortest / held.radius) ** 2, np.float64)
