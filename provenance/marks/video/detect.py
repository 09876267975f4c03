"""Read the mark from a stream of frames, in the cheapest alignment that works."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from core.media.clip import Frame, Grey
from provenance.marks import MarkKey, MarkReading, Segment
from provenance.marks.video import code, evidence, pattern, search
from provenance.marks.video.align import TURNS, Alignment
from provenance.marks.video.gather import Gathered, gather
from provenance.marks.video.pattern import Plane

LIMIT = 1e-9
"""No reading is given whose `p_false` is above this."""
_SEGMENT_CHANCE = np.log(1e-5)


@dataclass(frozen=True, slots=True)
class _Found:
    payload: int
    p_false: float
    key: MarkKey
    alignment: Alignment


def detect(frames: Iterable[Frame | Grey], keys: Sequence[MarkKey], *, thorough: bool = True) -> MarkReading:
    """Look for a payload under any of the keys.

    Reads the frames once and holds at most 32 small pictures. The picture as it is comes first; only when that
    says nothing, and `thorough`, it is also turned over and searched for scaling, cropping, stretching and
    small rotations. `p_false` is the bound of `evidence`, times all keys and alignments there are to try,
    whether or not an earlier one already spoke.
    """
    gathered = gather(frames)
    if gathered is None or not gathered.total.any():
        return _NOTHING
    found = next(_readings(gathered, keys, thorough), None)
    if found is None:
        return _NOTHING
    return MarkReading(
        track="video",
        found=True,
        payload=found.payload,
        p_false=found.p_false,
        key_id=found.key.id,
        segments=tuple(_segments(gathered, found)),
        geometry=found.alignment.geometry(),
    )


_NOTHING = MarkReading(track="video", found=False, payload=None, p_false=1.0)


def _readings(gathered: Gathered, keys: Sequence[MarkKey], thorough: bool) -> Iterator[_Found]:
    if not keys:
        return
    tries = len(keys) * len(pattern.GRIDS)
    if thorough:
        tries = len(keys) * (len(pattern.GRIDS) * len(TURNS) + search.BENDS * search.STARTS)
    total = gathered.total
    for (quarters, flip), grid, key in product(TURNS if thorough else TURNS[:1], pattern.GRIDS, keys):
        yield from _read(gathered, total, Alignment(grid=grid, quarters=quarters, flip=flip), key, tries)
    if not thorough:
        return
    for matrix in search.bends(search.spectrum(total)):
        for start in search.starts(total, matrix, keys):
            yield from _read(gathered, total, start.alignment, start.key, tries)


def _soft(gathered: Gathered, picture: Plane, alignment: Alignment, key: MarkKey) -> evidence.Soft:
    held = pattern.layout(key, alignment.grid)
    return evidence.soften(alignment.measure(picture, gathered.wide, gathered.high, held), held)


def _read(
    gathered: Gathered, total: Plane, alignment: Alignment, key: MarkKey, tries: int
) -> Iterator[_Found]:
    """Decode one alignment; yields at most one reading."""
    soft = _soft(gathered, total, alignment, key)
    payload = code.decode(soft.data)
    if payload is None:
        return
    # A bend was chosen by looking at the pilots, so they are no evidence for it.
    chance = min(1.0, tries * evidence.p_false(soft, payload, pilots=alignment.matrix is None))
    if chance <= LIMIT:
        yield _Found(payload, chance, key, alignment)


def _segments(gathered: Gathered, found: _Found) -> Iterator[Segment]:
    """Say slot by slot whether the payload that was found is there; neighbours that agree are joined."""
    word = pattern.symbols(found.payload)
    joined: Segment | None = None
    for slot in gathered.slots:
        soft = _soft(gathered, slot.total, found.alignment, found.key)
        here = evidence.chance(np.concatenate([soft.data, soft.pilots]), word) < _SEGMENT_CHANCE
        if joined is not None and joined.found != here:
            yield joined
            joined = None
        joined = Segment(slot.start if joined is None else joined.start, slot.end, bool(here))
    if joined is not None:
        yield joined
