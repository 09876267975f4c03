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

    def find(self, picture: Picture, *, long_side: int) -> list[Face]:
        """Find all faces, best first; pictures with a longer side than `long_side` are searched reduced."""
        ...


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Give the intersection over union of two boxes (x, y, w, h), 0-1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def distinct(faces: Sequence[Face], *, most: float = 0.3) -> list[Face]:
    """Keep the best of every group of faces that overlap by more than `most` (non-maximum suppression)."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face.box, other.box) <= most for other in kept):
            kept.append(face)
    return kept
