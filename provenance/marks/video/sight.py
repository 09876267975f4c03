"""How strong the mark may be at each place of a frame, and over all of it."""

from __future__ import annotations

import cv2
import numpy as np

from provenance.marks.video.pattern import Plane

_FLAT, _BUSY, _TOP = 0.85, 0.08, 1.2
"""Relative strength where the picture is empty, its rise with texture, and its most."""
_EDGE = 0.5
"""Detail, in cubic means over the frame, at which half of the strength is left."""
_NOISE = 2.0
"""VIF's variance of the eye's own noise, in squared luma steps."""
_STILL, _MOVING = 0.018, 0.12
"""The share of a frame's visual information that the mark may take, where nothing moves and where much does."""
_MUCH = 3.0
"""Mean change from frame to frame, in steps, that counts as much."""
_POWER = 1.2
"""Root mean square of the mark over a whole frame at most, in luma steps: 46.5 dB."""
_SOFT, _HARD = 0.2, 0.4
"""How much of it a picture bears for each step of its details (cubic mean), and beside that."""
_EMPTY, _LEAST, _SOME = 0.7, 0.33, 0.8
"""The power that every picture gets: an empty one, which has no information to lose, and one with some (nats)."""
_STEPS = 8


def strength(luma: Plane, motion: float) -> Plane:
    """Say how strong the mark may be, in luma steps, for a luma plane at the size of analysis; at half that size.

    Fine texture hides it; the strongest edges of a frame do not, and carry most of what measures of detail (ADM)
    look at, so they are spared. The whole is then scaled so that the visual information that the mark takes (VIF,
    Sheikh and Bovik 2006, with the mark as additive noise) stays within a share that grows with `motion`.
    """
    size = max(1, luma.shape[1] // 2), max(1, luma.shape[0] // 2)
    whole = abs(luma - cv2.blur(luma, (7, 7)))
    much = float(np.mean(whole * whole * whole)) ** (1 / 3)
    detail = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
    edge = cv2.blur(detail, (3, 3)) / (_EDGE * much + 0.5)
    busy = cv2.blur(cv2.sqrt(detail), (5, 5))
    local = np.minimum(_FLAT + _BUSY * busy * busy, _TOP) / (1.0 + edge * edge)
    share = _STILL + (_MOVING - _STILL) * min(1.0, motion / _MUCH)
    most = min(_POWER, _SOFT * much + _HARD)
    return np.asarray(local * _gain(_variance(luma, size), local, share, most), np.float32)


def _variance(luma: Plane, size: tuple[int, int]) -> Plane:
    mean, square = (
        cv2.blur(cv2.resize(one, size, interpolation=cv2.INTER_AREA), (5, 5)) for one in (luma, luma * luma)
    )
    return np.asarray(np.maximum(square - mean * mean, 0.0), np.float32)


def _gain(variance: Plane, local: Plane, share: float, power: float) -> float:
    """Return the factor on `local` at which the mark takes its share, or less where its power would be too much."""
    some, here = (np.ascontiguousarray(plane[::3, ::3]) for plane in (variance, local))
    information = float(np.mean(np.log1p(some / _NOISE)))
    may = share * information
    unit = float(np.sqrt(np.mean(local**2)))
    least = _EMPTY - (_EMPTY - _LEAST) * min(1.0, information / _SOME)
    most = max(power, least) / unit
    if _lost(some, here, most) <= may:
        return most
    low, high = least / unit, most
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _lost(some, here, middle) <= may else (low, middle)
    return low


def _lost(variance: Plane, local: Plane, factor: float) -> float:
    """Return the information that noise of variance (factor * local)^2 takes, in nats a pixel."""
    noise = _NOISE + (factor * local) ** 2
    return float(np.mean(np.log1p(variance / _NOISE) - np.log1p(variance / noise)))
