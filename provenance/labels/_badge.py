"""Text in the picture: light on an opaque dark plate, top right, one plate below the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import BadMedia
from core.media.clip import Picture
from provenance.labels._packs import HOME
from provenance.labels._plan import Badge, Plan

PLATE, INK = 70, 240
"""8-bit levels, 8:1 in luminance. Stronger ones would be no easier to read and drown the watermark's pattern."""
_MARGIN = 0.025
_PADDING = 0.45  # of the ink's height
_WIDEST = 0.95
MIN_INK = 10
"""Pixels below which letters cannot be read."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A badge ready to be laid into a frame: (h, w) uint8 grey at (x, y), with `ink` pixels of letter height."""

    badge: Badge
    x: int
    y: int
    ink: int
    grey: NDArray[np.uint8]


def stamped(plan: Plan, width: int, height: int) -> Callable[[Picture, float], Picture]:
    """Make the function that lays a plan's badges into a frame, (h, w, 3) uint8 RGB, at its time in seconds.

    Raises `BadMedia` when the picture is too small for letters that can be read.
    """
    laid = plates(plan, width + width % 2, height + height % 2)  # as the delivery extends odd sides

    def stamp(rgb: Picture, seconds: float) -> Picture:
        due = [one for one in laid if one.badge.seconds is None or seconds < one.badge.seconds]
        if not due:
            return rgb
        marked = rgb.copy()
        for plate in due:
            rows, columns = plate.grey.shape
            marked[plate.y : plate.y + rows, plate.x : plate.x + columns] = plate.grey[..., None]
        return marked

    return stamp


def plates(plan: Plan, width: int, height: int) -> tuple[Plate, ...]:
    """Lay a plan's badges out in a picture of this size; raise `BadMedia` when they cannot be read or do not fit."""
    return tuple(_laid(plan, width, height))


def _laid(plan: Plan, width: int, height: int) -> Iterator[Plate]:
    margin = max(2, round(_MARGIN * min(width, height)))
    y = margin
    for badge in plan.badges:
        ink = max(MIN_INK, round(badge.height * min(width, height)))
        grey = _drawn(badge.text, ink)
        rows, columns = grey.shape
        if columns > _WIDEST * width or y + rows > height:
            raise BadMedia(f"A picture of {width}x{height} is too small for a label that can be read.")
        yield Plate(badge, width - columns - min(margin, width - columns), y, ink, grey)
        y += rows + margin // 2


def _drawn(text: str, ink: int) -> NDArray[np.uint8]:
    alpha = _asset(text)
    width = round(alpha.shape[1] * ink / alpha.shape[0])
    letters = cv2.resize(alpha, (width, ink), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    padded = np.pad(letters, round(_PADDING * ink))
    return np.asarray(np.rint(PLATE + (INK - PLATE) * padded), np.uint8)


@cache
def _asset(text: str) -> NDArray[np.uint8]:
    drawn = cv2.imread(str(HOME / "assets" / f"{text}.png"), cv2.IMREAD_GRAYSCALE)
    if drawn is None:
        raise BadMedia(f"The label {text} is missing from this installation.")
    return np.asarray(drawn, np.uint8)
