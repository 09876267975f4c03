"""Add the pattern to frames, stronger where the eye forgives more."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from core.errors import BadMedia
from core.media.clip import Picture
from provenance.marks import MarkKey
from provenance.marks.video import pattern
from provenance.marks.video.gather import small_luma
from provenance.marks.video.pattern import Plane

_FLAT = 0.75
"""Standard deviation of the mark, in luma steps, where the picture is empty."""
_BUSY = 0.6
_POWER = 0.6
_TOP = 3.0
_TARGET = 1.27
"""Its root mean square over a whole frame at most, which is 46.05 dB."""


def embedder(key: MarkKey, payload: int, *, width: int, height: int) -> Callable[[Picture], Picture]:
    """Return a function that marks one (height, width, 3) frame with a 64-bit payload.

    It keeps no state, so the same frame always comes out the same. Raises BadInput when the payload does not fit
    64 bits; the function raises BadMedia when a frame is not of that shape.
    """
    drawn = np.clip(pattern.draw(key, payload, width, height), -2.5, 2.5)
    wide, high = pattern.span(width, height)

    def mark(rgb: Picture) -> Picture:
        if rgb.shape != (height, width, 3):
            raise BadMedia(f"Expected a frame of {width}x{height}, got {rgb.shape}.")
        rgb = np.ascontiguousarray(rgb)
        strength = cv2.resize(_strength(small_luma(rgb, wide, high)), (width, height))
        # Writing bytes cuts each product off at 0, so one holds what is added and one what is taken away.
        up = cv2.multiply(drawn, strength, dtype=cv2.CV_8U)
        down = cv2.multiply(drawn, strength, scale=-1.0, dtype=cv2.CV_8U)
        brighter = cv2.add(rgb, cv2.merge([up, up, up]))
        return np.asarray(cv2.subtract(brighter, cv2.merge([down, down, down])), np.uint8)

    return mark


def _strength(luma: Plane) -> Plane:
    """Say how strong the mark may be at each pixel of a luma plane, in luma steps.

    Texture hides it, but a lone edge beside a smooth surface does not: hence the mean of roots, which listens to
    many small details more than to one large one.
    """
    busy = cv2.blur(np.sqrt(abs(luma - cv2.blur(luma, (5, 5)))), (9, 9))
    strength = np.minimum(_FLAT + _BUSY * cv2.pow(busy, 2 * _POWER), _TOP)
    return np.asarray(strength * min(1.0, _TARGET / float(np.sqrt(np.mean(strength**2)))), np.float32)
