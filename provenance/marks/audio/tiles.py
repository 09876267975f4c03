"""The plane the mark lives in: log energies of tiles of 48 ms by 125 Hz, seen against their surroundings."""

from __future__ import annotations

from enum import Enum, auto

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Spectra = npt.NDArray[np.complex64]

RATE = 16_000
"""Hz; every sound is looked at in this rate."""
WINDOW = 512
HOP = 128
FRAMES = 6
"""Frames of one tile: 48 ms."""
LOW = 9
"""First marked bin: 281 Hz."""
WIDTH = 4
"""Bins of one tile: 125 Hz."""
BANDS = 39
"""Up to 5.2 kHz."""
PERIOD = 104
"""Tiles after which the pattern repeats: 4.99 s."""
HIGH = LOW + WIDTH * BANDS
REACH = 192
"""Bins that are looked at: up to 6 kHz, where the marked ones are in sound played a tenth faster."""

# The square root of 2/3 makes analysis times synthesis add up to one at four windows per hop.
HANN = np.sqrt(2 / 3) * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
_OVERLAP = WINDOW // HOP
_PAD = WINDOW - HOP
LEAD = (WINDOW / 2 - HOP / 2) / HOP
"""Frames by which a frame's number is ahead of the sound in its middle."""
_CALM_DB = 0.7  # a tile is never believed to be calmer than codecs leave it
_KNEE = 1.6  # in local deviations: where one loud surprise stops counting more
_LOUDNESS, _RESTLESS_DB = 0.2, 2.0  # how loud and calm tiles are preferred among tones
_LEAKAGE = 0.003  # of the surroundings: what a window and a codec spill into an empty tile
_FAINT = 1e-6  # of the mean tile: what every codec throws away
_QUIET_SHARE = 0.05  # of the tiles of a band: they show its steady noise
_STEADY = 3.0  # the noise over what its quietest tiles show
_BARE_SHARE, _ABOVE = 0.1, 2.6  # the same two among bare tones
_SMOOTH = 15  # bands over which noise is smooth


