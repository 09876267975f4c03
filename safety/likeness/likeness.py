"""Find protected people in a clip, and enrol them from pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from core.errors import BadEnrolment, BadMedia, Unavailable
from core.finding import Finding, Model, Screening, Unassessable
from core.media.clip import Clip, Frame, Picture, VideoTrack
from safety.gallery import Enrolment, Template
from safety.likeness import detectors, quality, recogniser, threshold
from safety.likeness.faces import Detector, Face
from safety.likeness.recogniser import Recogniser, Vectors
from safety.likeness.tracks import Sighting, Track, Tracks, View

_RATE = 4
_SHORT = 24
_SEARCHED = 640
_SEARCHED_FINELY = 1280
_FINELY_EVERY = 8
_COMPARED_FROM = 24.0
_ENROL_SIZE = 64.0
_ENROL_SHARPNESS = 0.18
_ENROL_TURN = 0.35
_BYSTANDER = 0.3


def sampled(video: VideoTrack) -> frozenset[int]:
    """Choose the frames to look at: four a second, the first, the last, and all of a very short clip."""
    step = 1 if video.frames <= _SHORT else max(1, int(video.fps / _RATE))
    return frozenset((*range(0, video.frames, step), video.frames - 1))


class Likeness:
    """The face detector and recogniser of one tier, loaded."""

    def __init__(self, detector: Detector, recognise: Recogniser, tier: str) -> None:
        self._detector = detector
        self._recognise = recognise
        self.tier = tier

    @classmethod
    def load(cls, models_dir: Path, tier: str = "embedded", *, threads: int = 2) -> Self:
        """Load the models of a tier, "embedded" or "standard"; raises `ModelMissing` if one is not as made."""
        detector = detectors.load(models_dir, tier, threads=threads)
        return cls(detector, recogniser.load(models_dir, threads=threads), tier)

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that take part in every answer."""
        return (self._detector.model, self._recognise.model)

    def screen(self, clip: Clip, gallery: Sequence[Template]) -> Screening:
        """Look for everybody of the gallery in the frames of a clip, which should be the lossless mezzanine.

        Raises `BadMedia` if the picture ends before it should, `Unavailable` if a template is unusable.
        """
        centroids = np.concatenate([np.zeros((0, 128), np.float32), *map(_centroid, gallery)])
        tracks = self._tracks(clip.path, clip.video) if clip.video else []
        least = _thresholds(gallery, len(tracks))
        findings, unassessable = [], []
        for track in tracks:
            matches = _matches(track, gallery, centroids, least)
            findings += matches
            if not matches:
                unassessable += _doubts(track)
        return Screening(
            detector="likeness",
            tier=self.tier,
            models=self.models,
            findings=tuple(findings),
            unassessable=tuple(unassessable),
            tracks=len(tracks),
            notes=_limits(len(gallery), len(tracks)),
        )

    def enrol(self, pictures: Sequence[Path]) -> Enrolment:
        """Make vectors of pictures that each show one person well, (n, 128).

        Raises `BadEnrolment`, with the reason for every picture, when none can be used.
        """
        from core.media import read

        vectors: list[Vectors] = []
        accepted: list[str] = []
        refused: list[tuple[str, str]] = []
        for path in pictures:
            try:
                vectors.append(self._enrolled(read.picture(path)))
                accepted.append(path.name)
            except (BadEnrolment, BadMedia) as error:
                refused.append((path.name, error.message))
        if not accepted:
            reasons = "; ".join(f"{name}: {why}" for name, why in refused)
            raise BadEnrolment(f"None of the pictures can be enrolled. {reasons}".strip())
        return Enrolment(np.concatenate(vectors), tuple(accepted), tuple(refused), self.models)

    def _tracks(self, path: Path, video: VideoTrack) -> list[Track]:
        from core.media import read

        wanted = sampled(video)
        tracks = Tracks(_sight, self._embed)
        seen = 0
        for frame in read.frames(path, want=wanted.__contains__):
            tracks.see(frame, self._find(frame, seen), lasts=float(1 / video.fps))
            seen += 1
        if seen < len(wanted):
            raise BadMedia(f"The picture ends early: {seen} of {len(wanted)} frames could be screened.")
        return tracks.finish()

    def _find(self, frame: Frame, number: int) -> list[Face]:
        fine = number % _FINELY_EVERY == 0
        return self._detector.find(frame.rgb, long_side=_SEARCHED_FINELY if fine else _SEARCHED)

    def _embed(self, picture: Picture, face: Face) -> Vectors:
        return self._recognise.embed(picture, [recogniser.refined(picture, face, self._detector)])

    def _enrolled(self, picture: Picture) -> Vectors:
        faces = self._detector.find(picture, long_side=_SEARCHED)
        if not faces:
            raise BadEnrolment("no face was found")
        face = max(faces, key=lambda found: found.size)
        if sum(other.size > _BYSTANDER * face.size for other in faces) > 1:
            raise BadEnrolment("more than one person is in the picture")
        seen = quality.measured(face, recogniser.chip(picture, face))
        if seen.size < _ENROL_SIZE:
            raise BadEnrolment(f"the face is {seen.size:.0f} px wide, less than {_ENROL_SIZE:.0f}")
        if seen.sharpness < _ENROL_SHARPNESS:
            raise BadEnrolment("the face is too blurred")
        if seen.turn > _ENROL_TURN:
            raise BadEnrolment("the face is turned away")
        return self._embed(picture, face)


