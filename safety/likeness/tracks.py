"""Follow faces through a clip and keep the best view of every stretch of a track as a vector.

A stretch ends after a second, and as soon as the face looks like another one: when somebody takes the
place of somebody else, both are embedded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.media.clip import Frame, Picture
from safety.likeness.faces import Face, overlap
from safety.likeness.quality import Quality
from safety.likeness.recogniser import Vectors

_STRETCH = 1.0
_SAME_LOOK = 0.8
_LOST = 0.8  # seconds; a face may be missed in two samples and still be the same track
_LEAST_OVERLAP = 0.25
_CUT = 32.0  # mean difference of thumbnails, of 255


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The best frame of a stretch from `start` to `end` in seconds; `vector` is (1, 128)."""

    start: float
    end: float
    frame: int
    box: tuple[int, int, int, int]
    quality: Quality
    vector: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A face in a frame that is still held; `look` is what `quality.look` makes of it."""

    frame: Frame
    face: Face
    quality: Quality
    look: npt.NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Track:
    """One face from `start` to `end` in seconds, with a view for each of its stretches.

    `best` is the best sighting since `since`, `last` the latest; `best` becomes a view with the stretch.
    """

    start: float
    end: float
    box: tuple[float, float, float, float]
    views: list[View] = field(default_factory=list)
    best: Sighting | None = None
    last: Sighting | None = None
    since: float = 0.0


Sight = Callable[[Frame, Face], Sighting]
Embed = Callable[[Picture, Face], Vectors]


class Tracks:
    """All tracks of a clip; frames come in order and at most one per open track is held."""

    def __init__(self, sight: Sight, embed: Embed) -> None:
        self._sight, self._embed = sight, embed
        self._open: list[Track] = []
        self._done: list[Track] = []
        self._thumbnail: Picture | None = None

    def see(self, frame: Frame, faces: Sequence[Face], *, lasts: float) -> None:
        """Assign the faces of the next frame, which is shown for `lasts` seconds, to tracks."""
        if self._is_cut(frame):
            self._close(self._open)
        self._close([track for track in self._open if frame.time - track.end > _LOST])
        free = list(self._open)
        for face in faces:
            track = max(free, key=lambda known: overlap(known.box, face.box), default=None)
            if track is None or overlap(track.box, face.box) < _LEAST_OVERLAP:
                track = Track(frame.time, frame.time, face.box, since=frame.time)
                self._open.append(track)
            else:
                free.remove(track)
            self._consider(track, self._sight(frame, face))
            track.box, track.end = face.box, frame.time + lasts

    def finish(self) -> list[Track]:
        """Close what is open and return all tracks, earliest first."""
        self._close(self._open)
        return sorted(self._done, key=lambda track: track.start)

    def _consider(self, track: Track, seen: Sighting) -> None:
        changed = track.last is not None and float(track.last.look @ seen.look) < _SAME_LOOK
        if changed or seen.frame.time - track.since >= _STRETCH:
            self._keep(track)
            track.since = seen.frame.time
        track.last = seen
        if track.best is None or seen.quality.grade > track.best.quality.grade:
            track.best = seen

    def _keep(self, track: Track) -> None:
        best, track.best = track.best, None
        if best is None:
            return
        vector = self._embed(best.frame.rgb, best.face)
        box = _inside(best.face.box, best.frame.rgb)
        track.views.append(View(track.since, track.end, best.frame.index, box, best.quality, vector))

    def _close(self, tracks: Sequence[Track]) -> None:
        for track in list(tracks):
            self._keep(track)
            self._open.remove(track)
            self._done.append(track)

    def _is_cut(self, frame: Frame) -> bool:
        """Tell whether the picture changed as a whole, so that nobody is mistaken for who stood there."""
        import cv2

        before = self._thumbnail
        self._thumbnail = np.asarray(cv2.resize(frame.rgb, (32, 18), interpolation=cv2.INTER_AREA), np.uint8)
        if before is None:
            return False
        return float(np.abs(before.astype(np.int16) - self._thumbnail).mean()) > _CUT


def _inside(box: tuple[float, float, float, float], picture: Picture) -> tuple[int, int, int, int]:
    """Round a box to whole pixels and cut off what lies outside of the picture."""
    height, width = picture.shape[:2]
    left, right = (round(min(max(side, 0), width)) for side in (box[0], box[0] + box[2]))
    top, bottom = (round(min(max(side, 0), height)) for side in (box[1], box[1] + box[3]))
    return (left, top, right - left, bottom - top)
