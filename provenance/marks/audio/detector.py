"""Blind detection: find where the pattern lies by its pilots, then read the message and check it.

Why a wrong payload does not come out by chance. Fix any sound made without the secret. Whatever word the decoder
makes of it, the key's whitening turns it into 96 fair tosses, so its CRC-32 agrees with probability 2**-32 in
every trial, and with probability at most T * 2**-32 in any of T trials. The pilots are independent of the
whitening: their signs are fair tosses, so the best of A alignments reaches a correlation of z deviations with
probability at most A * exp(-z * z / 2) (Hoeffding, 1963). A reading's chance is the product of the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from provenance.marks import Segment
from provenance.marks.audio import code, pattern, tiles
from provenance.marks.audio.tiles import Doubles, Floats

TRIALS = 24
SEARCH_TRIALS = 64
ALIGNMENTS = tiles.FRAMES * tiles.PERIOD
FRAMES_PER_SECOND = tiles.RATE / tiles.HOP
_SEGMENT_Z = 3.0
_LARGEST_BEND = 0.06
_BEND_STEP = 0.005
_COARSE_OFFSETS = 3
_FINALISTS = 8
_EXCERPT_FRAMES = int(16 * FRAMES_PER_SECOND)


@dataclass(frozen=True, slots=True)
class Bend:
    """How a sound was scaled: `stretch` > 1 lasts longer, `pitch` > 1 sounds higher."""

    stretch: float = 1.0
    pitch: float = 1.0


@dataclass(frozen=True, slots=True)
class Fold:
    """All periods of a sound added up, read with one bend and one offset in frames.

    `plane` is (PERIOD, BANDS); `z` (PERIOD,) is the pilots' correlation at every shift, in deviations.
    """

    bend: Bend
    offset: float
    plane: Floats
    z: Floats


@dataclass(frozen=True, slots=True)
class Reading:
    """A message that passed its checks, where it lay, and the correlation of pilots and of the code word."""

    payload: int
    bend: Bend
    offset: float
    shift: int
    z: float
    strength: float


def read(summed: Doubles, plan: pattern.Pattern) -> Reading | None:
    """Read a sound that was cropped but not bent, from its `tiles.integral`."""
    return _first_readable([*_folds(summed, plan, [Bend()], tiles.FRAMES)], plan, TRIALS)


def search(summed: Doubles, plan: pattern.Pattern) -> Reading | None:
    """Read a sound whose time, or time and pitch together, was scaled by up to 6 percent."""
    for excerpt in excerpts(summed):
        reading = _searched(excerpt, plan)
        if reading is not None:
            return _followed(summed, plan, reading)
    return None


def excerpts(summed: Doubles) -> list[Doubles]:
    """Cut a sound into parts of 16 to 32 s: in longer ones a coarse grid of bends would lose its place."""
    count = max((len(summed) - 1) // _EXCERPT_FRAMES, 1)
    edges = np.linspace(0, len(summed) - 1, count + 1).astype(int)
    return [summed[first : last + 1] - summed[first] for first, last in pairwise(edges)]


def chance(z: float, trials: int, alignments: int) -> float:
    """Bound the probability that unmarked sound gives a reading at `z` in so many trials and alignments."""
    pilots = min(1.0, alignments * math.exp(-(max(z, 0.0) ** 2) / 2))
    return min(1.0, pilots * trials * 2.0**-code.CRC_BITS)


def alignments_searched(summed: Doubles) -> int:
    """Count the alignments that `search` looks at."""
    bends = len(_bends()) * _COARSE_OFFSETS + _FINALISTS * 3 * tiles.FRAMES
    return len(excerpts(summed)) * bends * tiles.PERIOD


def segments(summed: Doubles, plan: pattern.Pattern, reading: Reading, seconds: float) -> tuple[Segment, ...]:
    """Say for every second whether the mark is there, judged on that second and half of each neighbour."""
    feature = _features(summed, reading.bend, reading.offset)
    wanted = np.roll(plan.target(reading.payload), reading.shift, axis=0)
    wanted = np.resize(wanted, feature.shape)
    middles = (np.arange(len(feature)) + 0.5) * tiles.FRAMES * reading.bend.stretch + reading.offset
    at = middles / FRAMES_PER_SECOND
    agreement, power = (feature * wanted).sum(axis=1), np.square(feature).sum(axis=1)
    spans = []
    for start in range(math.ceil(seconds)):
        near = (at >= start - 0.5) & (at < start + 1.5)
        z = agreement[near].sum() / math.sqrt(power[near].sum() + 1e-9)
        spans.append(Segment(float(start), min(start + 1.0, seconds), bool(z >= _SEGMENT_Z)))
    return tuple(spans)


def _bends() -> list[Bend]:
    """List the bends of the coarse search: stretched at the same pitch, then played faster or slower."""
    steps = round(_LARGEST_BEND / _BEND_STEP)
    ratios = [1 + _BEND_STEP * step for step in range(-steps, steps + 1) if step]
    return [Bend(ratio) for ratio in ratios] + [Bend(ratio, 1 / ratio) for ratio in ratios]


def _searched(summed: Doubles, plan: pattern.Pattern) -> Reading | None:
    coarse = _folds(summed, plan, _bends(), _COARSE_OFFSETS)
    finalists = sorted(coarse, key=lambda fold: -float(fold.z.max()))[:_FINALISTS]
    nearby = [bend for fold in finalists for bend in _around(fold.bend, _BEND_STEP / 2, 1)]
    return _first_readable([*_folds(summed, plan, nearby, tiles.FRAMES)], plan, SEARCH_TRIALS)


def _followed(summed: Doubles, plan: pattern.Pattern, reading: Reading) -> Reading:
    """Place a reading from an excerpt in the whole sound, with its bend made finer."""
    step = tiles.FRAMES / 4 / len(summed)
    reach = math.ceil(_BEND_STEP / 4 / step)
    folds = _folds(summed, plan, _around(reading.bend, step, reach), tiles.FRAMES)
    best = max(folds, key=lambda fold: float(fold.z.max()))
    shift = int(best.z.argmax())
    return Reading(reading.payload, best.bend, best.offset, shift, reading.z, reading.strength)


def _around(bend: Bend, step: float, reach: int) -> list[Bend]:
    """Give the bends up to `reach` steps to either side, along the same kind of bending."""
    near = [bend.stretch + step * place for place in range(-reach, reach + 1)]
    return [Bend(ratio, 1.0 if bend.pitch == 1 else 1 / ratio) for ratio in near]


def _features(summed: Doubles, bend: Bend, offset: float) -> Floats:
    return tiles.features(tiles.energies(summed, offset, bend.stretch, bend.pitch))[0]


def _folds(summed: Doubles, plan: pattern.Pattern, bends: Iterable[Bend], offsets: int) -> list[Fold]:
    """Fold a sound under every bend and at `offsets` places within a tile."""
    signs = np.conj(np.fft.rfft(plan.signs * plan.pilots, axis=0))
    mask = np.conj(np.fft.rfft(plan.pilots.astype(np.float32), axis=0))
    folds = []
    for bend in bends:
        for offset in np.arange(offsets) * bend.stretch * tiles.FRAMES / offsets:
            plane = _folded(_features(summed, bend, float(offset)))
            sums = _circular(plane, signs)
            power = np.maximum(_circular(plane * plane, mask), 0)
            z = np.asarray(sums / np.sqrt(power + 1e-9), np.float32)
            folds.append(Fold(bend, float(offset), plane, z))
    return folds


def _folded(feature: Floats) -> Floats:
    """Add up the periods: (tiles, BANDS) to (PERIOD, BANDS)."""
    rows = -(-max(len(feature), 1) // tiles.PERIOD) * tiles.PERIOD
    padded = np.zeros((rows, tiles.BANDS), np.float32)
    padded[: len(feature)] = feature
    return np.asarray(padded.reshape(-1, tiles.PERIOD, tiles.BANDS).sum(axis=0), np.float32)


def _circular(plane: Floats, spectrum: npt.NDArray[np.complex128]) -> Floats:
    """Correlate along time at every shift and add up the bands."""
    product = (np.fft.rfft(plane, axis=0) * spectrum).sum(axis=1)
    return np.asarray(np.fft.irfft(product, tiles.PERIOD), np.float32)


def _first_readable(folds: Sequence[Fold], plan: pattern.Pattern, trials: int) -> Reading | None:
    """Try the best alignments in order of their pilots and give the first message that passes."""
    z = np.stack([fold.z for fold in folds])
    for place in np.argsort(-z, axis=None, kind="stable")[:trials]:
        index, shift = divmod(int(place), tiles.PERIOD)
        reading = _tried(folds[index], shift, plan)
        if reading is not None:
            return reading
    return None


def _tried(fold: Fold, shift: int, plan: pattern.Pattern) -> Reading | None:
    """Decode at one alignment; None when the CRC disagrees."""
    plane = np.roll(fold.plane, -shift, axis=0)
    sums = np.bincount(plan.groups.ravel(), (plane * plan.signs).ravel(), pattern.GROUPS)
    soft = sums[: pattern.FIRST_PILOT].astype(np.float32)
    bits = code.decode(soft)
    payload = code.payload(bits ^ plan.whitening)
    if payload is None:
        return None
    deviation = math.sqrt(np.square(plane[~plan.pilots]).sum() + 1e-9)
    strength = float(code.encode(bits) @ soft) / deviation
    return Reading(payload, fold.bend, fold.offset, shift, float(fold.z[shift]), strength)
