"""How the energies of tiles answer to gains, predicted frame by frame instead of by applying them.

Marked sound is windowed twice, once where the gains are applied and once by whoever looks at it, so that a frame
shows a mean of the gains of seven frames, and of its neighbouring bands. Where the sound is steady that mean is
known from the window alone. What comes of it is read back from the marked sound in the end.
"""

from __future__ import annotations

import numpy as np

from provenance.marks.audio import tiles
from provenance.marks.audio.tiles import Doubles, Floats, Spectra

_FAINT = 1e-9  # of the mean row: digital silence, where a level has no logarithm
_SIDE = 0.08  # of a neighbouring band's gain: the window's side


def _shares() -> Floats:
    """Give how much the tile before, itself and the one after count in each frame of a tile: (3, FRAMES, 1)."""
    window = tiles.HANN**2
    overlap = [window[: len(window) - lag] @ window[lag:] for lag in range(0, len(window), tiles.HOP)]
    later = np.cumsum(overlap[:0:-1]) / (overlap[0] + 2 * sum(overlap[1:]))
    after = np.pad(later, (tiles.FRAMES - len(later), 0))
    return np.stack((after[::-1], 1 - after - after[::-1], after))[..., None].astype(np.float32)


_SHARES = _shares()


def by_frame(frames: Spectra) -> Floats:
    """Give the energy of every frame of every tile, (tiles, FRAMES, BANDS); empty frames fill up the last tile."""
    power = _power(frames[:, tiles.LOW : tiles.HIGH])
    bands = power.reshape(len(power), tiles.BANDS, tiles.WIDTH).sum(axis=2)
    padded = np.pad(bands, ((0, -len(bands) % tiles.FRAMES), (0, 0)))
    return np.asarray(padded.reshape(-1, tiles.FRAMES, tiles.BANDS), np.float32)


def whole(frames: Spectra) -> Doubles:
    """Give the energy of all that sounds in each row of tiles, (tiles, 1), never nothing."""
    power = _power(frames).sum(axis=1, dtype=np.float64)
    rows = np.pad(power, (0, -len(power) % tiles.FRAMES)).reshape(-1, tiles.FRAMES).sum(axis=1)
    return np.asarray(rows + _FAINT * rows.mean() + 1e-30)[:, None]


def marked(energy: Floats, gain: Floats) -> Doubles:
    """Predict the energies of tiles under gains in dB, both (tiles, BANDS), from those `by_frame`."""
    change = np.pad((10 ** (gain / 20) - 1).astype(np.float32), ((1, 1), (1, 1)))
    mixed = (1 - 2 * _SIDE) * change[:, 1:-1] + _SIDE * (change[:, :-2] + change[:, 2:])
    before, own, after = mixed[:-2, None], mixed[1:-1, None], mixed[2:, None]
    amplitude = 1 + _SHARES[0] * before + _SHARES[1] * own + _SHARES[2] * after
    return np.asarray((energy * amplitude * amplitude).sum(axis=1), np.float64)


def _power(frames: Spectra) -> Floats:
    return np.asarray(frames.real * frames.real + frames.imag * frames.imag, np.float32)
