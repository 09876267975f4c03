from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from core.media.clip import Frame
from safety.likeness.faces import Face
from safety.likeness.quality import Quality
from safety.likeness.tracks import Sighting, Track, Tracks, inside

Box = tuple[float, float, float, float]


def face(x: float, y: float = 20, side: float = 40, score: float = 0.9) -> Face:
    return Face((x, y, side, side), score, np.zeros((5, 2), np.float32))


def followed(scenes: list[tuple[int, list[Face]]], *, rate: float = 4, again: float = 0.0) -> list[Track]:
    """Follow faces through frames of one grey level each; the larger the better, and faces of a low score look
    different; a second look at them gives `again` as the likeness."""

    def sight(frame: Frame, found: Face) -> Sighting:
        box = inside(found.box, frame.rgb)
        looks = np.array((1, 0) if found.score > 0.8 else (0, 1), np.float32)
        measured = Quality(found.size, 0.3, 0.0)
        return Sighting(frame.index, frame.time, box, frame.rgb, found, measured, looks)

    def look_again(seen: Sighting) -> npt.NDArray[np.float32]:
        other = np.array((again, np.sqrt(1 - again**2)), np.float32)
        return np.array((1, 0), np.float32) if seen.look[0] else other

    tracks = Tracks(sight, look_again)
    for index, (grey, faces) in enumerate(scenes):
        rgb = np.full((90, 160, 3), grey, np.uint8)
        tracks.see(Frame(index, index / rate, rgb), faces, lasts=1 / rate)
    return tracks.finish()


def test_a_moving_face_is_one_track_and_two_faces_are_two() -> None:
    tracks = followed([(9, [face(10 + 3 * i), face(100 - i)]) for i in range(12)])
    assert [(track.start, track.end) for track in tracks] == [(0.0, 3.0), (0.0, 3.0)]


def test_a_face_missed_twice_is_still_the_same_and_missed_longer_is_not() -> None:
    assert len(followed([(9, [face(10)]), (9, []), (9, []), (9, [face(10)])])) == 1
    tracks = followed([(9, [face(10)]), *[(9, [])] * 6, (9, [face(10)])])
    assert [track.start for track in tracks] == [0.0, 1.75]


def test_after_a_cut_the_face_in_the_same_place_is_another_track() -> None:
    assert len(followed([(9, [face(10)])] * 4)) == 1
    assert len(followed([(9, [face(10)])] * 2 + [(200, [face(10)])] * 2)) == 2


def test_the_best_three_sightings_are_chosen_and_one_of_every_four_seconds_at_least() -> None:
    sizes = [30, 34, 32, 31, 33, 35, 30, 31]
    (track,) = followed([(9, [face(10, side=side)]) for side in sizes])
    assert [seen.frame for seen in track.chosen()] == [1, 4, 5]
    assert [seen.frame for seen in track.chosen(1)] == [5]
    (long,) = followed([(9, [face(10, side=30 + (i % 16 == 3))]) for i in range(64)])
    assert [seen.frame for seen in long.chosen()] == [3, 19, 35, 51]
    assert max(len(stretch) for stretch in long.stretches.values()) == 3


def test_somebody_who_takes_another_ones_place_for_a_moment_is_another_track() -> None:
    one, other = face(10, side=40), face(10, side=30, score=0.6)
    tracks = followed([(9, [shown]) for shown in (one, one, other, one)])
    assert [(track.start, track.end) for track in tracks] == [(0.0, 0.5), (0.5, 0.75), (0.75, 1.0)]
    assert len(followed([(9, [shown]) for shown in (one, one, other, one)], again=0.9)) == 1


def test_a_crowd_gets_so_many_second_looks_and_no_more() -> None:
    def row(count: int, score: float) -> list[Face]:
        return [face(60 * at, score=score) for at in range(count)]

    assert len(followed([(9, row(40, 0.9)), (9, row(40, 0.6))], again=0.9)) == 40, "the control"
    assert len(followed([(9, row(50, 0.9)), (9, row(50, 0.6))], again=0.9)) == 60
    assert len(followed([(9, row(40, 0.9)), (9, row(40, 0.6)), (9, row(40, 0.9))], again=0.9)) == 40


@pytest.mark.parametrize(
    ("box", "kept"),
    [((-10, -5, 30, 30), (0, 0, 20, 25)), ((150, 80, 30, 30), (150, 80, 10, 10))],
)
def test_boxes_stay_inside_the_picture(box: Box, kept: tuple[int, ...]) -> None:
    (track,) = followed([(9, [Face(box, 0.9, np.zeros((5, 2), np.float32))])])
    assert track.chosen()[0].box == kept
