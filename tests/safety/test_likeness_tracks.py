from __future__ import annotations

import numpy as np
import pytest

from core.media.clip import Frame, Picture
from safety.likeness.faces import Face
from safety.likeness.quality import Quality
from safety.likeness.recogniser import Vectors
from safety.likeness.tracks import Sighting, Track, Tracks

Box = tuple[float, float, float, float]


def face(x: float, y: float = 20, side: float = 40, score: float = 0.9) -> Face:
    return Face((x, y, side, side), score, np.zeros((5, 2), np.float32))


def followed(scenes: list[tuple[int, list[Face]]], *, rate: float = 4) -> tuple[list[Track], list[int]]:
    """Follow faces through frames of one grey level each; the larger the better, and faces of a low
    score look different."""
    embedded: list[int] = []

    def embed(picture: Picture, face: Face) -> Vectors:
        embedded.append(int(picture[0, 0, 0]))
        return np.full((1, 128), face.box[0], np.float32)

    def sight(frame: Frame, found: Face) -> Sighting:
        look = np.array((1, 0) if found.score > 0.8 else (0, 1), np.float32)
        return Sighting(frame, found, Quality(found.size, 0.3, 0.0), look)

    tracks = Tracks(sight, embed)
    for index, (grey, faces) in enumerate(scenes):
        rgb = np.full((90, 160, 3), grey, np.uint8)
        tracks.see(Frame(index, index / rate, rgb), faces, lasts=1 / rate)
    return tracks.finish(), embedded


def test_a_moving_face_is_one_track_and_two_faces_are_two() -> None:
    tracks, _ = followed([(9, [face(10 + 3 * i), face(100 - i)]) for i in range(12)])
    assert [(track.start, track.end) for track in tracks] == [(0.0, 3.0), (0.0, 3.0)]


def test_a_face_missed_twice_is_still_the_same_and_missed_longer_is_not() -> None:
    assert len(followed([(9, [face(10)]), (9, []), (9, []), (9, [face(10)])])[0]) == 1
    tracks, _ = followed([(9, [face(10)]), *[(9, [])] * 6, (9, [face(10)])])
    assert [track.start for track in tracks] == [0.0, 1.75]


def test_after_a_cut_the_face_in_the_same_place_is_another_track() -> None:
    assert len(followed([(9, [face(10)])] * 4)[0]) == 1
    assert len(followed([(9, [face(10)])] * 2 + [(200, [face(10)])] * 2)[0]) == 2


def test_every_second_gives_its_best_view() -> None:
    sizes = [30, 34, 32, 31, 33, 35, 30, 31]
    ((track,), embedded) = followed([(i, [face(10, side=side)]) for i, side in enumerate(sizes)])
    assert [view.frame for view in track.views] == [1, 5]
    assert embedded == [1, 5]


def test_somebody_who_takes_another_ones_place_for_a_moment_is_embedded_too() -> None:
    one, other = face(10, side=40), face(10, side=30, score=0.6)
    ((track,), _) = followed([(9, [shown]) for shown in (one, one, other, one)])
    assert [(view.start, view.end, view.frame) for view in track.views] == [
        (0.0, 0.5, 0),
        (0.5, 0.75, 2),
        (0.75, 1.0, 3),
    ]


@pytest.mark.parametrize(
    ("box", "kept"),
    [((-10, -5, 30, 30), (0, 0, 20, 25)), ((150, 80, 30, 30), (150, 80, 10, 10))],
)
def test_boxes_stay_inside_the_picture(box: Box, kept: tuple[int, ...]) -> None:
    ((track,), _) = followed([(9, [Face(box, 0.9, np.zeros((5, 2), np.float32))])])
    assert track.views[0].box == kept
