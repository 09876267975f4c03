"""How strong the mark may be at each place of a frame, and over all of it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from provenance.marks.video.pattern import Plane

_FLAT, _BUSY, _TOP = 0.85, 0.08, 1.2
"""Relative strength where the picture is empty, its rise with texture, and its most."""
_EDGE = 0.5
"""Detail, in cubic means over the frame, at which half of the strength is left."""
_NOISE = 2.0
"""VIF's variance of the eye's own noise, in squared luma steps."""
_STILL, _MOVING = 0.0105, 0.15
"""The share of a frame's visual information that the mark may take, where nothing moves and where much does."""
_MUCH = 4.0
"""Mean change from frame to frame, in steps, that counts as much."""
_POWER = 1.4
"""Root mean square of the mark over a whole frame at most, in luma steps: 45.2 dB."""
_SOFT, _HARD = 0.2, 0.4
"""How much of it a picture bears for each step of its details (cubic mean), and beside that."""
_BOOST, _LOUDEST = 6.0, 3.6
"""How much stronger a scene's first frames are marked at most, and the root mean square of it: 37 dB."""
_BARE, _HIDES = 1.12, 0.4
"""What of it stays unseen, in steps, where the picture is empty, and more for each step of detail."""
_FEW = 200
"""Lines below which less is unseen over the whole frame: there are few places to hide."""
_START = 1.3
"""How much louder than others the first frames of a picture are that gets the least there is."""
_EMPTY, _LEAST, _SOME = 0.66, 0.33, 1.0
"""The power that every picture gets: an empty one, which has no information to lose, and one with some (nats)."""
_LINES, _SMALL = 355, 1.4
"""Lines below which a picture needs more, because its waves are a few pixels long, and how much more at most."""
_STEPS = 8
_BASIS = (
    (0.67234, 0.72709),
    (0.41317, 0.49428),
    (0.22727, 0.28688),
    (0.11792, 0.15214),
    (0.059758, 0.077727),
)
"""Amplitudes of the 9/7 wavelet's basis functions by scale, upright and diagonal (Watson et al. 1997)."""
_VISUAL = 56.55
"""Pixels a degree at three heights of a 1080-line picture."""
_LEVELS = 4
_SPARE = 0.0036
"""Detail that may be lost in a picture that stands still: about 0.7 of VMAF."""
_SPARE_FIRST = 0.03
"""The same in the first frames of a scene: by the same scale some 4 of VMAF."""
_MOTION, _ROOM = 1.9, 0.0045
"""Change from frame to frame in steps from which on movement hides more, and how much more for each step."""
_FLOOR = 0.5
"""Root mean square below which no mark survives delivery: smooth pictures lose more than they may."""


