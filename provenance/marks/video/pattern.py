"""The keyed pattern: which Fourier bins of a tile carry what, and the picture they add up to.

A pattern lies on a *grid*: the picture scaled so that its shorter side has that many units. It repeats every 80
units and starts at the top left corner, so a resized copy of the whole picture still lies on the same grid. Bin
k = (kx, ky) is the wave with k cycles a tile. Small pictures take a coarser grid, or encoders would round the
waves away; each grid has its own layout, so a reader knows which one it found.
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
_RADIUS = 22.2
_SLOPE = -0.5
"""Amplitude falls with radius^slope: low frequencies survive coding, high ones hide better."""

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex128]


@lru_cache(maxsize=1)
def lattice() -> npt.NDArray[np.int64]:
    """List every usable bin of the half plane as (n, 2) of (kx, ky).

    Bins within 1 of an axis are left out: block edges, letterboxes and captions live there.
    """
    reach = int(_RADIUS)
    ky, kx = np.mgrid[2 : reach + 1, -reach : reach + 1]
    inside = (abs(kx) >= 2) & (kx**2 + ky**2 <= _RADIUS**2)
    return np.stack([kx[inside], ky[inside]], axis=1)


@dataclass(frozen=True, slots=True)
class Layout:
    """The secret of a key: `bins` (608, 2), `wave` (608,) their unit phases (the sign included).

    The first 512 carry the code bits in order, the other 96 are pilots that always carry +1.
    """

    bins: npt.NDArray[np.int64]
    wave: Complex
    radius: Floats
    """(608,) in cycles a tile."""

    @property
    def shape(self) -> Floats:
        """Relative amplitudes, (608,)."""
        return np.asarray(self.radius**_SLOPE)


@lru_cache(maxsize=64)
def layout(key: MarkKey, grid: int) -> Layout:
    """Derive a key's layout; SHAKE-256 keeps it the same on every machine and library version."""
    bins = lattice()
    label = b"greenlight video mark 1, grid %d: " % grid
    stream = hashlib.shake_256(label + key.secret).digest(16 * len(bins))
    order, phase = np.frombuffer(stream, ">u8").reshape(2, -1)
    chosen = np.argsort(order, kind="stable")[: code.CODE_BITS + PILOTS]
    angle = phase[: len(chosen)] / 2.0**64 * 2 * np.pi
    return Layout(bins[chosen], np.exp(1j * angle), np.hypot(*bins[chosen].T))


def symbols(payload: int) -> Floats:
    """Return what each of the 608 bins carries, +1 or -1."""
    return np.concatenate([code.encode(payload), np.ones(PILOTS)])


def grid_for(width: int, height: int) -> int:
    """Choose the grid of a picture so that its waves span 4 pixels or more at usual sizes."""
    shorter = min(width, height)
    return 360 if shorter >= 600 else 240 if shorter >= 400 else 180


def span(width: int, height: int, grid: int = ANALYSIS) -> tuple[float, float]:
    """Return width and height in units of a grid.

    The shorter side is taken as even, because encoders extend an odd one by a pixel.
    """
    shorter = min(width, height)
    scale = grid / (shorter + shorter % 2)
    return width * scale, height * scale


def _waves(pixels: int, length: float, orders: npt.NDArray[np.int64]) -> npt.NDArray[np.complex64]:
    """Sample exp(2 pi i k u / TILE) at the centres of `pixels` pixels that span `length`: (pixels, orders)."""
    position = (np.arange(pixels) + 0.5) * (length / pixels) / TILE
    return np.asarray(np.exp(2j * np.pi * np.outer(position, orders)), np.complex64)


_REACH = int(_RADIUS)
_ORDERS = np.arange(-_REACH, _REACH + 1)


def draw(key: MarkKey, payload: int, width: int, height: int) -> Plane:
    """Draw the pattern over a whole picture, (height, width) float32 of zero mean and unit variance."""
    grid = grid_for(width, height)
    held = layout(key, grid)
    table = np.zeros((len(_ORDERS), len(_ORDERS)), np.complex64)
    table[held.bins[:, 1] + _REACH, held.bins[:, 0] + _REACH] = held.wave * held.shape * symbols(payload)
    wide, high = span(width, height, grid)
    rows, columns = _waves(height, high, _ORDERS), _waves(width, wide, _ORDERS)
    picture = ((rows @ table) @ columns.T).real
    return np.asarray(picture / np.sqrt(np.sum(held.shape**2) / 2), np.float32)


def transform(picture: Plane, wide: float, high: float) -> Complex:
    """Measure all waves in a picture that spans `wide` x `high` units; `pick` reads the table."""
    columns = _waves(picture.shape[1], wide, _ORDERS[_REACH:]).conj()
    rows = _waves(picture.shape[0], high, _ORDERS).conj()
    # The picture is real, so half the columns are enough and real products are cheaper.
    across = picture @ columns.real + 1j * (picture @ columns.imag)
    return np.asarray(rows.T @ across, np.complex128)


def pick(table: Complex, bins: npt.NDArray[np.int64]) -> Complex:
    """Read bins (n, 2) from a transform, as (n,) complex."""
    kx, ky = bins.T
    found = table[np.where(kx < 0, -ky, ky) + _REACH, abs(kx)]
    return np.asarray(np.where(kx < 0, found.conj(), found), np.complex128)
