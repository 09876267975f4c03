"""How far the level of a tile may move before it is heard.

A simple model of masking after Johnston, "Transform coding of audio signals using perceptual noise criteria" (1988):
a sound hides what lies below it by an offset that is large for tones and small for noise, also in its neighbourhood
on the Bark scale (Schroeder, Atal and Hall 1979) and shortly afterwards.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from provenance.marks.audio import tiles
from provenance.marks.audio.tiles import Doubles, Floats

_NOISE_OFFSET_DB = 5.5
_TONE_OFFSET_DB = 8.0  # and the Bark number on top
_UPWARD, _DOWNWARD = 10.0, 25.0  # dB for each Bark, above and below the sound that hides
_FADING = 0.1  # what is still hidden a tile later
_WINDOW = 2048  # fine enough to tell a tone within a tile from noise
_FLAT_NOISE, _FLAT_TONE = 0.4, 0.03  # spectral flatness
_SHARE = 0.6  # of what could be hidden that is used: tiles change together
BOUND_DB = (1.2, 2.7)
_SWAY_DB, _SWAY_SHARE = 0.2, 0.3  # of the level of all there is, and of how it fluctuates by itself
_STILL_DB = 1.5  # fluctuation that hides nothing yet
_FREE_DB, _FREE_SHARE = 0.8, 0.8  # where there would be too little of a mark
_LONG_ROWS = 83  # 4 s, whose median fluctuation counts
_LONG_SHARE = 1.25  # how much more than that may count for a while


def bounds(mono: Floats, energy: Doubles) -> Floats:
    """Give the largest change of level of every tile in dB, (tiles, BANDS), for sound at RATE and its tiles."""
    calm, bark = _tonality(mono, len(energy)), _bark()
    offset = calm * (_TONE_OFFSET_DB + bark) + (1 - calm) * _NOISE_OFFSET_DB
    hidden = (energy * 10 ** (-offset / 10)) @ _spread(bark).T
    hidden[1:] = np.maximum(hidden[1:], _FADING * hidden[:-1])
    room = _SHARE * np.sqrt(hidden / (energy + 1e-30 * energy.max() + 1e-30))
    return np.asarray(np.clip(20 * np.log10(1 + room), *BOUND_DB), np.float32)


def sways(level: Doubles) -> Floats:
    """Give how far the level of the whole sound may move in each row of tiles in dB, from its `level`: (rows, 1).

    That a sound as a whole swells and fades is heard long before a change of some of its parts is, unless it does so
    by itself, not once but again and again: fluctuations hide fluctuations of their own pace (Houtgast 1989).
    """
    own = _own_sway(level)
    long = ndimage.median_filter(own, _LONG_ROWS, mode="reflect")
    moves = np.minimum(_nearby(own), _LONG_SHARE * long)
    return np.asarray(_SWAY_DB + _SWAY_SHARE * np.maximum(moves - _STILL_DB, 0), np.float32)[:, None]


def freer(level: Doubles) -> Floats:
    """Give the same, (rows, 1), for a sound in which there would otherwise be too little of a mark."""
    return np.asarray(_FREE_DB + _FREE_SHARE * _nearby(_own_sway(level)), np.float32)[:, None]


def _own_sway(level: Doubles) -> Doubles:
    return np.asarray(np.abs(level - ndimage.uniform_filter1d(level, 5, mode="nearest")))


def _nearby(own: Doubles) -> Doubles:
    return np.asarray(ndimage.uniform_filter1d(own, 9, mode="nearest"))


def _tonality(mono: Floats, rows: int) -> Doubles:
    """Say how tonal each tile is, 0..1, by the flatness of its finer spectrum: (rows, BANDS)."""
    step, middle = tiles.FRAMES * tiles.HOP, (tiles.FRAMES * tiles.HOP - tiles.WINDOW) // 2
    padded = np.pad(mono, (_WINDOW // 2 - middle, _WINDOW + rows * step))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::step][:rows]
    power = np.abs(fft.rfft(pieces * np.hanning(_WINDOW).astype(np.float32), axis=1)) ** 2 + 1e-12
    fine = _WINDOW // tiles.WINDOW
    inside = power[:, fine * tiles.LOW : fine * tiles.HIGH].reshape(rows, tiles.BANDS, fine * tiles.WIDTH)
    flatness = np.exp(np.log(inside).mean(axis=2)) / inside.mean(axis=2)
    depth = np.log(_FLAT_NOISE / flatness) / np.log(_FLAT_NOISE / _FLAT_TONE)
    return np.asarray(np.clip(depth, 0, 1), np.float64)


def _bark() -> Doubles:
    """Give the place of every band on the Bark scale (Traunmueller 1990)."""
    hertz = (tiles.LOW + tiles.WIDTH * (np.arange(tiles.BANDS) + 0.5)) * tiles.RATE / tiles.WINDOW
    return np.asarray(26.81 * hertz / (1960 + hertz) - 0.53)


def _spread(bark: Doubles) -> Doubles:
    """Give how much each band (column) hides in each other (row); rows add up to one."""
    apart = bark[:, None] - bark[None, :]
    decay = np.where(apart > 0, _UPWARD * apart, -_DOWNWARD * apart)
    weight = 10 ** (-decay / 10)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
