"""Find protected people in a clip, and enrol them from pictures."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np

from core.errors import BadEnrolment, BadMedia, Unavailable
from core.finding import Finding, Model, Screening, Unassessable
from core.media.clip import Clip, VideoTrack
from safety.gallery import Enrolment, Gallery, Template, gathered
from safety.likeness import decide, tiers
from safety.likeness.calibration import CLIP_RATE, Calibration
from safety.likeness.decide import Followed
from safety.likeness.enrol import enrolled
from safety.likeness.eye import Eye
from safety.likeness.recogniser import Vectors
from safety.likeness.sampling import around, changes, packet_sizes, sampled
from safety.likeness.tracks import BEST, Sighting, Track, Tracks

_MANY, _CROWD, _MOST_TRACKS = 24, 80, 400


class Likeness:
    """The face detector and recogniser of one tier, loaded."""

    def __init__(self, tools: tiers.Tools) -> None:
        self._tools = tools
        self._eye = Eye(tools.detector, tools.recogniser)
        self.tier = tools.tier

    @classmethod
    def load(cls, models_dir: Path, tier: str = "embedded", *, threads: int = 2) -> Self:
        """Load the models of a tier, "embedded", "standard" or "own"; `ModelMissing` if one is not as it should be."""
        return cls(tiers.load(models_dir, tier, threads=threads))

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that take part in every answer."""
        return (self._tools.detector.model, self._tools.recogniser.model)

    @property
    def calibration(self) -> Calibration:
        """How alike is alike enough with these models."""
        return self._tools.calibration

    def screen(self, clip: Clip, gallery: Sequence[Template]) -> Screening:
        """Look for everybody of the gallery in the frames of a clip, which should be the lossless mezzanine.

        Raises `BadMedia` if the picture ends before it should, `Unavailable` if a template is unusable.
        """
        people = gathered(gallery)
        self._check(people)
        tracks = self._tracks(clip) if clip.video else []
        compared, left = tracks[:_MOST_TRACKS], tracks[_MOST_TRACKS:]
        followed = self._followed(compared)
        found, followed = self._found(clip, followed, people)
        named = {number for number, _ in found}
        doubts = [decide.doubt(one) for number, one in enumerate(followed) if number not in named]
        return Screening(
            detector="likeness",
            tier=self.tier,
            models=self.models,
            findings=tuple(finding for _, finding in found),
            unassessable=(*(doubt for doubt in doubts if doubt), *map(_uncompared, left)),
            tracks=len(tracks),
            notes=self._notes(len(people), len(tracks)),
        )

    def enrol(self, pictures: Sequence[Path]) -> Enrolment:
        """Make vectors of pictures that each show one person well, (n, d).

        Raises `BadEnrolment`, with the reason for every picture, when none can be used.
        """
        vectors: list[Vectors] = []
        accepted: list[str] = []
        refused: list[tuple[str, str]] = []
        for path in pictures:
            try:
                vectors.append(enrolled(path, self._eye))
                accepted.append(path.name)
            except (BadEnrolment, BadMedia) as error:
                refused.append((path.name, error.message))
        if not accepted:
            reasons = "; ".join(f"{name}: {why}" for name, why in refused)
            raise BadEnrolment(f"None of the pictures can be enrolled. {reasons}".strip())
        return Enrolment(np.concatenate(vectors), tuple(accepted), tuple(refused), self.models)

    def _check(self, people: Gallery) -> None:
        width = self._tools.recogniser.width
        for segment in people.segments:
            if segment.vectors.shape[1] != width:
                raise Unavailable(f"The face template of {segment.identities[0]} cannot be used.")

    def _tracks(self, clip: Clip) -> list[Track]:
        from core.media import read

        video = _video(clip)
        wanted = sampled(video) | changes(packet_sizes(clip.path), video.seconds)
        wanted = frozenset(index for index in wanted if index < video.frames)
        times = sorted(wanted)
        lasts = dict(zip(times, _lasting(times, video.frames, video.fps), strict=True))
        tracks, seen, finely = Tracks(self._eye.sight, self._eye.look_again), 0, None
        for frame in read.frames(clip.path, want=wanted.__contains__):
            faces, fine = self._eye.find(frame.rgb, seen, frame.time, finely)
            finely = frame.time if fine else finely
            tracks.see(frame, faces, lasts=lasts[frame.index])
            seen += 1
        if seen < len(wanted):
            raise BadMedia(f"The picture ends early: {seen} of {len(wanted)} frames could be screened.")
        return tracks.finish()

    def _followed(self, tracks: Sequence[Track]) -> list[Followed]:
        """Make the views of tracks: fewer of each the more there are, so that a crowd costs no more than it must."""
        each = BEST if len(tracks) <= _MANY else 2 if len(tracks) <= _CROWD else 1
        return [Followed(track, tuple(map(self._eye.view, track.chosen(each)))) for track in tracks]

    def _found(
        self, clip: Clip, followed: list[Followed], people: Gallery
    ) -> tuple[list[tuple[int, Finding]], list[Followed]]:
        alike = decide.compared(followed, people, self._tools.calibration, self._tools.cohort)
        nearly = decide.near_hits(alike)
        if nearly:
            followed = self._closer(clip, followed, nearly)
            alike = decide.compared(followed, people, self._tools.calibration, self._tools.cohort)
        return decide.findings(followed, alike, people, self._tools.cohort), followed

    def _closer(self, clip: Clip, followed: list[Followed], nearly: Sequence[decide.Alike]) -> list[Followed]:
        """Look at every frame within half a second of the near hits, and add the best of what is seen there."""
        from core.media import read

        video = _video(clip)
        tracks = {one.track: followed[one.track].track for one in nearly}
        wanted = around((one.views[0].sighting.time for one in nearly), video)
        more: dict[int, list[Sighting]] = {number: [] for number in tracks}
        for frame in read.frames(clip.path, want=wanted.__contains__):
            for number, seen in self._eye.seen_again(frame, tracks):
                more[number].append(seen)
        closer = list(followed)
        for number, some in more.items():
            best = sorted(some, key=lambda one: -one.quality.grade)[:BEST]
            closer[number] = Followed(tracks[number], (*followed[number].views, *map(self._eye.view, best)))
        return closer

    def _notes(self, people: int, tracks: int) -> tuple[str, ...]:
        calibration = self._tools.calibration
        expected = calibration.expected_alarms(people=people, tracks=tracks)
        notes = []
        if expected > 1.001 * CLIP_RATE:
            notes.append(
                f"{people} people x {tracks} faces: expect about {expected:.2f} false alarms in this clip"
            )
        if calibration.provisional:
            notes.append(f"the thresholds of the {self.tier} tier are provisional: {calibration.measured}")
        return tuple(notes)


def _video(clip: Clip) -> VideoTrack:
    assert clip.video is not None
    return clip.video


def _lasting(indices: Sequence[int], frames: int, fps: Fraction) -> list[float]:
    """Say how long each sampled frame stands for, in seconds: until the next, and at most a frame at the end."""
    following = [*indices[1:], frames]
    return [float((after - index) / fps) for index, after in zip(indices, following, strict=True)]


def _uncompared(track: Track) -> Unassessable:
    (first, *_) = track.chosen(1)
    return Unassessable(
        kind="likeness",
        why=f"there are more than {_MOST_TRACKS} faces in this clip",
        start=track.start,
        end=track.end,
        box=first.box,
    )
