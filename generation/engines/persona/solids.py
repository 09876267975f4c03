"""Ellipsoids seen along z without perspective: depth in closed form, smooth unions, and light on them.

Head coordinates: x right, y down, z to the viewer; the eye line is at y = 0 and the chin near y = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.floating[Any]]
"""(height, width) or (height, width, 3), floating point, linear light where it is a colour."""
FAR = np.float32(-9.0)
"""The depth of nothing."""


@dataclass(frozen=True, slots=True)
class Solid:
    """An ellipsoid: centre and radii in head coordinates; `lean` turns it about x (radians)."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    blend: float = 0.1
    lean: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """The pixel grid in head units (`x`, `y`), the rotation `turn` of the head, and the pixel pitch."""

    x: Plane
    y: Plane
    turn: Plane
    pitch: float

    def local(self, z: Plane) -> tuple[Plane, Plane, Plane]:
        """Turn picture coordinates at depth `z` back into head coordinates."""
        r = self.turn
        x, y, w = (r[0, i] * self.x + r[1, i] * self.y + r[2, i] * z for i in range(3))
        return x, y, w


def view(size: int, span: float, yaw: float) -> View:
    """Lay a square grid of `size` pixels over `span` head units, for a head turned by `yaw` radians."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    x, y = np.meshgrid(line * span, line * span + 0.16)
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
    return View(x.astype(np.float32), y.astype(np.float32), turn, span / size)


def depth(seen: View, solid: Solid) -> Plane:
    """Compute z of the front of an ellipsoid; outside its outline z falls off steeply and smoothly."""
    c, s = np.cos(solid.lean), np.sin(solid.lean)
    turn = seen.turn @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)
    A = (turn / np.square(np.asarray(solid.radii, np.float32))) @ turn.T
    centre = seen.turn @ np.asarray(solid.centre, np.float32)
    dx, dy = seen.x - centre[0], seen.y - centre[1]
    b = (A[0, 2] * dx + A[1, 2] * dy) / A[2, 2]
    rest = (A[0, 0] * dx * dx + 2 * A[0, 1] * dx * dy + A[1, 1] * dy * dy - 1) / A[2, 2]
    inside = b * b - rest
    root = np.sqrt(np.maximum(inside, 0)) - 3 * np.sqrt(np.maximum(-inside, 0))
    return np.asarray(centre[2] - b + root, np.float32)


def union(seen: View, solids: tuple[Solid, ...]) -> Plane:
    """Join ellipsoids by a polynomial smooth maximum of their depths, in order."""
    z = depth(seen, solids[0])
    for solid in solids[1:]:
        other = depth(seen, solid)
        near = np.maximum(solid.blend - np.abs(z - other), 0) / solid.blend
        z = np.maximum(z, other) + near * near * (solid.blend / 4)
    return z


def outline(seen: View, solids: tuple[Solid, ...]) -> Plane:
    """Tell where a union of ellipsoids covers the picture, 0 or 1."""
    covered = np.zeros(seen.x.shape, bool)
    for solid in solids:
        c, s = np.cos(solid.lean), np.sin(solid.lean)
        turn = seen.turn @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)
        M = (turn * np.square(np.asarray(solid.radii, np.float32))) @ turn.T
        A = np.linalg.inv(M[:2, :2])
        centre = seen.turn @ np.asarray(solid.centre, np.float32)
        dx, dy = seen.x - centre[0], seen.y - centre[1]
        covered |= A[0, 0] * dx * dx + 2 * A[0, 1] * dx * dy + A[1, 1] * dy * dy < 1
    return covered.astype(np.float32)


def normals(z: Plane, pitch: float) -> Plane:
    """Differentiate a depth plane into unit normals, (height, width, 3)."""
    smooth = cv2.GaussianBlur(np.maximum(z, -2.5), (0, 0), 1.2)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / (8 * pitch))
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / (8 * pitch))
    n = np.dstack([-dx, -dy, np.ones_like(z)])
    return np.asarray(n / np.linalg.norm(n, axis=2, keepdims=True), np.float32)


def shadow(z: Plane, light: Plane, pitch: float) -> Plane:
    """March towards the light and tell how much of it is blocked, 0-1."""
    blocked = np.zeros_like(z)
    for reach in np.linspace(0.04, 0.62, 16):
        move = np.array([[1, 0, -light[0] * reach / pitch], [0, 1, -light[1] * reach / pitch]], np.float32)
        shifted = cv2.warpAffine(z, move, z.shape[::-1], borderValue=float(FAR))
        over = shifted - z - light[2] * reach
        blocked = np.maximum(blocked, np.clip(over / (0.03 + 0.10 * reach), 0, 1))
    return np.asarray(cv2.GaussianBlur(np.asarray(blocked, np.float32), (0, 0), 0.02 / pitch), np.float32)


def crevices(z: Plane, pitch: float) -> Plane:
    """Estimate how enclosed a point is, 0-1, from the depth around it."""
    near = np.maximum(z, -1.2)
    dark = sum(
        np.clip((cv2.GaussianBlur(near, (0, 0), radius / pitch) - near) * gain, 0, 1)
        for radius, gain in ((0.03, 6.0), (0.09, 2.5), (0.25, 0.8))
    )
    return np.asarray(np.clip(dark, 0, 1), np.float32)
