"""Follow faces through a clip and keep the best sightings of every track.

A track ends with a cut, when the face is lost, and as soon as it looks like another one: when somebody takes the
place of somebody else, both have tracks. Of every four seconds of a track the best three sightings are kept.
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

BEST = 3
_STRETCH = 4.0
_SAME_LOOK = 0.8
_LOST = 0.8  # seconds; a face may be missed in two samples and still be the same track
_LEAST_OVERLAP = 0.25
_MOST_AGAIN = 40
"""Second chances in one frame; in a larger crowd whoever looks changed is somebody else, which costs a track."""
_CUT = 32.0  # mean difference of thumbnails, of 255

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A face in one frame: `box` in the frame, `face` in `part`, the copy of its surroundings.

    `look` is what `quality.look` makes of it.
    """

    frame: int
    time: float
    box: Box
    part: Picture
    face: Face
    quality: Quality
    look: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A sighting as it is compared: `vector` is (1, d), `hidden` says that the face is partly covered."""

    sighting: Sighting
    quality: Quality
    hidden: bool
    vector: Vectors

    @property
    def lacking(self) -> str | None:
        """Why a face that is seen so cannot be told from others, or None when it can."""
        return self.quality.lacking or ("the face is partly hidden" if self.hidden else None)


@dataclass(slots=True, eq=False)
class Track:
    """One face from `start` to `end` in seconds; `stretches` hold the best sightings of four seconds each."""

    start: float
    end: float
    box: tuple[float, float, float, float]
    stretches: dict[int, list[Sighting]] = field(default_factory=dict)
    last: Sighting | None = None

    def keep(self, seen: Sighting) -> None:
        """Keep a sighting if it is among the best three of its stretch."""
        stretch = self.stretches.setdefault(int((seen.time - self.start) // _STRETCH), [])
        stretch.append(seen)
        stretch.sort(key=lambda one: -one.quality.grade)
        del stretch[BEST:]

    def chosen(self, most: int = BEST) -> list[Sighting]:
        """Choose the best sighting of every stretch, and more of the best until there are `most`."""
        first = [stretch[0] for stretch in self.stretches.values()]
        rest = sorted(
            (one for stretch in self.stretches.values() for one in stretch[1:]),
            key=lambda one: -one.quality.grade,
        )
        return sorted(first + rest[: max(0, most - len(first))], key=lambda one: one.time)


Sight = Callable[[Frame, Face], Sighting]
Again = Callable[[Sighting], npt.NDArray[np.float32]]


class Tracks:
    """All tracks of a clip; frames come in order. Of a frame nothing but copies of faces is held."""

    def __init__(self, sight: Sight, again: Again) -> None:
        self._sight, self._again = sight, again
        self._open: list[Track] = []
        self._done: list[Track] = []
        self._thumbnail: Picture | None = None
        self._chances = 0

    def see(self, frame: Frame, faces: Sequence[Face], *, lasts: float) -> None:
        """Assign the faces of the next frame, which is shown for `lasts` seconds, to tracks."""
        if self._is_cut(frame):
            self._close(self._open)
        self._close([track for track in self._open if frame.time - track.end > _LOST])
        free, self._chances = list(self._open), _MOST_AGAIN
        for face in faces:
            seen = self._sight(frame, face)
            track = max(free, key=lambda known: overlap(known.box, face.box), default=None)
            if track is None or overlap(track.box, face.box) < _LEAST_OVERLAP:
                track = self._started(frame, face)
            else:
                free.remove(track)
                if track.last is not None and self._differ(track.last, seen):
                    self._close([track])
                    track = self._started(frame, face)
            track.keep(seen)
            track.last, track.box, track.end = seen, face.box, frame.time + lasts

    def finish(self) -> list[Track]:
        """Close what is open and return all tracks, earliest first."""
        self._close(self._open)
        return sorted(self._done, key=lambda track: track.start)

    def _differ(self, before: Sighting, now: Sighting) -> bool:
        """Tell whether two sightings look like two people; landmarks that slipped get a second chance."""
        if float(before.look @ now.look) >= _SAME_LOOK:
            return False
        self._chances -= 1
        if self._chances < 0:
            return True
        return float(self._again(before) @ self._again(now)) < _SAME_LOOK

    def _started(self, frame: Frame, face: Face) -> Track:
        track = Track(frame.time, frame.time, face.box)
        self._open.append(track)
        return track

    def _close(self, tracks: Sequence[Track]) -> None:
        for track in list(tracks):
            self._open.remove(track)
            self._done.append(track)

    def _is_cut(self, frame: Frame) -> bool:
        """Tell whether the picture changed as a whole, so that nobody is mistaken for who stood there."""
        import cv2

        before = self._thumbnail
        step = max(1, frame.rgb.shape[0] // 90)  # a few of the pixels are enough, at a tenth of the cost
        thin = np.ascontiguousarray(frame.rgb[::step, ::step])
        self._thumbnail = np.asarray(cv2.resize(thin, (32, 18), interpolation=cv2.INTER_AREA), np.uint8)
        if before is None:
            return False
        return float(np.abs(before.astype(np.int16) - self._thumbnail).mean()) > _CUT


def inside(box: tuple[float, float, float, float], picture: Picture) -> Box:
    """Round a box to whole pixels and cut off what lies outside of the picture."""
    height, width = picture.shape[:2]
    left, right = (round(min(max(side, 0), width)) for side in (box[0], box[0] + box[2]))
    top, bottom = (round(min(max(side, 0), height)) for side in (box[1], box[1] + box[3]))
    return (left, top, right - left, bottom - top)
