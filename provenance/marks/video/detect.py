"""Read the mark from a stream of frames, in the cheapest alignment that works."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import add

import numpy as np

from core.media.clip import Frame, Grey
from provenance.marks import MarkKey, MarkReading, Segment
from provenance.marks.video import code, evidence, pattern, search, tilt
from provenance.marks.video.align import TURNS, Alignment
from provenance.marks.video.gather import Gathered, gather
from provenance.marks.video.pattern import Plane

LIMIT = 1e-9
"""No reading is given whose `p_false` is above this."""
_GATE = 1.5
"""Pilots that agree less than this, in standard deviations, are not worth decoding."""
_GATE_FOUND = 5.0
"""The same where the best of all shifts was taken; on unmarked content that is seldom more than 4.9."""
_GATE_CROP = 4.5
"""The same where only the start was free."""
_GATE_PULLED = 6.0
"""The same where every part of the picture was pulled to where its pilots agree best."""
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
    views = () if gathered is None else gathered.views()
    if gathered is None or not any(view.any() for view in views):
        return _NOTHING
    found = next(_readings(gathered, views, keys, thorough), None)
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


def falsely_read(frames: Iterable[Frame | Grey], keys: Iterable[MarkKey]) -> int:
    """Count the keys under which content is read as it lies, decoding it once: what an audit of errors asks."""
    gathered = gather(frames)
    if gathered is None:
        return 0
    ways = {grid: Alignment(grid) for grid in pattern.GRIDS}
    tables = {
        grid: [
            way.transform(*way.straighten(view, gathered.wide, gathered.high)) for view in gathered.views()
        ]
        for grid, way in ways.items()
    }
    count = 0
    for key, grid in product(keys, pattern.GRIDS):
        held = pattern.layout(key, grid)
        soft = reduce(add, (evidence.soften(pattern.pick(table, held.bins), held) for table in tables[grid]))
        count += next(_decoded(soft, ways[grid], key, len(pattern.GRIDS)), None) is not None
    return count


_NOTHING = MarkReading(track="video", found=False, payload=None, p_false=1.0)


def _readings(
    gathered: Gathered, views: Sequence[Plane], keys: Sequence[MarkKey], thorough: bool
) -> Iterator[_Found]:
    if not keys:
        return
    tries = len(keys) * len(pattern.GRIDS)
    if thorough:
        searched = search.BENDS * search.STARTS + search.CROPS + tilt.STARTS + tilt.PULLED
        tries = len(keys) * (len(pattern.GRIDS) * len(TURNS) + searched)
    for (quarters, flip), grid, key in product(TURNS if thorough else TURNS[:1], pattern.GRIDS, keys):
        yield from _read(gathered, views, Alignment(grid=grid, quarters=quarters, flip=flip), key, tries)
    if not thorough:
        return
    for key, alignment in _searched(gathered, keys):
        yield from _read(gathered, views, alignment, key, tries)


def _searched(gathered: Gathered, keys: Sequence[MarkKey]) -> Iterator[tuple[MarkKey, Alignment]]:
    """Yield what a search by the pilots proposes: crops, then tilted pictures, then bends, then bends and a tilt."""
    total = gathered.total()
    crops = search.crops(total, gathered.shorter, keys)
    yield from ((start.key, start.alignment) for start in crops if start.agreement >= _GATE_CROP)
    for agreement, key, alignment in tilt.tilted(total, gathered.wide, gathered.high, keys):
        if agreement >= _GATE_PULLED:
            yield key, alignment
    found = []
    for matrix in search.bends(total):
        starts = search.starts(total, matrix, keys)
        found += starts
        yield from ((start.key, start.alignment) for start in starts if start.agreement >= _GATE_FOUND)
    found.sort(key=lambda start: -start.agreement)
    for start in found[: tilt.PULLED * len(keys)]:
        agreement, alignment = tilt.pulled(total, start.alignment.planar(total), start.key)
        if agreement >= _GATE_PULLED:
            yield start.key, alignment


def _soft(gathered: Gathered, views: Iterable[Plane], alignment: Alignment, key: MarkKey) -> evidence.Soft:
    """Read a layout in every view, each with its own signal and noise, and add up what they say."""
    held = pattern.layout(key, alignment.grid)
    measured = (alignment.measure(view, gathered.wide, gathered.high, held) for view in views)
    return reduce(add, (evidence.soften(one, held) for one in measured))


def _read(
    gathered: Gathered, views: Sequence[Plane], alignment: Alignment, key: MarkKey, tries: int
) -> Iterator[_Found]:
    """Decode one alignment; yields at most one reading."""
    yield from _decoded(_soft(gathered, views, alignment, key), alignment, key, tries)


def _decoded(soft: evidence.Soft, alignment: Alignment, key: MarkKey, tries: int) -> Iterator[_Found]:
    if evidence.agreement(soft.pilots) < _GATE:
        return
    payload = code.decode(soft.data)
    if payload is None:
        return
    given = alignment.matrix is None and alignment.plane is None
    chance = min(1.0, tries * evidence.p_false(soft, payload, given=given))
    if chance <= LIMIT:
        yield _Found(payload, chance, key, alignment)


def _segments(gathered: Gathered, found: _Found) -> Iterator[Segment]:
    """Say slot by slot whether the payload that was found is there; neighbours that agree are joined."""
    word = code.encode(found.payload).astype(np.float64)
    joined: Segment | None = None
    for slot in gathered.slots:
        soft = _soft(gathered, slot.views(), found.alignment, found.key)
        here = evidence.chance(soft.data, word) < _SEGMENT_CHANCE
        if joined is not None and joined.found != here:
            yield joined
            joined = None
        joined = Segment(slot.start if joined is None else joined.start, slot.end, bool(here))
    if joined is not None:
        yield joined
