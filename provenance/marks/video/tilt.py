"""Undo perspective: start from the picture's own edges or a bend, then let the pilots of every part of it pull.

A picture that was tilted or filmed lies as a quadrilateral in what is seen, with its edges in view or not. A rough
rectification is enough to begin with: the straightened picture is cut into parts, and in each part the keyed pilots
say, at every small shift, how well they agree. One projective correction must then please all parts together; a
cross-entropy search (Rubinstein 1999) over the shifts of the four corners finds it. Only pilots are asked, so what
the code bits then say stays evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from provenance.marks import MarkKey
from provenance.marks.video import evidence, pattern
from provenance.marks.video.align import TURNS, Alignment
from provenance.marks.video.pattern import DATA, TILE, Floats, Plane

STARTS = 3
"""Alignments decoded for a quadrilateral, times the number of keys."""
PULLED = 3
"""Bends that are pulled straight where nothing else helped, times the number of keys."""
_ASPECTS = (16 / 9, 4 / 3)
"""Shapes that pictures usually have, tried beside that of the frame they are seen in."""
_FLAT = 0.3
"""What is less than this share of the usual detail is no part of the picture."""
_MOVED = 4.0
"""Pixels by which a corner must have moved, or a bend will do."""
_FILLED = 0.85
"""Share of a quadrilateral that must be picture, and of its surroundings that must not."""
_STRAY = 1.5
"""Pixels by which an edge may stray from its line."""
_INSET = 3.8
"""Pixels by which an edge seems to lie outside of where it is: whitening and codecs smear it."""
_TRIES = 300
_SLOPE = 0.65
_PART = 90.0
"""Units that a part spans, about."""
REACH = 8.0
_ROUNDS, _CROWD, _ELITE = 6, 1500, 60
_LOUDEST = 1.5
"""How many times as loud as others of its length a wave counts in one part at most."""
_LONG = 18.0
"""Waves that count in the first, wide look: those of about so many cycles a tile and fewer."""


def quads(picture: Plane) -> list[Floats]:
    """Find the quadrilateral in which a picture lies on an empty ground, as corners (4, 2) from the top left.

    Gives none where the picture fills the frame or has no straight edges, else one.
    """
    there = cv2.blur(abs(picture), (3, 3)) > _FLAT * float(np.mean(abs(picture)))
    if there[1:-1, 1:-1].mean() > 0.995:
        return []
    lines = [_edge(np.rot90(there, turn)) for turn in range(4)]
    if any(line is None for line in lines):
        return []
    rows, columns = there.shape
    left, top, right, bottom = (
        _homogeneous(line, turn, rows, columns) for turn, line in enumerate(lines) if line is not None
    )
    corners = [np.cross(*pair) for pair in ((left, top), (top, right), (right, bottom), (bottom, left))]
    if any(abs(corner[2]) < 1e-9 for corner in corners):
        return []
    found = np.array([corner[:2] / corner[2] for corner in corners])
    size = np.array([columns, rows])
    inside = ((found > -0.1 * size) & (found < 1.1 * size)).all()
    area = abs(cv2.contourArea(found.astype(np.float32)))
    moved = abs(found - np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size).max()
    if not inside or area < 0.15 * rows * columns or moved < _INSET + _MOVED:
        return []
    within = cv2.fillConvexPoly(np.zeros(there.shape, np.uint8), np.rint(found).astype(np.int32), 1) > 0
    around = cv2.erode((~within).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    empty = around.any() and there[around].mean() < 1 - _FILLED
    return [found] if empty and there[within].mean() > _FILLED else []


def _edge(there: npt.NDArray[np.bool_]) -> tuple[float, float] | None:
    """Fit the left edge as x = a + b y (pixels' borders) to where each row begins; None without one."""
    solid = there & np.roll(there, -1, 1) & np.roll(there, -2, 1)
    rows = np.flatnonzero(solid[:, :-2].any(axis=1))
    if len(rows) < 0.25 * len(there):
        return None
    begins = solid[rows].argmax(axis=1).astype(float)
    centres = rows + 0.5
    dice = np.random.default_rng(0)
    best, most = None, 0
    for one, other in dice.integers(len(rows), size=(_TRIES, 2)):
        if abs(one - other) < len(rows) // 8:
            continue
        slope = (begins[one] - begins[other]) / (centres[one] - centres[other])
        near = abs(begins - begins[one] - slope * (centres - centres[one])) < _STRAY
        if abs(slope) < _SLOPE and near.sum() > most:
            best, most = near, int(near.sum())
    if best is None or most < 0.2 * len(there):
        return None
    slope, offset = np.polyfit(centres[best], begins[best], 1)
    return float(offset) + _INSET * float(np.hypot(1.0, slope)), float(slope)


def _homogeneous(line: tuple[float, float], turn: int, rows: int, columns: int) -> Floats:
    """Write the line of a picture turned counter-clockwise as (a, b, c) with a x + b y + c = 0 in the picture itself.

    Turn 0 is the left edge, 1 the top (of a picture turned once, the left edge is the top turned), 2 and 3 the
    right and the bottom.
    """
    offset, slope = line
    turned = np.array([1.0, -slope, -offset])
    # Pixel (x, y) of the picture is at (y, columns - x) after one quarter counter-clockwise, and so on.
    to = (
        np.eye(3),
        np.array([[0, 1, 0], [-1, 0, columns], [0, 0, 1]], float),
        np.array([[-1, 0, columns], [0, -1, rows], [0, 0, 1]], float),
        np.array([[0, -1, rows], [1, 0, 0], [0, 0, 1]], float),
    )[turn]
    return np.asarray(turned @ to, np.float64)


def rectified(corners: Floats, wide: float, high: float) -> Iterator[Alignment]:
    """Yield the alignments that lay a quadrilateral flat: in the shape of the frame and in usual shapes, per grid."""
    side = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
    upright = side[0] + side[2] < side[1] + side[3]
    shapes = [wide / high]
    shapes += [1 / one if upright else one for one in _ASPECTS]
    shapes = [one for n, one in enumerate(shapes) if all(abs(one / other - 1) > 0.02 for other in shapes[:n])]
    for shape in shapes:
        for grid in pattern.GRIDS:
            extent = (grid * max(shape, 1.0), grid * max(1 / shape, 1.0))
            flat = np.array([[0, 0], [extent[0], 0], extent, [0, extent[1]]], np.float32)
            plane = cv2.getPerspectiveTransform(flat, corners.astype(np.float32))
            yield Alignment(grid, plane=np.asarray(plane, np.float64), extent=extent)


def pulled(picture: Plane, alignment: Alignment, key: MarkKey) -> tuple[float, Alignment]:
    """Correct an alignment by up to about 16 units at its corners so that the pilots agree best, and say how well."""
    score = 0.0
    for long, span in ((True, REACH), (True, REACH), (False, 3.0), (False, 1.0)):
        parts = _Parts(picture, alignment, key, long=long, reach=span)
        score, corners = parts.best()
        alignment = _corrected(alignment, corners, parts.size)
    return score, alignment


class _Parts:
    """What the pilots of each part of a straightened picture say at every small shift."""

    def __init__(
        self, picture: Plane, alignment: Alignment, key: MarkKey, *, long: bool, reach: float
    ) -> None:
        straight, wide, high = alignment.straighten(picture, 0.0, 0.0)
        turned = alignment.turned(straight)
        self.size = (high, wide) if alignment.quarters % 2 else (wide, high)
        held = pattern.layout(key, alignment.grid)
        measured, self._middle = _measured(turned, self.size, held.bins[DATA:])
        measured *= held.wave[DATA:].conj() * np.exp(
            -2j * np.pi * (held.bins[DATA:] @ np.array(alignment.shift)) / TILE
        )
        radius = held.radius[DATA:]
        power = evidence.around((abs(measured) ** 2).sum(axis=0), np.rint(radius).astype(np.int64), 2.0)
        size = np.sqrt(power / len(measured)) + 1e-30
        measured *= np.minimum(1.0, _LOUDEST / (abs(measured) / size + 1e-30)) / size
        weight = np.exp(-np.square(radius / _LONG)) if long else np.ones(len(radius))
        weight = weight / np.sqrt(np.mean(weight**2) * measured.size / 2)
        self._reach, self._step = reach, (0.8 if long else min(0.5, reach / 8))
        moves = np.arange(-reach, reach + 1e-9, self._step)
        across, down = (np.exp(2j * np.pi * np.outer(k, moves) / TILE) for k in held.bins[DATA:].T)
        rows = (measured * weight)[:, None, :] * down.T[None]
        self._surface = np.ascontiguousarray((rows @ across).real)
        self._dice = np.random.default_rng(0)

    def best(self, crowd_size: int = _CROWD, rounds: int = _ROUNDS) -> tuple[float, Floats]:
        """Return the greatest agreement, in standard deviations, and the shifts (4, 2) of the corners it takes."""
        mean, spread = np.zeros(8), np.full(8, self._reach / 2)
        top, corners = float(self._score(mean[None])[0]), mean
        for _ in range(rounds):
            crowd = mean + spread * self._dice.standard_normal((crowd_size, 8))
            score = self._score(crowd)
            elite = np.argsort(-score)[:_ELITE]
            mean, spread = crowd[elite].mean(axis=0), crowd[elite].std(axis=0) + 0.02
            if score[elite[0]] > top:
                top, corners = float(score[elite[0]]), crowd[elite[0]]
        return top, corners.reshape(4, 2)

    def _score(self, crowd: Floats) -> Floats:
        x, y = self._middle.T
        share = np.stack([(1 - x) * (1 - y), x * (1 - y), x * y, (1 - x) * y])
        moved = np.einsum("ncd,cw->nwd", crowd.reshape(-1, 4, 2), share)
        place = np.rint((moved + self._reach) / self._step).astype(np.int64)
        most = self._surface.shape[1] - 1
        inside = ((place >= 0) & (place <= most)).all(axis=2)
        place = np.clip(place, 0, most)
        found = self._surface[np.arange(len(x)), place[..., 1], place[..., 0]]
        return np.asarray(np.where(inside, found, 0.0).sum(axis=1))


def _measured(
    turned: Plane, size: tuple[float, float], bins: npt.NDArray[np.int64]
) -> tuple[pattern.Complex, Floats]:
    """Measure bins part by part, as (parts, bins) complex, and give the parts' middles as shares of the sides."""
    rows, columns = turned.shape
    wide, high = size
    nx, ny = (max(2, min(8, round(side / _PART))) for side in size)
    across, down = (
        pattern.waves(n, length)[:, k + pattern.REACH].conj()
        for n, length, k in ((columns, wide, bins[:, 0]), (rows, high, bins[:, 1]))
    )
    real, imaginary = np.ascontiguousarray(across.real), np.ascontiguousarray(across.imag)
    measured, middle = [], []
    for left, right in _cut(columns, nx):
        strip = turned[:, left:right]
        part = (strip @ real[left:right] + 1j * (strip @ imaginary[left:right])) * down
        for top, bottom in _cut(rows, ny):
            measured.append(part[top:bottom].sum(axis=0))
            middle.append(((left + right) / 2 / columns, (top + bottom) / 2 / rows))
    return np.asarray(measured, np.complex128), np.asarray(middle, np.float64)


def _cut(length: int, count: int) -> Iterator[tuple[int, int]]:
    borders = np.rint(np.linspace(0, length, count + 1)).astype(int)
    return ((int(a), int(b)) for a, b in pairwise(borders))


def _corrected(alignment: Alignment, corners: Floats, size: tuple[float, float]) -> Alignment:
    """Put the shifts of the turned picture's corners into the plane of an alignment."""
    wide, high = size
    flat = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    bend = cv2.getPerspectiveTransform(flat, (flat + corners).astype(np.float32))
    back = alignment.unturned(wide, high)
    plane = alignment.plane
    if plane is None:
        raise ValueError("Only an alignment with a plane can be pulled.")
    return replace(alignment, plane=plane @ back @ bend @ np.linalg.inv(back))


def tilted(
    picture: Plane, wide: float, high: float, keys: Sequence[MarkKey]
) -> list[tuple[float, MarkKey, Alignment]]:
    """Look for the mark in the quadrilateral of a picture; best first, at most STARTS times the keys.

    Those that need not be turned over are all pulled straight; of the others the most promising.
    """
    likely, others = [], []
    for corners in quads(picture):
        for number, flat in enumerate(rectified(corners, wide, high)):
            for (quarters, flip), key in ((turn, key) for turn in TURNS for key in keys):
                start = replace(flat, quarters=quarters, flip=flip)
                if number < len(pattern.GRIDS) and (quarters, flip) == TURNS[0]:
                    likely.append((key, start))
                    continue
                score, _ = _Parts(picture, start, key, long=True, reach=REACH).best(500, 4)
                others.append((score, key, start))
    others.sort(key=lambda one: -one[0])
    likely += [(key, start) for _, key, start in others[: STARTS * len(keys)]]
    pairs = [(pulled(picture, start, key), key) for key, start in likely]
    found = [(score, key, alignment) for (score, alignment), key in pairs]
    return sorted(found, key=lambda one: -one[0])[: STARTS * len(keys)]