def strength(luma: Plane, motion: float) -> Plane:
    """Say how strong the mark may be, in luma steps, for a luma plane at the size of analysis; at half that size.

    Fine texture hides it; the strongest edges of a frame do not, and carry most of what measures of detail (ADM)
    look at, so they are spared. The whole is then scaled so that the visual information that the mark takes (VIF,
    Sheikh and Bovik 2006, with the mark as additive noise) stays within a share that grows with `motion`.
    """
    size = max(1, luma.shape[1] // 2), max(1, luma.shape[0] // 2)
    whole = _detail(luma)
    much = float(np.mean(whole * whole * whole)) ** (1 / 3)
    detail = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
    edge = cv2.blur(detail, (3, 3)) / (_EDGE * much + 0.5)
    busy = cv2.blur(cv2.sqrt(detail), (5, 5))
    local = np.minimum(_FLAT + _BUSY * busy * busy, _TOP) / (1.0 + edge * edge)
    share = _STILL + (_MOVING - _STILL) * min(1.0, motion / _MUCH) ** 2
    most = min(_POWER, _SOFT * much + _HARD)
    return np.asarray(local * _gain(_variance(luma, size), local, share, most, min(luma.shape)), np.float32)


def louder(luma: Plane, strength: Plane) -> Plane:
    """Raise a strength, as `strength` gives it, for the first frames of a scene: where detail hides it."""
    detail = cv2.resize(_detail(luma), strength.shape[::-1], interpolation=cv2.INTER_AREA)
    most = np.maximum(_BARE * _small(min(luma.shape)) + _HIDES * cv2.blur(detail, (5, 5)), strength)
    raised = np.minimum(_BOOST * strength, most)
    loudest = _LOUDEST * min(1.0, min(luma.shape) / _FEW) ** 0.5
    return np.asarray(raised * min(1.0, loudest / float(np.sqrt(np.mean(raised**2)) + 1e-9)), np.float32)


def bearable(luma: Plane, strength: Plane, mark: Plane, finest: float, motion: float | None) -> float:
    """Return the share, at most 1, of a strength at which `mark` (unit variance) takes no more detail than it may.

    `finest` is the octave of a full picture's detail that the pixels of `luma` are: 0 where it was not reduced.
    `motion` None stands for the first frames of a scene.
    """
    full = cv2.resize(strength, (luma.shape[1], luma.shape[0]), interpolation=cv2.INTER_LINEAR)
    lost = detail_lost(luma, np.asarray(mark * full, np.float32), finest)
    may = _SPARE_FIRST if motion is None else _SPARE + _ROOM * max(0.0, 0.55 * motion - _MOTION)
    some = _variance(luma, (strength.shape[1], strength.shape[0]))
    least = max(_FLOOR, _least(float(np.mean(np.log1p(some / _NOISE))), min(luma.shape))) * (
        _START if motion is None else 1.0
    )
    least /= max(float(np.sqrt(np.mean(strength**2))), 1e-9)
    return min(1.0, max(may / max(lost, 1e-9), least))


def detail_lost(luma: Plane, mark: Plane, finest: float) -> float:
    """Return the share of visible detail that a mark takes: 1 - ADM (Li et al. 2011), with Haar's wavelet.

    Detail that the mark weakens is lost, and so is what the rest of the mark masks. This is what VMAF mostly goes by.
    """
    kept = total = 0.0
    for level in range(_LEVELS):
        if min(luma.shape) < 4:
            break
        luma, before = _octave(luma)
        mark, change = _octave(mark)
        upright, diagonal = _visible(finest + level)
        sizes, masks = [], np.zeros_like(luma)
        for band, moved, seen in zip(before, change, (upright, upright, diagonal), strict=True):
            size = abs(band)
            along = size + np.where(band >= 0, moved, -moved)
            left = np.clip(along, 0, size)
            masks += seen * abs(along - left)
            sizes.append((seen * size, seen * left))
        masks = np.asarray(cv2.blur(masks, (3, 3)) * 0.3, np.float32)
        rows, columns = luma.shape
        inner = slice(rows // 10, rows - rows // 10), slice(columns // 10, columns - columns // 10)
        for size, left in sizes:
            base = (size[inner].size / 32) ** (1 / 3)
            kept += _pooled(np.maximum(left - masks, 0)[inner]) + base
            total += _pooled(size[inner]) + base
    return 1.0 - kept / total if total else 0.0


def _detail(luma: Plane) -> Plane:
    return np.asarray(abs(luma - cv2.blur(luma, (7, 7))), np.float32)


def _pooled(band: Plane) -> float:
    return math.cbrt(float(np.sum(band * band * band)))


def _octave(plane: Plane) -> tuple[Plane, list[Plane]]:
    """Halve a picture, and return it with the three bands of detail that this takes away."""
    rows, columns = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    above, below = plane[0:rows:2, :columns], plane[1:rows:2, :columns]
    half = np.float32(0.5)
    both, down = half * (above + below), half * (above - below)
    left, right = both[:, ::2], both[:, 1::2]
    bands = [down[:, ::2] + down[:, 1::2], left - right, down[:, ::2] - down[:, 1::2]]
    return np.asarray(left + right, np.float32), [np.asarray(band, np.float32) for band in bands]


def _visible(octave: float) -> tuple[float, float]:
    """Return how visible upright and diagonal detail of an octave is, 1 over the threshold of Watson et al. 1997."""
    low = int(min(max(octave, 0.0), 3.0))
    share = min(max(octave - low, 0.0), 1.0)
    found = []
    for index, tilt in enumerate((1.0, 0.534)):
        size = _BASIS[low][index] ** (1 - share) * _BASIS[low + 1][index] ** share
        away = math.log10(2 ** (octave + 1) * 0.401 * tilt / _VISUAL)
        found.append(size / (2 * 0.495 * 10 ** (0.466 * away * away)))
    return found[0], found[1]


def _variance(luma: Plane, size: tuple[int, int]) -> Plane:
    mean, square = (
        cv2.blur(cv2.resize(one, size, interpolation=cv2.INTER_AREA), (5, 5)) for one in (luma, luma * luma)
    )
    return np.asarray(np.maximum(square - mean * mean, 0.0), np.float32)


def _gain(variance: Plane, local: Plane, share: float, power: float, lines: int) -> float:
    """Return the factor on `local` at which the mark takes its share, or less where its power would be too much."""
    some, here = (np.ascontiguousarray(plane[::3, ::3]) for plane in (variance, local))
    information = float(np.mean(np.log1p(some / _NOISE)))
    may = share * information
    unit = float(np.sqrt(np.mean(local**2)))
    least = _least(information, lines)
    most = max(power, least) / unit
    if _lost(some, here, most) <= may:
        return most
    low, high = least / unit, most
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _lost(some, here, middle) <= may else (low, middle)
    return low


def _least(information: float, lines: int) -> float:
    """Return the power that a picture gets in any case: more with less information (nats a pixel) or few lines."""
    return _small(lines) * (_EMPTY - (_EMPTY - _LEAST) * min(1.0, information / _SOME))


def _small(lines: int) -> float:
    return min(max(_LINES / lines, 1.0), _SMALL)


def _lost(variance: Plane, local: Plane, factor: float) -> float:
    """Return the information that noise of variance (factor * local)^2 takes, in nats a pixel."""
    noise = _NOISE + (factor * local) ** 2
    return float(np.mean(np.log1p(variance / _NOISE) - np.log1p(variance / noise)))
