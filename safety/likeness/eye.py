"""What can be seen in one frame: faces, their quality, and the vectors that they are compared by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from core.finding import Model
from core.media.clip import Frame, Picture
from safety.likeness import geometry, quality
from safety.likeness.faces import LIKELY, Detector, Face, apart, overlap, united
from safety.likeness.recogniser import Recogniser
from safety.likeness.sampling import look
from safety.likeness.tracks import Sighting, Track, View, inside

_COARSE, _FINE, _TURNED = 512, 1280, 352
_SURE, _FAINT = 0.6, 0.1
_MOST_CONFIRMED, _MOST_FAINT = 24, 16
_SMALL = 40.0
"""Pixels of width below which a faint find is looked at enlarged.

On LFW folds 1-2, 16 px wide, 8 % of the faces score less than .35 and all but 2 % of them .1; of 121 finds so faint in
128 frames of clips none was taken for a face enlarged, of larger ones too many would be.
"""
_ENLARGED = 48.0
_HIDDEN = 0.88
"""The detector's score on an uprighted face below which something covers it.

Measured on LFW fold 1: one face in 800 scores less, but 3 in 10 with the mouth covered, 6 in 10 with half of the
face or the eyes covered; what is covered less matches all the same.
"""
_SAME_PLACE = 0.25


class Eye:
    """A detector and a recogniser at work on frames."""

    def __init__(self, detector: Detector, recogniser: Recogniser) -> None:
        self._detector, self._recogniser = detector, recogniser

    @property
    def models(self) -> tuple[Model, Model]:
        """The networks that were loaded."""
        return self._detector.model, self._recogniser.model

    def find(
        self, picture: Picture, number: int, time: float, finely: float | None
    ) -> tuple[list[Face], bool]:
        """Find all faces of sampled frame `number`; also say whether it was searched at full size.

        `finely` is the time at which a frame was last searched so. One more search is of the picture turned.
        """
        how = look(number, time, finely)
        found = self._detector.find(picture, long_side=_FINE if how.fine else _COARSE, least=_FAINT)
        found += self._detector.find(picture, long_side=_TURNED, quarters=how.quarters)
        return self._confirmed(picture, united(found)), how.fine

    def still(self, picture: Picture) -> list[Face]:
        """Find all faces of a picture that stands for itself: in every rotation.

        Half-way between two quarters one face in a hundred is in neither; so the picture is turned by an eighth too.
        """
        found = united(self._all_round(picture))
        sure = [face for face in found if face.score >= _SURE]
        eighth, turn = geometry.eighth(picture, _FINE)
        further = [geometry.carried(face, turn) for face in self._all_round(eighth)]
        return self._confirmed(picture, united(found + apart(further, sure)))

    def sight(self, frame: Frame, face: Face) -> Sighting:
        """Copy a face out of a frame and measure it."""
        part, there = geometry.cut(frame.rgb, face)
        chip = geometry.chip(part, there)
        measured = replace(quality.measured(there, chip), size=face.size)
        box = inside(face.box, frame.rgb)
        return Sighting(frame.index, frame.time, box, part, there, measured, quality.look(chip))

    def look_again(self, seen: Sighting) -> npt.NDArray[np.float32]:
        """Make the look of a sighting from landmarks that were found again on the uprighted face."""
        refined = geometry.refined(seen.part, seen.face, self._detector)
        return quality.look(geometry.chip(seen.part, refined.face))

    def view(self, seen: Sighting) -> View:
        """Refine the landmarks of a sighting and embed it."""
        refined = geometry.refined(seen.part, seen.face, self._detector, exactly=True)
        chip = geometry.chip(seen.part, refined.face)
        measured = replace(quality.measured(refined.face, chip), size=seen.quality.size)
        vector = self._recogniser.embed(seen.part, [refined.face])
        return View(seen, measured, refined.sure < _HIDDEN, vector)

    def seen_again(self, frame: Frame, tracks: Mapping[int, Track]) -> Iterator[tuple[int, Sighting]]:
        """Find the faces of some tracks in a further frame of the clip: (number of the track, sighting)."""
        open_ = {
            n: track for n, track in tracks.items() if track.start - 0.5 <= frame.time <= track.end + 0.5
        }
        if not open_:
            return
        faces = self._detector.find(frame.rgb, long_side=_FINE)
        for number, track in open_.items():
            near = min(
                (seen for stretch in track.stretches.values() for seen in stretch),
                key=lambda seen: abs(seen.time - frame.time),
            )
            face = max(faces, key=lambda one: overlap(one.box, near.box), default=None)
            if face is not None and overlap(face.box, near.box) > _SAME_PLACE:
                seen = self.sight(frame, face)
                if float(seen.look @ near.look) > 0.5:
                    yield number, seen

    def _all_round(self, picture: Picture) -> list[Face]:
        """Find the faces of a picture in its four rotations."""
        turns = (self._detector.find(picture, long_side=_FINE, quarters=n, least=_FAINT) for n in range(4))
        return [face for found in turns for face in found]

    def _confirmed(self, picture: Picture, faces: list[Face]) -> list[Face]:
        """Keep what the detector is sure of, and what it is sure of when it looks at it enlarged."""
        sure = [face for face in faces if face.score >= _SURE]
        doubtful = [face for face in faces if LIKELY <= face.score < _SURE][:_MOST_CONFIRMED]
        faint = [face for face in faces if face.score < LIKELY and face.size < _SMALL][:_MOST_FAINT]
        for face in (*doubtful, *faint):
            part, there = geometry.cut(picture, face)
            if self._enlarged(part, there) or (
                face.score >= LIKELY and geometry.refined(part, there, self._detector).sure >= _SURE
            ):
                sure.append(face)
        return sure

    def _enlarged(self, part: Picture, face: Face) -> bool:
        """Tell whether a small face is found again, and surely, when it is shown enlarged."""
        import cv2

        scale = _ENLARGED / max(face.size, 1.0)
        if scale <= 1:
            return False
        large = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        there = geometry.shifted(face, 0, 0, scale)
        found = self._detector.find(np.asarray(large, np.uint8), long_side=_FINE)
        return any(one.score >= _SURE and overlap(one.box, there.box) > _SAME_PLACE for one in found)
