"""How a picture was bent, and how to measure the pattern's bins in it all the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from provenance.marks.video import pattern
from provenance.marks.video.pattern import TILE, Complex, Floats, Plane

TURNS = tuple((quarters, flip) for quarters in range(4) for flip in (False, True))
"""The eight ways to turn a picture over; the first leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The way back from a picture to the pattern's grid.

    First undo `matrix` (2x2, picture pixels per unit of the grid; None when the size alone says it), then turn
    by `quarters` counter-clockwise and mirror if `flip`; the pattern then starts at `shift` units. Where the picture
    was tilted, `plane` (3x3) stands for `matrix`: it takes a place in the straight picture, `extent` (width, height)
    units large, to a place in what is seen, in pixels; both count from the top left corner of the first pixel.
    """

    grid: int

    quarters: int = 0
    flip: bool = False
    matrix: Floats | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    plane: Floats | None = None
    extent: tuple[float, float] = (0.0, 0.0)

    def straighten(self, picture: Plane, wide: float, high: float) -> tuple[Plane, float, float]:
        """Undo `matrix` or `plane` in a picture of `wide` x `high` pixels of analysis; returns it and what it spans."""
        if self.plane is not None:
            return self._flattened(picture, self.plane)
        if self.matrix is None:
            share = self.grid / pattern.ANALYSIS
            return picture, wide * share, high * share
        rows, columns = picture.shape
        back = np.linalg.inv(self.matrix)
        corners = abs(back) @ np.array([columns, rows], float)
        width, height = (max(1, int(np.ceil(side))) for side in corners)
        offset = np.array([columns - 1, rows - 1]) / 2 - self.matrix @ (np.array([width - 1, height - 1]) / 2)
        affine = np.column_stack([self.matrix, offset])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(picture, affine, (width, height), flags=flags)), width, height

    def _flattened(self, picture: Plane, plane: Floats) -> tuple[Plane, float, float]:
        width, height = (max(1, int(np.ceil(side))) for side in self.extent)
        scale = np.diag([self.extent[0] / width, self.extent[1] / height, 1.0])
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        seen = np.linalg.inv(half) @ plane @ scale @ half
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpPerspective(picture, seen, (width, height), flags=flags)), *self.extent

    def turned(self, straight: Plane) -> Plane:
        """Turn a straightened picture over, by `quarters` and `flip`."""
        turned = np.rot90(straight, self.quarters)
        return np.ascontiguousarray(turned[:, ::-1] if self.flip else turned)

    def unturned(self, wide: float, high: float) -> Floats:
        """Return the way (3x3) from places in the turned picture, `wide` x `high` units, to those in the straight one."""
        back = np.eye(3)
        if self.flip:
            back = np.array([[-1, 0, wide], [0, 1, 0], [0, 0, 1]], float) @ back
        for _ in range(self.quarters):
            # One quarter counter-clockwise took (x, y) to (y, width - x); `high` is that width.
            back = np.array([[0, -1, high], [1, 0, 0], [0, 0, 1]], float) @ back
            wide, high = high, wide
        return back

    def planar(self, picture: Plane) -> Alignment:
        """Write `matrix` as a `plane`, for a picture of that size."""
        if self.plane is not None or self.matrix is None:
            return self
        rows, columns = picture.shape
        _, width, height = self.straighten(picture, 0.0, 0.0)
        middle = np.array([columns, rows]) / 2 - self.matrix @ (np.array([width, height]) / 2)
        plane = np.vstack([np.column_stack([self.matrix, middle]), [0, 0, 1]])
        return replace(self, matrix=None, plane=plane, extent=(float(width), float(height)))

    def transform(self, straight: Plane, wide: float, high: float) -> Complex:
        """Measure all waves in a straightened picture that spans `wide` x `high`, before the shift."""
        if self.quarters % 2:
            wide, high = high, wide
        return pattern.transform(self.turned(straight), wide, high)

    def measure(self, picture: Plane, wide: float, high: float, held: pattern.Layout) -> Complex:
        """Measure a layout in a picture of `wide` x `high` pixels of analysis, (1120,) complex."""
        found = pattern.pick(self.transform(*self.straighten(picture, wide, high)), held.bins)
        ramp = np.exp(-2j * np.pi * (held.bins @ np.array(self.shift)) / TILE)
        return np.asarray(found * ramp, np.complex128)

    def geometry(self) -> dict[str, float]:
        """Say what was done to the content.

        `scale` is against the shorter side (2 where half of the height is left), `rotation` in degrees clockwise,
        `flip` 1 for a mirror image.
        """
        unit = pattern.ANALYSIS / self.grid
        matrix = np.eye(2) if self.matrix is None else self.matrix / unit
        if self.plane is not None:
            matrix = _slope(self.plane, np.array(self.extent) / 2) / unit
        scale = math.sqrt(abs(float(np.linalg.det(matrix))))
        angle = math.degrees(math.atan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1]))
        rotation = (angle + 90.0 * self.quarters) % 360.0
        return {"scale": round(scale, 4), "rotation": round(rotation, 2), "flip": float(self.flip)}


def _slope(plane: Floats, place: Floats) -> Floats:
    """Return the 2x2 derivative of a projective map at a place."""
    x, y, w = plane @ np.append(place, 1.0)
    return np.asarray((plane[:2, :2] - np.outer([x / w, y / w], plane[2, :2])) / w, np.float64)
