"""Search a gallery exactly: nobody who is alike enough is missed, whatever its size.

Approximate indexes lost up to 35 % of the matches (measured), the wrong trade for a gate. Here every person is one
row, the centroid of the references, in 8 bits; a block of rows is multiplied with all queries at once. How far a
row's rounding can move a score is bounded by the length of what was rounded away (Cauchy-Schwarz), so whoever could
reach the threshold is scored again from the exact numbers. 10,000 people cost about a millisecond.

What is derived from a segment is kept with it, in the memory of the process that screens, and goes with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import Unavailable
from safety.gallery import Gallery, Segment
from safety.likeness.cohort import Cohort
from safety.likeness.recogniser import Vectors, unit

_BLOCK = 2048
_ROUNDING = 2e-6
"""Scores in float32 are only this exact."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A segment in 8 bits: `codes` (people, d), `step` the value of one, `lost` (people,) what rounding took away
    and `most_lost` the most of it. `references` (people,) counts the vectors of each.
    """

    codes: npt.NDArray[np.int8]
    step: float
    lost: Vectors
    most_lost: float
    references: npt.NDArray[np.int64]
    shift: Vectors


@dataclass(frozen=True, slots=True)
class Near:
    """Query number `query` is as like somebody as `score`, a cosine less what the cohort takes off on both sides.

    `references` pictures made their template.

    `own` is the person's own threshold, where they have one.
    """

    query: int
    identity: str
    score: float
    references: int
    own: float | None


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    queries: Vectors
    shift: Vectors
    least: float
    cohort: Cohort


def near(gallery: Gallery, queries: Vectors, least: float, cohort: Cohort | None = None) -> list[Near]:
    """Find everybody at least as like a query as `least`: all of them, and nobody else.

    `queries` are unit vectors (m, d). Raises `Unavailable` when the gallery holds vectors of another length.
    """
    if not len(queries):
        return []
    known = cohort or Cohort()
    asked = _Asked(queries, known.shift(queries), least, known)
    return [one for segment in gallery.segments for one in _in_segment(segment, asked)]


def neighbours(
    gallery: Gallery, query: Vectors, count: int, cohort: Cohort | None = None
) -> list[tuple[str, float]]:
    """Name the `count` people most like a query, (1, d), best first, with their scores as in `Near`."""
    known = cohort or Cohort()
    best: list[tuple[str, float]] = []
    for segment in gallery.segments:
        rows = _rows(segment, query, known)
        rough = np.concatenate(
            [_scores(rows, start, query)[:, 0] for start in range(0, len(segment), _BLOCK)]
        )
        rough = np.where(segment.alive, rough + rows.lost - rows.shift, -np.inf)
        wide = min(len(rough), 4 * count + 16)
        people = np.argpartition(-rough, wide - 1)[:wide]
        people = people[segment.alive[people]]
        exact = _centroids(segment, people) @ query[0] - rows.shift[people] - known.shift(query)[0]
        best += [(segment.identities[p], float(s)) for p, s in zip(people, exact, strict=True)]
    return sorted(best, key=lambda one: -one[1])[:count]


def _in_segment(segment: Segment, asked: _Asked) -> list[Near]:
    rows = _rows(segment, asked.queries, asked.cohort)
    needed = asked.least + asked.shift
    loosest = needed + float(rows.shift.min(initial=0)) - rows.most_lost - _ROUNDING
    found: list[Near] = []
    for start in range(0, len(segment), _BLOCK):
        rough = _scores(rows, start, asked.queries)
        people, queries = np.nonzero(rough >= loosest)
        there = people + start
        could = rough[people, queries] >= (needed[queries] + rows.shift[there] - rows.lost[there] - _ROUNDING)
        could &= segment.alive[there]
        if could.any():
            found += _exactly(segment, rows, asked, there[could], queries[could])
    return found


def _exactly(
    segment: Segment, rows: Rows, asked: _Asked, people: npt.NDArray[np.int64], queries: npt.NDArray[np.int64]
) -> list[Near]:
    cosines = np.einsum("ij,ij->i", _centroids(segment, people), asked.queries[queries])
    scores = cosines - rows.shift[people] - asked.shift[queries]
    found = []
    for person, query, score in zip(people.tolist(), queries.tolist(), scores.tolist(), strict=True):
        if score >= asked.least:
            own = float(segment.thresholds[person])
            references = int(rows.references[person])
            named = segment.identities[person]
            found.append(Near(query, named, score, references, None if np.isnan(own) else own))
    return found


def _scores(rows: Rows, start: int, queries: Vectors) -> Vectors:
    block = rows.codes[start : start + _BLOCK].astype(np.float32)
    return np.asarray(block @ (queries.T * np.float32(rows.step)), np.float32)


def _rows(segment: Segment, queries: Vectors, cohort: Cohort) -> Rows:
    if segment.vectors.shape[1] != queries.shape[1]:
        raise Unavailable(f"The face template of {segment.identities[0]} cannot be used.")
    rows: Rows = segment.derived("likeness", lambda one: _made(one, cohort))
    return rows


def _made(segment: Segment, cohort: Cohort) -> Rows:
    """Round all centroids; block by block, so that a million people need no second copy in full."""
    count, width = len(segment), segment.vectors.shape[1]
    codes = np.zeros((count, width), np.int8)
    lost, shift = np.zeros(count, np.float32), np.zeros(count, np.float32)
    blocks = [np.arange(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
    largest = max(float(np.abs(_centroids(segment, block)).max()) for block in blocks)
    step = (largest or 1.0) / 127
    for block in blocks:
        exact = _centroids(segment, block)
        rounded = np.rint(exact / step)
        codes[block] = rounded
        lost[block] = np.linalg.norm(exact - rounded * step, axis=1)
        shift[block] = cohort.shift(exact)
    return Rows(codes, step, lost, float(lost.max()), np.diff(segment.offsets), shift)


def _centroids(segment: Segment, people: npt.NDArray[np.int64]) -> Vectors:
    """Average each person's unit vectors to a unit vector again, (len(people), d)."""
    first, last = segment.offsets[people], segment.offsets[people + 1]
    counts = last - first
    if (counts == 1).all():
        return unit(segment.vectors[first])
    rows = np.repeat(first - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(counts.sum())
    sums = np.add.reduceat(unit(segment.vectors[rows]), np.concatenate(([0], np.cumsum(counts)[:-1])), axis=0)
    return unit(np.asarray(sums, np.float32))
