"""Blind detection: find where the pattern lies, read the message, and say how likely it is to be chance.

Why a payload does not come out of unmarked sound. Fix any sound made without the secret, and one alignment. The
signs of the key's cells are fair tosses, so the correlation of one given code word with the sound's plane exceeds z
deviations with probability at most exp(-z * z / 2) (Hoeffding, 1963). There are 2**64 code words that pass the CRC
and A alignments: whatever the decoder does, it finds none of z deviations or more with probability at least
1 - A * 2**64 * exp(-z * z / 2). That bound is a reading's `chance`; A counts every alignment in which the sound was
looked at, of all keys, views and bends, whether or not it was decoded.

Why a marked sound does not give another payload: the CRC-24, on at most a few alignments that agree with the key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from provenance.marks import Segment
from provenance.marks.audio import code, pattern, tiles
from provenance.marks.audio.folds import Bend, Fold, Place, features, folds, places
from provenance.marks.audio.tiles import Doubles

FRAMES_PER_SECOND = tiles.RATE / tiles.HOP
ALIGNMENTS = tiles.FRAMES * tiles.PERIOD
"""Looked at by `read`, for each view and key."""
_SEGMENT_Z = 3.0
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


def plain(summed: Doubles) -> list[Fold]:
    """Fold a sound that was cropped but not bent, from its `tiles.integral`."""
    return [*folds(summed, [Bend()], tiles.FRAMES)]


def read(found: list[Fold], plan: pattern.Pattern) -> Reading | None:
    """Read one key's message from the likeliest alignments of these folds."""
    return first_readable(places(found, plan, pilots=_LOOKED_AT, best=_DECODED), plan)


def first_readable(likely: Sequence[Place], plan: pattern.Pattern) -> Reading | None:
    """Decode alignments that are worth it in their order and give the first message that passes."""
    worth = (place for place in likely if place.weight >= _LEAST_WEIGHT)
    return next((reading for place in worth if (reading := _decoded(place, plan))), None)


def chance(z: float, alignments: int) -> float:
    """Bound the probability that unmarked sound gives any payload at `z` in so many alignments."""
    exponent = math.log(alignments) + code.PAYLOAD_BITS * math.log(2) - max(z, 0.0) ** 2 / 2
    return math.exp(min(exponent, 0.0))


def segments(summed: Doubles, plan: pattern.Pattern, reading: Reading, seconds: float) -> tuple[Segment, ...]:
    """Say for every second whether the mark is there, judged on that second and half of each neighbour."""
    feature = features(summed, reading.bend, reading.offset)
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


def _decoded(place: Place, plan: pattern.Pattern) -> Reading | None:
    """Decode at one alignment; None when no word of the list passes its CRC."""
    plane = place.plane
    sums = np.bincount(plan.groups.ravel(), (plane * plan.signs).ravel(), pattern.GROUPS)
    payload = code.decode(sums[: pattern.FIRST_PILOT].astype(np.float32))
    if payload is None:
        return None
    z = float((plane * plan.target(payload)).sum() / math.sqrt(np.square(plane).sum() + 1e-9))
    return Reading(payload, place.fold.bend, place.fold.offset, place.shift, z)
