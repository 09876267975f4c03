"""From the views of tracks to findings: who is alike enough, on the best view or on the mean of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.finding import Finding, Unassessable
from safety.gallery import Gallery
from safety.likeness.calibration import Calibration
from safety.likeness.cohort import Cohort
from safety.likeness.recogniser import Vectors, unit
from safety.likeness.search import Near, near, neighbours
from safety.likeness.tracks import Track, View

COMPARED_FROM = 24.0
"""Pixels of face width below which a face is not compared at all: it would match by chance."""
_NEIGHBOURS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """A track with the views of it that were made so far."""

    track: Track
    views: tuple[View, ...]

    @property
    def compared(self) -> list[View]:
        """The views that are large enough to be compared."""
        return [view for view in self.views if view.quality.size >= COMPARED_FROM]


@dataclass(frozen=True, slots=True)
class _Query:
    track: int
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Alike:
    """One comparison: a query of a track against a person; `score` and `threshold` are normalised cosines."""

    track: int
    views: tuple[View, ...]
    vector: Vectors
    identity: str
    score: float
    threshold: float

    @property
    def margin(self) -> float:
        """How far the score stands above the threshold; negative: a near hit."""
        return self.score - self.threshold


def compared(
    followed: Sequence[Followed], gallery: Gallery, calibration: Calibration, cohort: Cohort
) -> list[Alike]:
    """Compare every view, and the mean of each track's views, with everybody: all hits and near hits."""
    queries: list[_Query] = []
    vectors: list[Vectors] = []
    for number, one in enumerate(followed):
        views = one.compared
        for some in (*((view,) for view in views), *([tuple(views)] if len(views) > 1 else [])):
            queries.append(_Query(number, some))
            vectors.append(unit(np.concatenate([view.vector for view in some]).sum(0, keepdims=True)))
    if not queries or not len(gallery):
        return []
    asked = np.concatenate(vectors)
    least = calibration.watch(people=len(gallery), tracks=len(followed))
    found = near(gallery, asked, least, cohort)
    sizes = {"people": len(gallery), "tracks": len(followed)}
    return [_alike(one, queries[one.query], asked, calibration, sizes) for one in found]


def _alike(
    found: Near, query: _Query, asked: Vectors, calibration: Calibration, sizes: dict[str, int]
) -> Alike:
    common = calibration.threshold(**sizes, references=found.references, views=len(query.views))
    threshold = max(common, found.own or common)
    vector = asked[found.query : found.query + 1]
    return Alike(query.track, query.views, vector, found.identity, found.score, threshold)


def near_hits(alike: Sequence[Alike]) -> list[Alike]:
    """Give the best comparison of each track that nearly matched somebody and matched nobody, best first."""
    best: dict[int, Alike] = {}
    for one in alike:
        if one.track not in best or one.margin > best[one.track].margin:
            best[one.track] = one
    return sorted((one for one in best.values() if one.margin < 0), key=lambda one: -one.margin)


def findings(
    followed: Sequence[Followed], alike: Sequence[Alike], gallery: Gallery, cohort: Cohort
) -> list[tuple[int, Finding]]:
    """Report every person whom a track matches: the track's number and the best comparison as evidence."""
    hits: dict[tuple[int, str], list[Alike]] = defaultdict(list)
    for one in alike:
        if one.margin >= 0:
            hits[one.track, one.identity].append(one)
    return [
        (track, _finding(followed[track].track, some, gallery, cohort)) for (track, _), some in hits.items()
    ]


def _finding(track: Track, hits: Sequence[Alike], gallery: Gallery, cohort: Cohort) -> Finding:
    best = max(hits, key=lambda one: one.margin)
    shown = max(best.views, key=lambda view: view.quality.grade)
    others = [
        other
        for other in neighbours(gallery, best.vector, _NEIGHBOURS + 1, cohort)
        if other[0] != best.identity
    ]
    return Finding(
        kind="likeness",
        identity=best.identity,
        score=best.score,
        threshold=best.threshold,
        start=track.start,
        end=track.end,
        track="video",
        box=shown.sighting.box,
        frame=shown.sighting.frame,
        quality=shown.quality.grade,
        view="one frame" if len(best.views) == 1 else f"mean of {len(best.views)} frames",
        neighbours=tuple(others[:_NEIGHBOURS]),
    )


def doubt(one: Followed) -> Unassessable | None:
    """Say why a track that matched nobody cannot be called nobody's, if even its best view is too poor."""
    best = max(one.views, key=lambda view: (view.lacking is None, view.quality.grade))
    if best.lacking is None:
        return None
    return Unassessable(
        kind="likeness", why=best.lacking, start=one.track.start, end=one.track.end, box=best.sighting.box
    )
