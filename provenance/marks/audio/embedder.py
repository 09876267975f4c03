"""Informed embedding: turn tiles up and down through the detector's own eyes until every code bit has its margin.

The detector is nearly linear in the levels of the tiles, so its gradient is known in closed form: the slope of
each tile's feature, filtered once more by the (self-adjoint) removal of surroundings, and traced back through
the noise or room that is imagined. A few steps of Adam
(Kingma and Ba, 2015) on that gradient suffice; no automatic differentiation is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provenance.marks.audio import masking, pattern, response, tiles
from provenance.marks.audio.folds import folded
from provenance.marks.audio.hearing import IMAGINED
from provenance.marks.audio.tiles import Floats, Spectra

_STEPS, _MORE_STEPS = 10, 4
_RATE = 0.35  # of the tile's bound per step
_FADING = 0.6, 0.8  # Adam's two memories, short because the steps are few
_MARGIN = 2.2  # deviations of a coded bit, per period
_PILOT_MARGIN = 2.6
_THRIFT = 0.02
_NOTHING = np.float32(1e-9)


@dataclass(frozen=True, slots=True)
class _Goal:
    """The sign wanted of every tile and the group it counts for; groups are counted per period."""

    signs: Floats
    groups: npt.NDArray[np.int64]
    count: int

    def margins(self, feature: Floats) -> tuple[Floats, Floats]:
        """Give each group's margin in deviations of its period, and the deviations per unit of feature."""
        power = np.bincount(self.groups, np.square(feature).ravel(), self.count)
        per_period = power.reshape(-1, pattern.GROUPS).mean(axis=1)
        scale = np.repeat(1 / np.sqrt(per_period + 1e-9), pattern.GROUPS)
        sums = np.bincount(self.groups, (feature * self.signs).ravel(), self.count)
        return (sums * scale).astype(np.float32), scale.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Canvas:
    """What is to be marked: each view, its spectra and the energies of its tiles `response.by_frame`.

    `bound` is how far gains may go in dB, (tiles, BANDS); `share` is what each tile has of the energy of all that
    sounds meanwhile, `sway`, (tiles, 1), how far all of it together may go in dB, and `freer` the same where there
    would be too little of a mark.
    """

    views: tuple[Floats, ...]
    frames: tuple[Spectra, ...]
    energies: tuple[Floats, ...]
    bound: Floats
    share: Floats
    sway: Floats
    freer: Floats


def canvas(views: list[Floats]) -> Canvas:
    """Look at views (n,) at RATE of one sound."""
    frames = tuple(tiles.spectra(view) for view in views)
    energies = tuple(response.by_frame(own) for own in frames)
    bounds = [
        masking.bounds(view, energy.sum(axis=1, dtype=np.float64))
        for view, energy in zip(views, energies, strict=True)
    ]
    wholes = [response.whole(own) for own in frames]
    share = [energy.sum(axis=1) / whole for energy, whole in zip(energies, wholes, strict=True)]
    levels = [10 * np.log10(whole[:, 0]) for whole in wholes]
    return Canvas(
        tuple(views),
        frames,
        energies,
        bound=np.mean(bounds, axis=0),
        share=np.mean(share, axis=0, dtype=np.float32),
        sway=np.mean([masking.sways(level) for level in levels], axis=0),
        freer=np.mean([masking.freer(level) for level in levels], axis=0),
    )


def gains(
    seen: Canvas,
    plan: pattern.Pattern,
    payload: int,
    strength: float = 1.0,
    *,
    free: bool = False,
    start: Floats | None = None,
) -> Floats:
    """Give the gain in dB of every tile, (tiles, BANDS).

    `strength` scales the bounds that masking sets; `free` lets the level of the whole go further than it should;
    `start` are gains that were found with other bounds, from which fewer steps are needed.
    """
    goal = _goal(len(seen.bound), plan, payload)
    bound = strength * seen.bound
    gain = np.zeros_like(goal.signs) if start is None else start
    first, second = np.zeros_like(gain), np.zeros_like(gain)
    for step in range(1, (_STEPS if start is None else _MORE_STEPS) + 1):
        slope = np.mean([_slope(response.marked(energy, gain), goal) for energy in seen.energies], axis=0)
        slope -= _THRIFT * gain / bound**2
        first += (1 - _FADING[0]) * (slope - first)
        second += (1 - _FADING[1]) * (slope**2 - second)
        pace = np.sqrt(second / (1 - _FADING[1] ** step) + 0.1 * np.mean(slope**2) + 1e-20)
        gain += _RATE * bound * first / (1 - _FADING[0] ** step) / pace
        gain = _steady(seen, np.clip(gain, -bound, bound), seen.freer if free else seen.sway)
    return np.asarray(gain, np.float32)


