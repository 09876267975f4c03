"""A face in a picture, and what every face detector can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from core.finding import Model
from core.media.clip import Picture

Points = npt.NDArray[np.float32]
"""Five landmarks, (5, 2) x and y in pixels: left eye, right eye, nose tip, left and right corner of the
mouth, left and right as they are seen in the picture."""


_SAME, _INSIDE, _ALIKE = 0.3, 0.6, 9.0
LIKELY = 0.35
"""The detector's score from which a find is worth a second look, whatever its size."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One detected face: `box` is (x, y, w, h) in pixels, `score` the detector's confidence 0-1."""

    box: tuple[float, float, float, float]
    score: float
    points: Points

    @property
    def size(self) -> float:
        """The width of the face in pixels, as the smaller side of its box."""
        return min(self.box[2:])


class Detector(Protocol):
    """Finds faces; one of the tiers' detectors."""

    @property
    def model(self) -> Model:
        """The network that was loaded."""
        ...

    def find(
        self, picture: Picture, *, long_side: int, quarters: int = 0, least: float = LIKELY
    ) -> list[Face]:
        """Find all faces that score `least`, best first; where a side is longer than `long_side`, in a reduced copy.

        `quarters` turns the picture first (`numpy.rot90`); the answer is in its own coordinates all the same.
        """
        ...


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Give the intersection over union of two boxes (x, y, w, h), 0-1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def distinct(boxes: npt.NDArray[np.float32], *, most: float = 0.3) -> npt.NDArray[np.int64]:
    """Keep the first of every group of boxes (n, 4) that overlap by more than `most`: their row numbers.

    This is non-maximum suppression when the best come first.
    """
    left, top, width, height = boxes.T if len(boxes) else np.zeros((4, 0), np.float32)
    area, open_ = width * height, np.ones(len(boxes), np.bool_)
    kept = []
    for i in range(len(boxes)):
        if not open_[i]:
            continue
        kept.append(i)
        across = np.minimum(left[i] + width[i], left + width) - np.maximum(left[i], left)
        down = np.minimum(top[i] + height[i], top + height) - np.maximum(top[i], top)
        common = np.clip(across, 0, None) * np.clip(down, 0, None)
        open_ &= common <= most * (area[i] + area - common)
    return np.array(kept, np.int64)


def united(faces: Sequence[Face]) -> list[Face]:
    """Drop all but the best of faces that several searches of one picture found in the same place.

    A turned search finds the same face with another box; so a face mostly inside another of about its size goes too.
    """
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        kept += apart([face], kept)
    return kept


def apart(faces: Sequence[Face], known: Sequence[Face]) -> list[Face]:
    """Keep the faces that are in none of the places of the known ones."""
    return [face for face in faces if not any(_same(face, other) for other in known)]


def _same(a: Face, b: Face) -> bool:
    shared = overlap(a.box, b.box)
    areas = a.box[2] * a.box[3], b.box[2] * b.box[3]
    common = shared * sum(areas) / (1 + shared)
    return shared > _SAME or (common > _INSIDE * min(areas) and max(areas) < _ALIKE * min(areas))


def turned(points: Points, quarters: int, width: int, height: int) -> Points:
    """Carry points of a picture that was turned by `quarters` of a turn (`numpy.rot90`) back to the original.

    `width` and `height` are the original's.
    """
    x, y = points[:, 0], points[:, 1]
    back = {
        0: (x, y),
        1: (width - 1 - y, x),
        2: (width - 1 - x, height - 1 - y),
        3: (y, height - 1 - x),
    }[quarters % 4]
    return np.asarray(np.stack(back, axis=1), np.float32)


def back(face: Face, quarters: int, width: int, height: int) -> Face:
    """Carry a face that was found in a turned picture back to the upright one."""
    x, y, w, h = face.box
    corners = np.array(((x, y), (x + w, y + h)), np.float32)
    (ax, ay), (bx, by) = turned(corners, quarters, width, height).tolist()
    box = (min(ax, bx), min(ay, by), abs(bx - ax), abs(by - ay))
    return Face(box, face.score, turned(face.points, quarters, width, height))
