"""Blind detection: find where the pattern lies, read the message, and say how likely it is to be chance.

Why a payload does not come out of unmarked sound. Fix any sound made without the secret, and one alignment. The
signs of the key's cells are fair tosses, so the correlation of one given code word with the sound's plane exceeds z
deviations with probability at most exp(-z * z / 2) (Hoeffding, 1963). There are 2**64 code words that pass the CRC
and A alignments: whatever the decoder does, it finds none of z deviations or more with probability at least
1 - A * 2**64 * exp(-z * z / 2). That bound is a reading's `chance`; A counts every alignment in which the sound was
looked at, of all keys, views and bends, whether or not it was decoded.

Where something else names the payload, such as the mark of the picture, only that code word is held against the
sound, and there is one where there were 2**64: two seconds of it then show what a blind reading cannot.

Why a marked sound does not give another payload: the CRC-24, on at most a few alignments that agree with the key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from provenance.marks import Segment
from provenance.marks.audio import code, pattern, tiles, where
from provenance.marks.audio.folds import Bend, Fold, Place, deviations, features, folds, parts, places
from provenance.marks.audio.tiles import Doubles, Weights

FRAMES_PER_SECOND = tiles.RATE / tiles.HOP
PARTS = tiles.PERIOD, tiles.PERIOD // 2
"""Tiles of the parts that are looked at by themselves: 5 and 2.5 s."""
ALIGNMENTS = tiles.FRAMES * tiles.PERIOD
"""Looked at by `read`, for each view and key."""
_LOOKED_AT = 24
_DECODED = 4
_LEAST_WEIGHT = (
    6.0  # of an alignment that is decoded: chance seldom reaches it, what can be decoded nearly always
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A message that passed its check, where it lay, and the deviations of its code word and pilots together."""

    payload: int
    bend: Bend
    offset: float
    shift: int
    z: float
    weights: Weights = Weights.PLAIN


def plain(summed: Doubles, weights: Weights = Weights.PLAIN) -> list[Fold]:
    """Fold a sound that was cropped but not bent, from its `tiles.integral`."""
    return [*folds(summed, [Bend()], tiles.FRAMES, weights)]


def by_parts(summed: Doubles) -> list[Fold]:
    """Fold the parts of a sound, of 5 and of 2.5 s, each by itself, to be read where the rest is another sound."""
    return [*parts(summed, PARTS)]


def read(found: list[Fold], plan: pattern.Pattern) -> Reading | None:
    """Read one key's message from the likeliest alignments of these folds."""
    return first_readable(places(found, plan, pilots=_LOOKED_AT, best=_DECODED), plan)


def expected(found: list[Fold], plan: pattern.Pattern, payload: int) -> Reading:
    """Give the alignment at which these folds agree most with one payload that something else names."""
    z = deviations(found, plan.target(payload))
    index, shift = divmod(int(z.argmax()), tiles.PERIOD)
    fold = found[index]
    return Reading(payload, fold.bend, fold.offset, shift, float(z.max()), fold.weights)


def first_readable(likely: Sequence[Place], plan: pattern.Pattern) -> Reading | None:
    """Decode alignments that are worth it in their order and give the first message that passes."""
    worth = (place for place in likely if place.weight >= _LEAST_WEIGHT)
    return next((reading for place in worth if (reading := _decoded(place, plan))), None)


def chance(z: float, alignments: int, payloads: int = 1 << code.PAYLOAD_BITS) -> float:
    """Bound the probability that unmarked sound gives any of so many payloads at `z` in so many alignments."""
    exponent = math.log(alignments) + math.log(payloads) - max(z, 0.0) ** 2 / 2
    return math.exp(min(exponent, 0.0))


def segments(summed: Doubles, plan: pattern.Pattern, reading: Reading, seconds: float) -> tuple[Segment, ...]:
    """Say span by span where the mark is, each judged on what it holds itself: see `where`."""
    feature = features(summed, reading.bend, reading.offset, reading.weights)
    wanted = np.resize(np.roll(plan.target(reading.payload), reading.shift, axis=0), feature.shape)
    agreement = (feature * wanted).sum(axis=1, dtype=np.float64)
    power = np.square(feature).sum(axis=1, dtype=np.float64)
    step = tiles.FRAMES * reading.bend.stretch
    frames = np.arange(len(feature), dtype=np.float64) * step + reading.offset - tiles.LEAD
    found = where.findings(agreement, power, FRAMES_PER_SECOND / step)
    return where.segments(found, frames / FRAMES_PER_SECOND, seconds)


def _decoded(place: Place, plan: pattern.Pattern) -> Reading | None:
    """Decode at one alignment; None when no word of the list passes its CRC."""
    plane = place.plane
    sums = np.bincount(plan.groups.ravel(), (plane * plan.signs).ravel(), pattern.GROUPS)
    payload = code.decode(sums[: pattern.FIRST_PILOT].astype(np.float32))
    if payload is None:
        return None
    z = float((plane * plan.target(payload)).sum() / math.sqrt(np.square(plane).sum() + 1e-9))
    return Reading(payload, place.fold.bend, place.fold.offset, place.shift, z, place.fold.weights)