def shown(seen: Canvas, gain: Floats, plan: pattern.Pattern, payload: int) -> float:
    """Give the deviations of the code word in the marked view that shows least of it, by the better of two weightings."""
    return min(
        max(_deviations(energy, plan, payload, weights) for weights in tiles.SHOWN)
        for energy in (_heard(*one, gain) for one in zip(seen.views, seen.frames, strict=True))
    )


def _heard(view: Floats, frames: Spectra, gain: Floats) -> tiles.Doubles:
    """Give the tile energies that the detector will see under these gains."""
    marked = tiles.spectra(view + tiles.waveform(residual(frames, gain), len(view)))
    return np.asarray(response.by_frame(marked).sum(axis=1, dtype=np.float64))


def _deviations(energy: tiles.Doubles, plan: pattern.Pattern, payload: int, weights: tiles.Weights) -> float:
    plane = folded(tiles.features(energy, weights)[0])
    return float((plane * plan.target(payload)).sum() / np.sqrt(np.square(plane).sum() + 1e-9))


def residual(frames: Spectra, gain: Floats) -> Spectra:
    """Give the spectra of what the gains add to a sound."""
    change = (10 ** (gain / 20) - 1).astype(np.float32)
    per_bin = np.repeat(np.repeat(change, tiles.FRAMES, axis=0)[: len(frames)], tiles.WIDTH, axis=1)
    added = np.zeros_like(frames)
    added[:, tiles.LOW : tiles.HIGH] = frames[:, tiles.LOW : tiles.HIGH] * per_bin
    return added


def _steady(seen: Canvas, gain: Floats, limit: Floats) -> Floats:
    """Take out of the gains what moves the level of the whole sound further than it may, from the loud tiles most."""
    level = (gain * seen.share).sum(axis=1, keepdims=True)
    excess = level - np.clip(level, -limit, limit)
    power = np.square(seen.share).sum(axis=1, keepdims=True)
    return np.asarray(gain - excess * seen.share / (power + _NOTHING), np.float32)


def _goal(rows: int, plan: pattern.Pattern, payload: int) -> _Goal:
    """Repeat the pattern over all rows; the last, broken period counts with the one before."""
    repeats = -(-rows // tiles.PERIOD)
    signs = np.tile(plan.target(payload), (repeats, 1))[:rows]
    within = np.tile(plan.groups, (repeats, 1))[:rows].astype(np.int64)
    periods = max(rows // tiles.PERIOD, 1)
    period = np.minimum(np.arange(rows) // tiles.PERIOD, periods - 1)
    groups = within + pattern.GROUPS * period[:, None]
    return _Goal(signs, groups.ravel(), periods * pattern.GROUPS)


def _slope(energy: tiles.Doubles, goal: _Goal) -> Floats:
    """Give the gradient, by the gains, of what the groups still lack in any hearing."""
    total = np.zeros(goal.signs.shape)
    wanted = np.where(np.arange(goal.count) % pattern.GROUPS < pattern.FIRST_PILOT, _MARGIN, _PILOT_MARGIN)
    for hearing in IMAGINED:
        heard = hearing.heard(energy)
        feature, slope = tiles.features(heard)
        margin, scale = goal.margins(feature)
        lack = np.maximum(wanted - margin, 0) * scale
        by_level = tiles.detail(
            (slope * goal.signs * lack[goal.groups].reshape(slope.shape)).astype(np.float32)
        )
        total += hearing.traced(by_level / (heard + 1e-30)) * energy
    return np.asarray(total, np.float32)
