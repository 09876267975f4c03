"""Find how a picture was bent from the pattern's own traces: first its lattice of frequencies, then its pilots.

The pattern repeats, so its spectrum is a lattice of points. Bending the picture by a matrix bends the lattice
by the inverse transpose; the bend that collects the most energy wins. The lattice is the same turned over and
shifted, so the keyed pilots then tell which way up it is and where it starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np
import numpy.typing as npt

from provenance.marks import MarkKey
from provenance.marks.video import pattern
from provenance.marks.video.align import TURNS, Alignment
from provenance.marks.video.code import CODE_BITS
from provenance.marks.video.pattern import PILOTS, TILE, Complex, Floats, Plane

_SIDE = 1024
_STEP = 0.006
_SCALES = np.exp(np.arange(np.log(0.33), np.log(4.1), _STEP))
_ANGLES = np.radians(np.arange(-12.0, 12.1, 0.4))
_ASPECTS = np.exp(np.arange(np.log(0.6), np.log(1.67), _STEP))
_COARSE_RADIUS = 12.0
BENDS = 6
"""Bends that are looked at closely."""
STARTS = 6
"""Starting points decoded for each bend, times the number of keys."""


def spectrum(picture: Plane) -> Plane:
    """Return the power at each frequency relative to its neighbourhood, (1024, 1024), mean about 1."""
    rows, columns = (min(side, _SIDE) for side in picture.shape)
    cut = picture[:rows, :columns]
    window = np.outer(_taper(rows), _taper(columns))
    power = abs(np.fft.fft2(cut * window, (_SIDE, _SIDE))) ** 2
    power = power.astype(np.float32)
    local = cv2.blur(power, (33, 33), borderType=cv2.BORDER_REFLECT)
    return np.asarray(np.minimum(power / (local + 1e-9), 8.0), np.float32)


def _taper(length: int) -> Plane:
    """Fade the outer 5 % at both ends: a wider fade would blur the few tiles of a crop into each other."""
    edge = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(edge / (0.05 * length), 1.0)), np.float32)


def _energy(power: Plane, waves: npt.NDArray[np.float32]) -> Floats:
    """Add up the power at frequencies (..., n, 2) in cycles a pixel; those beyond Nyquist count as average."""
    place = np.rint(waves * _SIDE).astype(np.int32)
    beyond = (abs(place) >= _SIDE // 2).any(axis=-1)
    place &= _SIDE - 1
    found = np.where(beyond, 1.0, power[place[..., 1], place[..., 0]])
    return np.asarray(found.sum(axis=-1), np.float64)


def _bent(matrices: Floats, bins: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return where bins (n, 2) go under bends (m, 2, 2), as (m, n, 2) cycles a pixel."""
    return np.asarray(np.matmul(bins / TILE, np.linalg.inv(matrices)), np.float32)


def _family() -> Floats:
    """List the shapes (m, 2, 2) of bends that are tried at every scale: turned a little, or stretched."""
    cos, sin = np.cos(_ANGLES), np.sin(_ANGLES)
    turned = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    root = np.sqrt(_ASPECTS)
    stretched = np.zeros((len(root), 2, 2))
    stretched[:, 0, 0], stretched[:, 1, 1] = root, 1 / root
    return np.concatenate([turned, stretched])


def bends(power: Plane) -> list[Floats]:
    """Return the few most promising bends (2, 2), best first."""
    lattice = pattern.lattice()
    shapes = _family()
    waves = _bent(shapes, lattice[np.hypot(*lattice.T) <= _COARSE_RADIUS])
    energy = np.stack([_energy(power, waves / np.float32(scale)) for scale in _SCALES])
    best: list[Floats] = []
    for index in np.argsort(-energy, axis=None)[:400]:
        scale, shape = np.unravel_index(index, energy.shape)
        matrix = _SCALES[scale] * shapes[shape]
        if all(abs(matrix - other).max() > 0.012 * abs(other).max() for other in best):
            best.append(matrix)
        if len(best) == 4 * BENDS:
            break
    refined = [_refine(power, matrix, lattice) for matrix in best]
    return [matrix for _, matrix in sorted(refined, key=lambda pair: -pair[0])[:BENDS]]


def _refine(power: Plane, matrix: Floats, bins: npt.NDArray[np.int64]) -> tuple[float, Floats]:
    """Climb to the bend nearby that collects the most energy over all bins."""
    best = float(_energy(power, _bent(matrix[None], bins))[0])
    moves = np.concatenate([np.eye(4), -np.eye(4)]).reshape(8, 2, 2)
    for step in (0.004, 0.002, 0.001, 0.0005):
        for _ in range(6):
            near = matrix + step * moves @ matrix
            energy = _energy(power, _bent(near, bins))
            if energy.max() <= best:
                break
            best, matrix = float(energy.max()), near[energy.argmax()]
    return best, matrix


@dataclass(frozen=True, slots=True)
class Start:
    """A candidate key and alignment, and how well the pilots agree there."""

    agreement: float
    key: MarkKey
    alignment: Alignment


def starts(picture: Plane, matrix: Floats, keys: Sequence[MarkKey]) -> list[Start]:
    """Return the keys and alignments of one bend at which the pilots agree best, best first."""
    found: list[Start] = []
    straight = Alignment(grid=pattern.ANALYSIS, matrix=matrix).straighten(picture, 0.0, 0.0)
    for quarters, flip in TURNS:
        turned = Alignment(grid=pattern.ANALYSIS, quarters=quarters, flip=flip, matrix=matrix)
        table = turned.transform(*straight)
        for key, grid in product(keys, pattern.GRIDS):
            held = pattern.layout(key, grid)
            surface = _surface(pattern.pick(table, held.bins), held)
            placed = replace(turned, grid=grid)
            found += [Start(value, key, replace(placed, shift=shift)) for value, shift in _peaks(surface)]
    return sorted(found, key=lambda start: -start.agreement)[: STARTS * len(keys)]


def _surface(measured: Complex, held: pattern.Layout) -> Floats:
    """Correlate the pilots at every shift in half units, (160, 160), in standard deviations."""
    pilots = (measured * held.wave.conj())[CODE_BITS:]
    pilots = pilots / (np.sqrt(np.mean(abs(pilots) ** 2)) + 1e-12)
    grid = np.zeros((2 * TILE, 2 * TILE), np.complex128)
    kx, ky = held.bins[CODE_BITS:].T
    grid[-ky, -kx] = pilots
    return np.asarray(np.fft.ifft2(grid).real * (2 * TILE) ** 2 / np.sqrt(PILOTS / 2))


def _peaks(surface: Floats) -> Iterator[tuple[float, tuple[float, float]]]:
    """Yield the three highest points of a surface as (value, (x, y) in units)."""
    left = surface.copy()
    for _ in range(3):
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        yield float(left[y, x]), (float(x) / 2, float(y) / 2)
        rows = np.arange(y - 2, y + 3) % len(left)
        left[np.ix_(rows, np.arange(x - 2, x + 3) % len(left))] = -np.inf
