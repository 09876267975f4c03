"""Find how a picture was bent from the pattern's own traces: first how it repeats, then its lattice, then its pilots.

The pattern repeats, so a marked picture resembles itself at every whole number of tiles: its autocorrelation has
peaks at the points of a lattice, and a bend of the picture bends the lattice alike. A coarse comb over a few
peaks tries all scales, turns and stretches; the best are refined on more peaks, then on the waves themselves. The
lattice is the same turned over and shifted, so the keyed pilots then tell which way up it is and where it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise, product

import cv2
import numpy as np
import numpy.typing as npt

from provenance.marks import MarkKey
from provenance.marks.video import pattern
from provenance.marks.video.align import TURNS, Alignment
from provenance.marks.video.pattern import DATA, PILOTS, TILE, Complex, Floats, Plane

_SIDE = 1024
_SCALES = np.exp(np.arange(np.log(0.62), np.log(4.3), 0.007))
_ANGLES = np.radians(np.arange(-45.0, 45.1, 0.6))
_ASPECTS = np.exp(np.arange(-0.51, 0.52, 0.015))
_TILTED_ASPECTS = np.exp(np.arange(-0.06, 0.061, 0.02))
_BANDS = (0.62, 0.95, 1.5, 2.4, 4.31)
"""Scales between which the waves of the pattern are looked for at the same frequencies."""
_AXES = 5
_CLIMBED = 12
"""Bends of each band from which the climb starts."""
BENDS = 8
"""Bends that are looked at closely."""
STARTS = 4
"""Starting points decoded for each bend, times the number of keys."""
CROPS = 4
"""Starting points decoded for crops of pictures of usual sizes, times the number of keys."""
_SIZES = tuple(
    sorted({*range(256, 1089, 16), 360, 540, 600, 1080, 1152, 1200, 1280, 1440, 1536, 1600, 1920, 2160})
)
"""Shorter sides, in pixels, that whole pictures usually have."""
_LARGEST = 2.2
"""How many times as large as the crop the whole may have been."""


def spectrum(picture: Plane) -> Plane:
    """Return the power at each frequency relative to its neighbourhood, (1024, 1024), mean about 1."""
    rows, columns = (min(side, _SIDE) for side in picture.shape)
    cut = picture[:rows, :columns]
    window = np.outer(_taper(rows), _taper(columns))
    padded = np.zeros((_SIDE, _SIDE), np.float32)
    padded[:rows, :columns] = cut * window
    planes = cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT)
    power = np.asarray(planes[..., 0] ** 2 + planes[..., 1] ** 2, np.float32)
    local = cv2.blur(power, (33, 33), borderType=cv2.BORDER_REFLECT)
    return np.asarray(np.minimum(power / (local + 1e-9), 8.0), np.float32)


def _taper(length: int) -> Plane:
    """Fade the outer 5 % at both ends: a wider fade would blur the few tiles of a crop into each other."""
    edge = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(edge / (0.05 * length), 1.0)), np.float32)


def bends(picture: Plane) -> list[Floats]:
    """Return the few most promising bends (2, 2) of a picture, best first."""
    power = spectrum(picture)
    found = [near for low, high in pairwise(_BANDS) for near in _combed(power, picture.shape, low, high)]
    best = _distinct(sorted(found, key=lambda pair: -pair[0]), 3 * BENDS)
    lattice = pattern.lattice()
    refined = [_climb(matrix, lambda near: _energy(power, _bent(near, lattice)), _FINE)[1] for matrix in best]
    return refined[:BENDS] if len(refined) <= BENDS else _ranked(power, refined)


def _ranked(power: Plane, matrices: list[Floats]) -> list[Floats]:
    """Put bends in order of how much more their lattice collects than lattices a little larger and smaller."""
    lattice = pattern.lattice()
    order = []
    for matrix in matrices:
        around = np.stack([matrix * share for share in (1.0, 0.97, 0.983, 1.017, 1.03)])
        energy = _energy(power, _bent(around, lattice))
        order.append((float(energy[0] - energy[1:].mean()), matrix))
    return [matrix for _, matrix in sorted(order, key=lambda pair: -pair[0])[:BENDS]]


def _combed(power: Plane, shape: tuple[int, ...], low: float, high: float) -> list[tuple[float, Floats]]:
    """Comb the autocorrelation for bends of scales between two, and climb from the best."""
    echo = _echo(power, 0.085 / high, 0.38 / low)
    scales = _SCALES[np.searchsorted(_SCALES, low) : np.searchsorted(_SCALES, high)]
    matrices = (scales[:, None, None, None] * _family()).reshape(-1, 2, 2)
    broad = _broad(echo, 3 if low < 1.2 else 5)
    score = np.concatenate([_comb(broad, some, shape, 3) for some in np.array_split(matrices, 16)])
    some = np.argsort(-score)[:1000]
    best = _distinct([(float(score[index]), matrices[index]) for index in some], _CLIMBED)
    return [_climb(matrix, lambda near: _comb(echo, near, shape, 5), _COARSE) for matrix in best]


@lru_cache(maxsize=1)
def _family() -> Floats:
    """List the shapes (m, 2, 2) of bends that are tried at every scale: stretched, then turned."""
    turned = [(a, angle) for angle in _ANGLES for a in _TILTED_ASPECTS]
    stretched = [(a, 0.0) for a in _ASPECTS if not _TILTED_ASPECTS[0] < a < _TILTED_ASPECTS[-1]]
    pairs = np.array(turned + stretched)
    root, cos, sin = np.sqrt(pairs[:, 0]), np.cos(pairs[:, 1]), np.sin(pairs[:, 1])
    return np.asarray(np.stack([cos * root, -sin / root, sin * root, cos / root], -1).reshape(-1, 2, 2))


def _echo(power: Plane, low: float, high: float) -> Plane:
    """Return the autocorrelation of what lies between two frequencies in cycles a pixel.

    Content resembles itself broadly, the mark at points: what is broad is taken away, and what is loud levelled.
    """
    frequency = np.minimum(np.arange(_SIDE), _SIDE - np.arange(_SIDE)) / _SIDE
    radius = np.hypot(frequency[:, None], frequency[None])
    inside = (radius >= low) & (radius <= min(high, 0.48))
    inside[:_AXES] = inside[-_AXES:] = False
    inside[:, :_AXES] = inside[:, -_AXES:] = False
    kept = np.where(inside, power - 1.0, np.float32(0.0)).astype(np.float32)
    echo = cv2.dft(kept, flags=cv2.DFT_COMPLEX_OUTPUT)[..., 0]  # symmetric, so there is no other part
    echo = echo - cv2.blur(echo, (9, 9))
    return np.asarray(echo / np.sqrt(cv2.blur(echo * echo, (41, 41)) + 1e-12), np.float32)


def _broad(echo: Plane, width: int) -> Plane:
    """Let each point speak for those around it, so that a coarse comb meets the narrow peaks."""
    highest = cv2.dilate(echo, np.ones((width, width), np.uint8))
    return np.asarray((highest - np.mean(highest)) / (np.std(highest) + 1e-12), np.float32)


@lru_cache(maxsize=4)
def _lags(reach: int) -> Floats:
    """List the lattice points of a half plane up to `reach` tiles away, as (n, 2)."""
    j, i = np.mgrid[0 : reach + 1, -reach : reach + 1]
    half = (j > 0) | (i > 0)
    return np.stack([i[half], j[half]], -1).astype(np.float64) * TILE


def _comb(echo: Plane, matrices: Floats, shape: tuple[int, ...], reach: int) -> Floats:
    """Add up the autocorrelation at the lattice points of bends (m, 2, 2), in standard deviations of chance."""
    lag = np.asarray(np.matmul(matrices, _lags(reach).T), np.float32)
    overlap = np.maximum(1 - abs(lag[:, 0]) / shape[1], 0) * np.maximum(1 - abs(lag[:, 1]) / shape[0], 0)
    place = np.rint(lag).astype(np.int32) & (_SIDE - 1)
    value = np.where(overlap > 0.08, echo[place[:, 1], place[:, 0]], 0.0)
    return np.asarray(value.sum(axis=1) / np.sqrt(np.where(overlap > 0.08, overlap, 0.0).sum(axis=1) + 0.3))


def _distinct(found: Sequence[tuple[float, Floats]], count: int) -> list[Floats]:
    """Keep the first of those that are nearly the same."""
    best: list[Floats] = []
    for _, matrix in found:
        if all(abs(matrix - other).max() > 0.012 * abs(other).max() for other in best):
            best.append(matrix)
        if len(best) == count:
            break
    return best


_COARSE = (0.008, 0.004, 0.002, 0.001)
_FINE = (0.002, 0.001, 0.0005, 0.00025)
_MOVES = np.concatenate([np.eye(4), -np.eye(4)]).reshape(8, 2, 2)


def _climb(matrix: Floats, score: Callable[[Floats], Floats], steps: Sequence[float]) -> tuple[float, Floats]:
    """Climb to the bend nearby with the highest score."""
    best = float(score(matrix[None])[0])
    for step in steps:
        for _ in range(6):
            near = matrix + step * _MOVES @ matrix
            found = score(near)
            if found.max() <= best:
                break
            best, matrix = float(found.max()), near[found.argmax()]
    return best, matrix


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


@dataclass(frozen=True, slots=True)
class Start:
    """A candidate key and alignment, and how well the pilots agree there."""

    agreement: float
    key: MarkKey
    alignment: Alignment


def crops(picture: Plane, shorter: int, keys: Sequence[MarkKey]) -> list[Start]:
    """Return where the pilots agree best if the picture, `shorter` pixels high, was cut out of a larger one; best first.

    A cut leaves pixels as large as they were, and whole pictures have few sizes, so the bend is known but for its
    start: pilots far too weak to be found otherwise are found.
    """
    found = []
    for size in (size for size in _SIZES if shorter < size <= _LARGEST * shorter):
        grid = pattern.grid_for(size, size)
        matrix = np.eye(2) * (size / grid) * (pattern.ANALYSIS / (shorter + shorter % 2))
        alignment = Alignment(grid, matrix=matrix)
        table = pattern.transform(*alignment.straighten(picture, 0.0, 0.0))
        for key in keys:
            held = pattern.layout(key, grid)
            surface = _surface(pattern.pick(table, held.bins[DATA:]), held)
            found += [Start(value, key, replace(alignment, shift=shift)) for value, shift in _peaks(surface)]
    return sorted(found, key=lambda start: -start.agreement)[: CROPS * len(keys)]


def starts(picture: Plane, matrix: Floats, keys: Sequence[MarkKey]) -> list[Start]:
    """Return the keys and alignments of one bend at which the pilots agree best, best first."""
    straight = Alignment(grid=pattern.ANALYSIS, matrix=matrix).straighten(picture, 0.0, 0.0)
    table = pattern.transform(*straight)
    ways = []
    for (quarters, flip), key, grid in product(TURNS, keys, pattern.GRIDS):
        held = pattern.layout(key, grid)
        surface = _surface(pattern.pick(table, _turned(held.bins[DATA:], quarters, flip=flip)), held)
        ways.append((float(surface.max()), key, Alignment(grid, quarters, flip, matrix)))
    ways.sort(key=lambda way: -way[0])
    found: list[Start] = []
    for _, key, turned in ways[: len(keys) + 1]:
        held = pattern.layout(key, turned.grid)
        surface = _surface(pattern.pick(turned.transform(*straight), held.bins[DATA:]), held)
        found += [Start(value, key, replace(turned, shift=shift)) for value, shift in _peaks(surface)]
    return sorted(found, key=lambda start: -start.agreement)[: STARTS * len(keys)]


def _turned(bins: npt.NDArray[np.int64], quarters: int, *, flip: bool) -> npt.NDArray[np.int64]:
    """Return where waves of a picture that is turned over stand in it as it is; only the start shifts."""
    kx, ky = bins.T
    kx = -kx if flip else kx
    for _ in range(quarters):
        kx, ky = -ky, kx
    return np.stack([kx, ky], axis=1)


def _surface(measured: Complex, held: pattern.Layout) -> Floats:
    """Correlate the pilots at every shift in half units, (160, 160), in standard deviations."""
    pilots = measured * held.wave[DATA:].conj()
    pilots = pilots / (np.sqrt(np.mean(abs(pilots) ** 2)) + 1e-12)
    grid = np.zeros((2 * TILE, 2 * TILE), np.complex128)
    kx, ky = held.bins[DATA:].T
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
