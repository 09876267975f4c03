"""What may lie between the mark and its detector, as the embedder imagines it: noise and rooms, on tile energies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from provenance.marks.audio import tiles
from provenance.marks.audio.tiles import Doubles


@dataclass(frozen=True, slots=True)
class Hearing:
    """Steady noise and a decaying room.

    `white` and `pink` are energies of a tile relative to the mean tile; `tail` is the energy of all that a room
    sends later relative to the direct sound, `seconds` its RT60.
    """

    white: float = 0.0
    pink: float = 0.0
    tail: float = 0.0
    seconds: float = 0.5

    def heard(self, energy: Doubles) -> Doubles:
        """Give the tile energies behind it."""
        falling = 1 / (tiles.LOW + tiles.WIDTH * (np.arange(tiles.BANDS) + 0.5))
        noise = energy.mean() * (self.white + self.pink * falling / falling.mean())
        return np.asarray(energy + (self._late(energy) if self.tail else 0.0) + noise)

    def traced(self, slope: Doubles) -> Doubles:
        """Trace slopes by the energies behind it back to slopes by the energies before it."""
        return slope + self._late(slope[::-1])[::-1] if self.tail else slope

    def _late(self, energy: Doubles) -> Doubles:
        fade = 10 ** (-6 * tiles.FRAMES * tiles.HOP / tiles.RATE / self.seconds)
        return np.asarray(signal.lfilter([0, self.tail * (1 - fade)], [1, -fade], energy, axis=0))


IMAGINED = (
    Hearing(),
    Hearing(white=0.004),
    Hearing(white=0.04),
    Hearing(pink=0.05),
    Hearing(tail=1.0),
)