def _centroid(template: Template) -> Vectors:
    vectors = template.vectors
    if vectors.ndim != 2 or vectors.shape[1] != 128 or not len(vectors) or not np.isfinite(vectors).all():
        raise Unavailable(f"The face template of {template.identity} cannot be used.")
    return recogniser.unit(recogniser.unit(vectors).mean(0, keepdims=True))


def _sight(frame: Frame, face: Face) -> Sighting:
    chip = recogniser.chip(frame.rgb, face)
    return Sighting(frame, face, quality.measured(face, chip), quality.look(chip))


def _thresholds(gallery: Sequence[Template], tracks: int) -> list[float]:
    by_count = {
        count: threshold.threshold(people=len(gallery), tracks=tracks, references=count)
        for count in {len(template.vectors) for template in gallery}
    }
    return [by_count[len(template.vectors)] for template in gallery]


def _matches(
    track: Track, gallery: Sequence[Template], centroids: Vectors, least: Sequence[float]
) -> list[Finding]:
    """Make a finding of every person whom the best of the track's views is alike enough to."""
    views = [view for view in track.views if view.quality.size >= _COMPARED_FROM]
    if not views:
        return []
    scores = np.concatenate([view.vector for view in views]) @ centroids.T
    return [
        _finding(views, scores[:, person], gallery[person].identity, least[person])
        for person in np.flatnonzero(scores.max(0) >= np.array(least)).tolist()
    ]


def _finding(views: Sequence[View], scores: Vectors, identity: str, least: float) -> Finding:
    """Report a person from the first to the last view that matches, with the best one as evidence."""
    matching = [view for view, score in zip(views, scores, strict=True) if score >= least]
    best = views[int(scores.argmax())]
    return Finding(
        kind="likeness",
        identity=identity,
        score=float(scores.max()),
        threshold=least,
        start=matching[0].start,
        end=matching[-1].end,
        track="video",
        box=best.box,
        frame=best.frame,
        quality=best.quality.grade,
    )


def _doubts(track: Track) -> list[Unassessable]:
    """Say why a track that matched nobody cannot be called nobody's, if even its best view is too poor."""
    best = max(track.views, key=lambda view: view.quality.grade)
    if best.quality.lacking is None:
        return []
    return [
        Unassessable(
            kind="likeness", why=best.quality.lacking, start=track.start, end=track.end, box=best.box
        )
    ]


def _limits(people: int, tracks: int) -> tuple[str, ...]:
    expected = people * tracks * threshold.LEAST
    if expected <= threshold.CLIP_RATE:
        return ()
    return (f"{people} people x {tracks} faces: expect about {expected:.2f} false alarms in this clip",)
