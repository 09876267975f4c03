"""Find the mark in sound whose time, or time and pitch together, was scaled.

Both kinds of scaling are lines in the plane of log time and log frequency; along each, steps are as fine as the
excerpt needs to stay in step from end to end. The likeliest bends of an excerpt are then followed through the
whole sound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from provenance.marks.audio import pattern, tiles
from provenance.marks.audio.detector import FRAMES_PER_SECOND, Reading, first_readable
from provenance.marks.audio.folds import Bend, Fold, Place, folds, places
from provenance.marks.audio.tiles import Doubles

SHORTEST, LONGEST = 1 / 1.52, 1 / 0.69
"""Of the original's duration, at the same pitch."""
SPEED = 0.105
"""Played faster or slower by at most this, with its pitch."""
_EXCERPT_FRAMES = int(20 * FRAMES_PER_SECOND)
_STEP = 0.004  # leaves the ends of 20 s a third of a tile out of step
_COARSE_OFFSETS = 3
_BY_PILOTS, _FINALISTS, _FOLLOWED, _DECODED = 256, 6, 2, 3


def coarse(summed: Doubles) -> list[Fold]:
    """Fold the excerpt under every bend."""
    return [*folds(_excerpt(summed), _bends(), _COARSE_OFFSETS)]


def search(summed: Doubles, found: list[Fold], plan: pattern.Pattern) -> Reading | None:
    """Read one key's message from a sound that was bent, from its integral and the `coarse` folds."""
    excerpt = _excerpt(summed)
    likely = _distinct(places(found, plan, pilots=_BY_PILOTS, best=_BY_PILOTS), _FINALISTS)
    nearer = [near for bend in likely for near in _around(bend, _STEP / 2, 1)]
    fine = [*folds(excerpt, nearer, tiles.FRAMES)]
    finalists = _distinct(places(fine, plan, pilots=_BY_PILOTS // 4, best=_BY_PILOTS // 4), _FOLLOWED)
    for bend in finalists:
        if reading := first_readable(_followed(summed, bend, plan), plan):
            return reading
    return None


def alignments(summed: Doubles) -> int:
    """Bound the number of alignments that `search` looks at, for each key."""
    _, reach = _pace(summed)
    followed = _FOLLOWED * (2 * reach + 1) * tiles.FRAMES
    return (len(_bends()) * _COARSE_OFFSETS + _FINALISTS * 3 * tiles.FRAMES + followed) * tiles.PERIOD


def _excerpt(summed: Doubles) -> Doubles:
    """Cut out the part with the most sound in it, by the median of its levels."""
    if len(summed) - 1 <= _EXCERPT_FRAMES:
        return summed
    level = np.log(np.diff(summed[:, -1]) + 1e-9)
    starts = range(0, len(summed) - _EXCERPT_FRAMES, int(5 * FRAMES_PER_SECOND))
    first = max(starts, key=lambda start: float(np.median(level[start : start + _EXCERPT_FRAMES])))
    return np.asarray(summed[first : first + _EXCERPT_FRAMES + 1] - summed[first])


def _bends() -> list[Bend]:
    """List the bends of the coarse search: stretched at the same pitch, then played faster or slower."""
    down, up = math.floor(math.log(SHORTEST) / _STEP), math.ceil(math.log(LONGEST) / _STEP)
    far = math.ceil(SPEED / _STEP)
    stretched = [Bend(math.exp(_STEP * step)) for step in range(down, up + 1)]
    return stretched + [_played(math.exp(_STEP * step)) for step in range(-far, far + 1) if step]


def _played(ratio: float) -> Bend:
    return Bend(ratio, 1 / ratio)


def _around(bend: Bend, step: float, reach: int) -> Iterator[Bend]:
    """Give the bends up to `reach` steps to either side, along the same kind of bending."""
    for place in range(-reach, reach + 1):
        ratio = bend.stretch * math.exp(step * place)
        yield Bend(ratio) if bend.pitch == 1 else _played(ratio)


def _distinct(ordered: list[Place], count: int) -> list[Bend]:
    """Give the bends of the best alignments, each once."""
    return [*dict.fromkeys(place.fold.bend for place in ordered)][:count]


def _pace(summed: Doubles) -> tuple[float, int]:
    """Give the step between bends that keeps the whole sound in step, and how many to try to each side."""
    step = min(tiles.FRAMES / 1.5 / max(len(summed), 1), _STEP / 2)
    return step, math.ceil(_STEP / 4 / step)


def _followed(summed: Doubles, bend: Bend, plan: pattern.Pattern) -> list[Place]:
    """Place a bend of the excerpt in the whole sound, made finer."""
    whole = [*folds(summed, _around(bend, *_pace(summed)), tiles.FRAMES)]
    return places(whole, plan, pilots=_BY_PILOTS // 4, best=_DECODED)
