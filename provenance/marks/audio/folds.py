"""Sound as the detector holds it against a key: all periods added up, under one bend and one offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provenance.marks.audio import pattern, tiles
from provenance.marks.audio.tiles import Doubles, Floats


@dataclass(frozen=True, slots=True)
class Bend:
    """How a sound was scaled: `stretch` > 1 lasts longer, `pitch` > 1 sounds higher."""

    stretch: float = 1.0
    pitch: float = 1.0


@dataclass(frozen=True, slots=True)
class Fold:
    """All periods of a sound added up, read with one bend and from one offset in frames: (PERIOD, BANDS)."""

    bend: Bend
    offset: float
    plane: Floats


@dataclass(frozen=True, slots=True)
class Place:
    """One alignment: a fold, the shift within the period, and how much speaks for it (in deviations)."""

    fold: Fold
    shift: int
    weight: float

    @property
    def plane(self) -> Floats:
        """Give the plane from the beginning of the pattern."""
        return np.roll(self.fold.plane, -self.shift, axis=0)


def folds(summed: Doubles, bends: Iterable[Bend], offsets: int) -> Iterator[Fold]:
    """Fold a sound, as its `tiles.integral`, under every bend and at `offsets` places within a tile."""
    for bend in bends:
        for offset in np.arange(offsets) * bend.stretch * tiles.FRAMES / offsets:
            yield Fold(bend, float(offset), _folded(features(summed, bend, float(offset))))


def features(summed: Doubles, bend: Bend, offset: float) -> Floats:
    """Give what the detector sees in every tile, (tiles, BANDS)."""
    return tiles.features(tiles.energies(summed, offset, bend.stretch, bend.pitch))[0]


def _folded(feature: Floats) -> Floats:
    """Add up the periods: (tiles, BANDS) to (PERIOD, BANDS)."""
    rows = -(-max(len(feature), 1) // tiles.PERIOD) * tiles.PERIOD
    padded = np.zeros((rows, tiles.BANDS), np.float32)
    padded[: len(feature)] = feature
    return np.asarray(padded.reshape(-1, tiles.PERIOD, tiles.BANDS).sum(axis=0), np.float32)


def places(found: list[Fold], plan: pattern.Pattern, *, pilots: int, best: int) -> list[Place]:
    """Give the `best` alignments of a key in these folds, likeliest first.

    The pilots choose `pilots` of all alignments; the energy of the groups of code bits, whose cells agree where
    the alignment is right whatever the bits are, then orders them together with the pilots.
    """
    z = _pilot_deviations(found, plan)
    chosen = np.argsort(-z, axis=None, kind="stable")[:pilots]
    near = []
    for place in chosen:
        index, shift = divmod(int(place), tiles.PERIOD)
        weight = float(z[index, shift]) + _agreement(np.roll(found[index].plane, -shift, axis=0), plan)
        near.append(Place(found[index], shift, weight))
    return sorted(near, key=lambda one: -one.weight)[:best]


def _pilot_deviations(found: list[Fold], plan: pattern.Pattern) -> Floats:
    """Correlate the pilots with every fold at every shift, in deviations: (folds, PERIOD)."""
    signs = np.conj(np.fft.rfft(plan.signs * plan.pilots, axis=0))
    mask = np.conj(np.fft.rfft(plan.pilots.astype(np.float32), axis=0))
    z = np.empty((len(found), tiles.PERIOD), np.float32)
    for index, fold in enumerate(found):
        power = np.maximum(_circular(fold.plane * fold.plane, mask), 0)
        z[index] = _circular(fold.plane, signs) / np.sqrt(power + 1e-9)
    return z


def _circular(plane: Floats, spectrum: npt.NDArray[np.complex128]) -> Floats:
    """Correlate along time at every shift and add up the bands."""
    product = np.einsum("tb,tb->t", np.fft.rfft(plane, axis=0), spectrum)
    return np.asarray(np.fft.irfft(product, tiles.PERIOD), np.float32)


def _agreement(plane: Floats, plan: pattern.Pattern) -> float:
    """Say how far the cells of each code bit agree with each other, in deviations from chance."""
    groups = plan.groups.ravel()
    sums = np.bincount(groups, (plane * plan.signs).ravel(), pattern.GROUPS)[: pattern.FIRST_PILOT]
    power = np.bincount(groups, np.square(plane).ravel(), pattern.GROUPS)[: pattern.FIRST_PILOT]
    return float((sums * sums - power).sum() / np.sqrt(2 * np.square(power).sum() + 1e-18))
