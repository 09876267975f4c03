"""What a key says about the plane of tiles: which cell carries which code bit, with which sign."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provenance.marks import MarkKey
from provenance.marks.audio import code
from provenance.marks.audio.tiles import BANDS, PERIOD

PILOTS_PER_GROUP = 7
PILOT_GROUPS = 96
FIRST_PILOT = code.CODE_BITS
GROUPS = FIRST_PILOT + PILOT_GROUPS
_CELLS = PERIOD * BANDS
_LABEL = b"greenlight audio mark 1"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One key's plan of a period of (PERIOD, BANDS) cells.

    `groups` (int16) numbers the group of each cell: a code bit below CODE_BITS, else a group of pilots;
    `signs` (float32, +-1) spreads each group; `whitening` (96 bits) is added to every message, so that to
    anyone without the key a decoded message is 96 fair coin tosses (the false-positive bound rests on it).
    """

    groups: npt.NDArray[np.int16]
    signs: npt.NDArray[np.float32]
    whitening: code.Bits

    @property
    def pilots(self) -> npt.NDArray[np.bool_]:
        """Say which cells are pilots, (PERIOD, BANDS)."""
        return self.groups >= FIRST_PILOT

    def target(self, payload: int) -> npt.NDArray[np.float32]:
        """Give the sign that every cell takes under a payload, (PERIOD, BANDS)."""
        bits = code.encode(code.message(payload) ^ self.whitening)
        polarity = np.concatenate((bits, np.ones(PILOT_GROUPS, np.float32)))
        return self.signs * polarity[self.groups]


def pattern(key: MarkKey) -> Pattern:
    """Derive the plan from the key's secret with SHAKE-256, the same on every machine and version."""
    stream = hashlib.shake_256(_LABEL + len(key.secret).to_bytes(2, "big") + key.secret)
    raw = stream.digest(8 * _CELLS + _CELLS + code.MESSAGE_BITS)
    order = np.argsort(np.frombuffer(raw[: 8 * _CELLS], ">u8"), kind="stable")
    toss = np.frombuffer(raw[8 * _CELLS :], np.uint8) & np.uint8(1)
    groups = np.empty(_CELLS, np.int16)
    groups[order] = _shares()
    signs = toss[:_CELLS].astype(np.float32) * 2 - 1
    shape = (PERIOD, BANDS)
    return Pattern(groups.reshape(shape), signs.reshape(shape), toss[_CELLS:])


def _shares() -> npt.NDArray[np.int16]:
    """Deal the cells of a period: a fixed number per pilot group, the rest evenly to the code bits."""
    pilots = np.repeat(np.arange(FIRST_PILOT, GROUPS), PILOTS_PER_GROUP)
    data = np.arange(_CELLS - len(pilots)) % code.CODE_BITS
    return np.concatenate((pilots, data)).astype(np.int16)
