"""Sound as the detector holds it against a key: all periods added up, under one bend and one offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft

from provenance.marks.audio import pattern, tiles
from provenance.marks.audio.tiles import Doubles, Floats, Spectra, Weights


@dataclass(frozen=True, slots=True)
class Bend:
    """How a sound was scaled: `stretch` > 1 lasts longer, `pitch` > 1 sounds higher."""

    stretch: float = 1.0
    pitch: float = 1.0


@dataclass(frozen=True, slots=True)
class Fold:
    """All periods of a sound added up, read with one bend and from one offset in frames.

    `plane` is (PERIOD, BANDS); `heard` and `power` are the spectra over time of it and of its square, kept
    because every key needs them. `weights` says how the tiles were weighted: see `tiles.features`.
    """

    bend: Bend
    offset: float
    weights: Weights
    plane: Floats
    heard: Spectra
    power: Spectra


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


def folds(
    summed: Doubles, bends: Iterable[Bend], offsets: int, weights: Weights = Weights.PLAIN
) -> Iterator[Fold]:
    """Fold a sound, as its `tiles.integral`, under every bend and at `offsets` places within a tile."""
    for bend in bends:
        for offset in np.arange(offsets) * bend.stretch * tiles.FRAMES / offsets:
            plane = folded(features(summed, bend, float(offset), weights))
            yield _fold(bend, float(offset), plane, weights)


def parts(summed: Doubles, sizes: Iterable[int]) -> Iterator[Fold]:
    """Fold parts of `sizes` tiles, each half over the next, of a sound that was not bent."""
    for offset in range(tiles.FRAMES):
        feature = features(summed, Bend(), float(offset))
        for size in sizes:
            for start in range(0, max(len(feature) - size // 2, 0), size // 2):
                plane = np.roll(folded(feature[start : start + size]), start, axis=0)
                yield _fold(Bend(), float(offset), plane, Weights.PLAIN)


def features(summed: Doubles, bend: Bend, offset: float, weights: Weights = Weights.PLAIN) -> Floats:
    """Give what the detector sees in every tile, (tiles, BANDS)."""
    return tiles.features(tiles.energies(summed, offset, bend.stretch, bend.pitch), weights)[0]


def _fold(bend: Bend, offset: float, plane: Floats, weights: Weights) -> Fold:
    return Fold(bend, offset, weights, plane, fft.rfft(plane, axis=0), fft.rfft(plane * plane, axis=0))


def folded(feature: Floats) -> Floats:
    """Add up the periods: (tiles, BANDS) to (PERIOD, BANDS)."""
    rows = -(-max(len(feature), 1) // tiles.PERIOD) * tiles.PERIOD
    padded = np.zeros((rows, tiles.BANDS), np.float32)
    padded[: len(feature)] = feature
    return np.asarray(padded.reshape(-1, tiles.PERIOD, tiles.BANDS).sum(axis=0), np.float32)


def places(found: list[Fold], plan: pattern.Pattern, *, pilots: int, best: int) -> list[Place]:
    """Give the `best` alignments of a key in these folds, likeliest first.

    The pilots choose `pilots` of all alignments; the energy of the groups of code bits, whose cells agree where
    the alignment is right whatever the bits are, then orders them together with the pilots. None without folds:
    a short sound has no parts.
    """
    if not found:
        return []
    z = _pilot_deviations(found, plan)
    chosen = np.argsort(-z, axis=None, kind="stable")[:pilots]
    where = [divmod(int(place), tiles.PERIOD) for place in chosen]
    planes = np.stack([np.roll(found[index].plane, -shift, axis=0) for index, shift in where])
    weights = z.ravel()[chosen] + _agreement(planes, plan)
    order = np.argsort(-weights, kind="stable")[:best]
    return [Place(found[where[one][0]], where[one][1], float(weights[one])) for one in order]


def _pilot_deviations(found: list[Fold], plan: pattern.Pattern) -> Floats:
    """Correlate the pilots with every fold at every shift, in deviations: (folds, PERIOD)."""
    return deviations(found, plan.signs * plan.pilots)


def deviations(found: list[Fold], wanted: Floats) -> Floats:
    """Correlate signs, 0 where none is wanted, with every fold at every shift, in deviations: (folds, PERIOD)."""
    sums = _circular([fold.heard for fold in found], wanted)
    power = _circular([fold.power for fold in found], np.abs(wanted))
    return np.asarray(sums / np.sqrt(np.maximum(power, 0) + 1e-9), np.float32)


def _circular(heard: list[Spectra], plane: Floats) -> Floats:
    """Correlate spectra over time with a plane at every shift, and add up the bands: (spectra, PERIOD)."""
    wanted = np.conj(fft.rfft(plane, axis=0))
    return np.asarray(
        fft.irfft([np.einsum("tb,tb->t", one, wanted) for one in heard], tiles.PERIOD), np.float32
    )


def _agreement(planes: Floats, plan: pattern.Pattern) -> Floats:
    """Say how far the cells of each code bit agree with each other, in deviations from chance: (planes,)."""
    cells = (planes * plan.signs).reshape(len(planes), -1)[:, plan.cells]
    sums, power = cells.sum(axis=2), np.square(cells).sum(axis=2)
    surplus = (sums * sums - power).sum(axis=1)
    return np.asarray(surplus / np.sqrt(2 * np.square(power).sum(axis=1) + 1e-18), np.float32)