def spectra(mono: Floats) -> Spectra:
    """Give the windowed spectra of mono sound at RATE, frame k from sample (k-3)*HOP on: (frames, 257)."""
    frames = -(-len(mono) // HOP) + _OVERLAP - 1
    padded = np.zeros(frames * HOP + _PAD, np.float32)
    padded[_PAD : _PAD + len(mono)] = mono
    view = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return np.asarray(fft.rfft(view * HANN, axis=1), np.complex64)


def waveform(frames: Spectra, length: int) -> Floats:
    """Undo `spectra`: overlap, add and give `length` samples."""
    pieces = (fft.irfft(frames, WINDOW, axis=1) * HANN).reshape(len(frames), _OVERLAP, HOP)
    blocks = np.zeros((len(frames) + _OVERLAP - 1, HOP), np.float32)
    for part in range(_OVERLAP):
        blocks[part : part + len(frames)] += pieces[:, part]
    return blocks.ravel()[_PAD : _PAD + length]


def integral(frames: Spectra) -> Doubles:
    """Sum the power over all earlier frames and lower bins, (frames+1, REACH+1): a tile then costs four looks."""
    heard = frames[:, :REACH]
    power = heard.real.astype(np.float64) ** 2 + heard.imag.astype(np.float64) ** 2
    summed = np.zeros((power.shape[0] + 1, power.shape[1] + 1))
    np.cumsum(power, axis=0, out=summed[1:, 1:])
    np.cumsum(summed[1:, 1:], axis=1, out=summed[1:, 1:])
    return summed


def energies(summed: Doubles, offset: float = 0.0, stretch: float = 1.0, pitch: float = 1.0) -> Doubles:
    """Give the energy of the tiles that start `offset` frames in, (tiles, BANDS).

    `stretch` is the length of a tile and `pitch` its frequency, both relative to the original's.
    """
    span = FRAMES * stretch
    count = max(int((len(summed) - 1 - offset) / span + 1e-9), 0)
    edges = np.minimum((LOW + WIDTH * np.arange(BANDS + 1, dtype=np.float64)) * pitch, summed.shape[1] - 1)
    columns = _between(summed.T, edges).T
    rows = _between(columns, offset + span * np.arange(count + 1, dtype=np.float64))
    return np.asarray(np.maximum(np.diff(np.diff(rows, axis=0), axis=1), 0))


def _between(rows: Doubles, at: Doubles) -> Doubles:
    """Read rows at fractional places."""
    low = np.minimum(at.astype(np.int64), len(rows) - 2)
    share = (at - low)[:, None]
    return rows[low] * (1 - share) + rows[low + 1] * share if share.any() else rows[low]


def detail(plane: Floats) -> Floats:
    """Take the surroundings (five tiles in time, then five in frequency) out of a plane; linear."""
    slow = plane - ndimage.uniform_filter(plane, (5, 1), mode="nearest")
    return np.asarray(slow - ndimage.uniform_filter(slow, (1, 5), mode="nearest"), np.float32)


def unrest(plane: Floats) -> Floats:
    """Give the local deviation of a plane of details, over nine tiles in time and five in frequency."""
    mean = ndimage.uniform_filter(plane * plane, (9, 5), mode="nearest")
    return np.asarray(np.sqrt(np.maximum(mean, 0)), np.float32)


def levels(energy: Doubles) -> tuple[Floats, Floats]:
    """Give energies relative to their mean, and in dB."""
    relative = (energy / (energy.mean() + 1e-30)).astype(np.float32)
    return relative, np.asarray(10 * np.log10(relative + 1e-8), np.float32)


class Weights(Enum):
    """How tiles are weighted against each other."""

    PLAIN = auto()
    """By how much of the tile can be the sound itself: what most sounds are read by."""
    LOUD = auto()
    """Also by how loud the tile and how calm its surroundings are: bare tones."""
    CALM = auto()
    """By how calm its surroundings are, steady or not: long tones, that look like steady noise to the others."""
    BARE = auto()
    """By what rises above a noise that is smooth over the bands: bare tones in noise."""


SHOWN = Weights.PLAIN, Weights.LOUD
"""What the strength of a mark is judged by: the others read more, which is left to be a margin."""


def features(energy: Doubles, weights: Weights = Weights.PLAIN) -> tuple[Floats, Floats]:
    """Give what the detector correlates, within -1..1, and its slope against the level of the tile in dB.

    Each tile's detail is measured in local deviations, bent softly, and weighted: where a few bare tones carry the
    mark, the many tiles of noise between them would drown it.
    """
    relative, level = levels(energy)
    deviations = detail(level)
    local = np.sqrt(unrest(deviations) ** 2 + _CALM_DB**2)
    trust = _own(relative, weights)
    if weights is Weights.LOUD:
        trust = trust * (relative + 1e-9) ** _LOUDNESS
    if weights is not Weights.PLAIN:
        trust = trust / (1 + (local / _RESTLESS_DB) ** 2)
    bent = np.tanh(deviations / (_KNEE * local))
    slope = (1 - bent * bent) / (_KNEE * local) * trust
    return np.asarray(bent * trust, np.float32), np.asarray(slope, np.float32)


def _own(relative: Floats, weights: Weights) -> Floats:
    """Say which share of a tile is the sound's own: not what its neighbours and a codec spill into it, nor noise."""
    around = ndimage.uniform_filter(relative, (3, 5), mode="nearest")
    clean = relative / (relative + _LEAKAGE * around + _FAINT)
    if weights is Weights.CALM or not len(relative):
        return np.asarray(clean, np.float32)
    if weights in SHOWN:
        noise = _STEADY * _quiet(relative, _QUIET_SHARE)
        return np.asarray(clean * relative / (relative + noise + _FAINT), np.float32)
    noise = ndimage.minimum_filter1d(_quiet(relative, _BARE_SHARE), _SMOOTH, mode="nearest")
    above = relative - _ABOVE * ndimage.uniform_filter1d(noise, _SMOOTH, mode="nearest")
    return np.asarray(clean * np.maximum(above, 0) / (relative + _FAINT), np.float32)


def _quiet(relative: Floats, share: float) -> Floats:
    """Give the level below which that share of a band's tiles lie: steady noise is in all of them, (BANDS,).

    As minimum statistics do (Martin 2001): what a gain does to the level of a tile shrinks with the share of noise
    in it, so its weight must.
    """
    rank = min(int(share * len(relative)), len(relative) - 1)
    return np.asarray(np.partition(relative, rank, axis=0)[rank], np.float32)
