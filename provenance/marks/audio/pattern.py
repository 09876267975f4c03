"""What a key says about the plane of tiles: which cell carries which code bit, with which sign."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from provenance.marks import MarkKey
from provenance.marks.audio import code
from provenance.marks.audio.tiles import BANDS, PERIOD

CELLS_PER_BIT = 7
PILOTS_PER_GROUP = 8
_CELLS = PERIOD * BANDS
PILOT_GROUPS = (_CELLS - CELLS_PER_BIT * code.CODE_BITS) // PILOTS_PER_GROUP
FIRST_PILOT = code.CODE_BITS
GROUPS = FIRST_PILOT + PILOT_GROUPS
_LABEL = b"greenlight audio mark 2"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One key's plan of a period of (PERIOD, BANDS) cells.

    `groups` (int16) numbers the group of each cell: a code bit below CODE_BITS, else a group of pilots;
    `signs` (float32, +-1) spreads each group, fair tosses to anyone without the key (the false-positive bound
    rests on it).
    """

    groups: npt.NDArray[np.int16]
    signs: npt.NDArray[np.float32]

    @property
    def cells(self) -> npt.NDArray[np.int64]:
        """Give the places of every code bit's cells in the flattened plane, (CODE_BITS, CELLS_PER_BIT)."""
        ordered = np.argsort(self.groups, axis=None, kind="stable")
        return ordered[: code.CODE_BITS * CELLS_PER_BIT].reshape(code.CODE_BITS, CELLS_PER_BIT)

    @property
    def pilots(self) -> npt.NDArray[np.bool_]:
        """Say which cells are pilots, (PERIOD, BANDS)."""
        return self.groups >= FIRST_PILOT

    def target(self, payload: int) -> npt.NDArray[np.float32]:
        """Give the sign that every cell takes under a payload, (PERIOD, BANDS)."""
        bits = code.encode(code.message(payload))
        polarity = np.concatenate((bits, np.ones(PILOT_GROUPS, np.float32)))
        return self.signs * polarity[self.groups]


def pattern(key: MarkKey) -> Pattern:
    """Derive the plan from the key's secret with SHAKE-256, the same on every machine and version."""
    stream = hashlib.shake_256(_LABEL + len(key.secret).to_bytes(2, "big") + key.secret)
    raw = stream.digest(4 * _CELLS + _CELLS)
    draw = np.frombuffer(raw[: 4 * _CELLS], ">u4")
    toss = np.frombuffer(raw[4 * _CELLS :], np.uint8) & np.uint8(1)
    groups = np.empty(_CELLS, np.int16)
    groups[_dealt(draw)] = _shares()
    signs = toss.astype(np.float32) * 2 - 1
    shape = (PERIOD, BANDS)
    return Pattern(groups.reshape(shape), signs.reshape(shape))


def _dealt(draw: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Shuffle the cells within slices of neighbouring bands, one slice for each cell of a code bit.

    So every bit hears low and high, and a filter takes something from all of them rather than all from some.
    """
    return np.concatenate([cells[np.argsort(draw[cells], kind="stable")] for cells in _slices()])


@cache
def _slices() -> list[npt.NDArray[np.int64]]:
    by_band = np.arange(_CELLS).reshape(PERIOD, BANDS).T.ravel()
    return np.array_split(by_band, CELLS_PER_BIT)


@cache
def _shares() -> npt.NDArray[np.int16]:
    """Deal each slice of cells: one to every code bit, the rest to the pilot groups in turn."""
    sizes = [len(part) for part in np.array_split(np.arange(_CELLS), CELLS_PER_BIT)]
    rest = iter(FIRST_PILOT + np.arange(_CELLS - CELLS_PER_BIT * code.CODE_BITS) % PILOT_GROUPS)
    dealt = [[*range(code.CODE_BITS), *(next(rest) for _ in range(size - code.CODE_BITS))] for size in sizes]
    return np.concatenate(dealt).astype(np.int16)
