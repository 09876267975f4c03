"""The keyed pattern: which Fourier bins of a tile carry what, and the picture they add up to.

A pattern lies on a *grid*: the picture scaled so that its shorter side has that many units. It repeats every 80
units and starts at the top left corner, so a resized copy of the whole picture still lies on the same grid. Bin
k = (kx, ky) is the wave with k cycles a tile. Small pictures take a coarser grid, or encoders would round the
waves away; each grid has its own layout, so a reader knows which one it found.

Every code bit is carried twice, by a long wave and by a short one. Short waves hide well (a multi-scale measure of
quality such as VMAF barely sees them) and meet little of the content; long ones survive blur, reduction and hard
compression.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from provenance.marks import MarkKey
from provenance.marks.video import code

GRIDS = (360, 240, 180)
ANALYSIS = 360
"""The shorter side, in pixels, at which pictures are looked at, whatever their grid."""
TILE = 80
PILOTS = 96
COPIES = 2
DATA = COPIES * code.CODE_BITS
"""Bins that carry code bits: bit i is in bins i and 512 + i."""
BINS = DATA + PILOTS
_SHORTEST, _LONGEST, _FULL = 29.2, 5.0, 16.0
"""Radii, in cycles a tile, of the shortest and longest waves, and from where on they have their full strength."""
_LOUD = 1.4
REACH = int(_SHORTEST)
"""The most cycles a tile along one side."""
_ORDERS = np.arange(-REACH, REACH + 1)

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex128]


@lru_cache(maxsize=1)
def lattice() -> npt.NDArray[np.int64]:
    """List every usable bin of the half plane as (n, 2) of (kx, ky).

    Bins within 1 of an axis are left out: block edges, letterboxes and captions live there.
    """
    reach = int(_SHORTEST)
    ky, kx = np.mgrid[2 : reach + 1, -reach : reach + 1]
    radius = np.hypot(kx, ky)
    inside = (abs(kx) >= 2) & (radius >= _LONGEST) & (radius <= _SHORTEST)
    return np.stack([kx[inside], ky[inside]], axis=1)


@dataclass(frozen=True, slots=True)
class Layout:
    """The secret of a key: `bins` (1120, 2), `wave` (1120,) their unit phases (the sign included).

    The first 512 carry the code bits in order, the next 512 carry them again, the last 96 are pilots that always
    carry +1.
    """

    bins: npt.NDArray[np.int64]
    wave: Complex
    radius: Floats
    """(1120,) in cycles a tile."""

    @property
    def shape(self) -> Floats:
        """Relative amplitudes, (1120,).

        Long waves cost more of the picture's quality than they carry; a crop is found by its pilots.
        """
        relative = np.minimum(self.radius / _FULL, 1.0)
        relative[DATA:] *= _LOUD
        return np.asarray(relative, np.float64)


@lru_cache(maxsize=64)
def layout(key: MarkKey, grid: int) -> Layout:
    """Derive a key's layout; SHAKE-256 keeps it the same on every machine and library version."""
    bins = lattice()
    label = b"greenlight video mark 2, grid %d: " % grid
    stream = hashlib.shake_256(label + key.secret).digest(16 * len(bins))
    order, phase = np.frombuffer(stream, ">u8").reshape(2, -1)
    chosen = np.argsort(order, kind="stable")[:BINS]
    data, pilots = chosen[:DATA], chosen[DATA:]
    length = np.argsort(-np.hypot(*bins[data].T), kind="stable")
    short = np.zeros(DATA, bool)
    short[length[: DATA // 2]] = True
    chosen = np.concatenate([data[~short], data[short], pilots])
    angle = phase[: len(chosen)] / 2.0**64 * 2 * np.pi
    return Layout(bins[chosen], np.exp(1j * angle), np.hypot(*bins[chosen].T))


def symbols(payload: int) -> Floats:
    """Return what each of the 1120 bins carries, +1 or -1."""
    word = code.encode(payload)
    return np.concatenate([*[word] * COPIES, np.ones(PILOTS)])


def grid_for(width: int, height: int) -> int:
    """Choose the grid of a picture so that its waves span 5 pixels or more at usual sizes."""
    shorter = min(width, height)
    return 360 if shorter >= 600 else 240 if shorter >= 400 else 180


def span(width: int, height: int, grid: int = ANALYSIS) -> tuple[float, float]:
    """Return width and height in units of a grid.

    The shorter side is taken as even, because encoders extend an odd one by a pixel.
    """
    shorter = min(width, height)
    scale = grid / (shorter + shorter % 2)
    return width * scale, height * scale


@lru_cache(maxsize=32)
def waves(pixels: int, length: float) -> npt.NDArray[np.complex64]:
    """Sample exp(2 pi i k u / TILE) at the centres of `pixels` pixels that span `length`: (pixels, 2 REACH + 1)."""
    position = (np.arange(pixels) + 0.5) * (length / pixels) / TILE
    sampled = np.exp(2j * np.pi * np.outer(position, _ORDERS)).astype(np.complex64)
    sampled.setflags(write=False)
    return np.asarray(sampled)


def _whole(part: npt.NDArray[np.float32]) -> Plane:
    """Copy a part of complex numbers together, without which products are ten times slower."""
    return np.ascontiguousarray(part)


def draw(
    key: MarkKey, payload: int, width: int, height: int, amplitude: Floats | None = None, *, pixels: int = 0
) -> Plane:
    """Draw the pattern over a whole picture, (height, width) float32 of zero mean and about unit variance.

    `amplitude` (1120,) of mean square 1 tells the waves apart; without it all are alike. With `pixels` it is
    drawn for a picture reduced to `width` x `height` whose own shorter side has that many.
    """
    shorter = pixels or min(width, height)
    grid = grid_for(shorter, shorter)
    held = layout(key, grid)
    weight = held.shape if amplitude is None else held.shape * amplitude
    table = np.zeros((len(_ORDERS), len(_ORDERS)), np.complex64)
    table[held.bins[:, 1] + REACH, held.bins[:, 0] + REACH] = held.wave * weight * symbols(payload)
    wide, high = span(width, height, grid)
    rows, columns = waves(height, high), waves(width, wide)
    half = rows @ table
    picture = _whole(half.real) @ _whole(columns.real.T) - _whole(half.imag) @ _whole(columns.imag.T)
    return np.asarray(picture / np.float32(np.sqrt(np.sum(weight**2) / 2)), np.float32)


def transform(picture: Plane, wide: float, high: float) -> Complex:
    """Measure all waves in a picture that spans `wide` x `high` units; `pick` reads the table."""
    columns = waves(picture.shape[1], wide)[:, REACH:].conj()
    rows = waves(picture.shape[0], high).conj()
    # The picture is real, so half the columns are enough and real products are cheaper.
    across = picture @ _whole(columns.real) + 1j * (picture @ _whole(columns.imag))
    return np.asarray(rows.T @ across, np.complex128)


def pick(table: Complex, bins: npt.NDArray[np.int64]) -> Complex:
    """Read bins (n, 2) from a transform, as (n,) complex."""
    kx, ky = bins.T
    found = table[np.where(kx < 0, -ky, ky) + REACH, abs(kx)]
    return np.asarray(np.where(kx < 0, found.conj(), found), np.complex128)
