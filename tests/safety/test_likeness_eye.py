from __future__ import annotations

import numpy as np
import pytest

from core.finding import Model
from core.media.clip import Picture
from safety.likeness import geometry
from safety.likeness.eye import Eye
from safety.likeness.faces import LIKELY, Face
from safety.likeness.recogniser import Recogniser


class _Faint:
    """Finds one face so faintly that it takes a second look, at which it is as sure as it is told to be."""

    model = Model("double", "0" * 64)

    def __init__(self, size: float, sure: float) -> None:
        self._size, self._sure, self.looks = size, sure, 0

    def find(
        self, picture: Picture, *, long_side: int, quarters: int = 0, least: float = LIKELY
    ) -> list[Face]:
        searched = least < LIKELY
        self.looks += not searched and not quarters
        if quarters:
            return []
        size, score = (self._size, 0.2) if searched else (48.0, self._sure)
        middle = np.array(picture.shape[1::-1], np.float32) / 2
        left, top = (middle - size / 2).tolist()
        return [Face((left, top, size, size), score, np.repeat(middle[None], 5, axis=0))]


@pytest.fixture
def recogniser() -> Recogniser:
    return Recogniser.__new__(Recogniser)


@pytest.mark.parametrize(
    ("size", "sure", "found", "looks"), [(16.0, 0.9, 1, 1), (16.0, 0.5, 0, 1), (60.0, 0.9, 0, 0)]
)
def test_a_small_faint_face_counts_when_it_is_sure_enlarged(
    recogniser: Recogniser, size: float, sure: float, found: int, looks: int
) -> None:
    detector = _Faint(size, sure)
    faces, _ = Eye(detector, recogniser).find(np.zeros((200, 320, 3), np.uint8), 0, 0.0, None)
    assert (len(faces), detector.looks) == (found, looks)


@pytest.mark.parametrize("size", [(120, 90), (300, 700)])
def test_what_was_turned_by_an_eighth_comes_back(size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    y, x = size[0] // 3, size[1] // 2
    picture[y - 6 : y + 7, x - 6 : x + 7] = 255
    turned, transform = geometry.eighth(picture, 350)
    bright = np.argwhere(turned.min(2) > 200)[:, ::-1].astype(np.float32)
    middle = bright.mean(0)
    face = Face((*(middle - 5).tolist(), 10.0, 10.0), 0.9, np.repeat(middle[None], 5, axis=0))
    back = geometry.carried(face, transform)
    scale = min(1.0, 350 / max(size))
    assert np.abs(back.points.mean(0) - (x, y)).max() < 2 / scale
    left, top, width, height = back.box
    assert (left + width / 2, top + height / 2) == pytest.approx(back.points[0].tolist(), abs=0.1)
    assert (width, height) == pytest.approx((10 / scale, 10 / scale), rel=1e-6)


class _Leaning:
    """Finds the landmarks of a square where they should be, but a little to the right of it in whatever it is shown."""

    model = Model("double", "0" * 64)

    def find(
        self, picture: Picture, *, long_side: int, quarters: int = 0, least: float = LIKELY
    ) -> list[Face]:
        height, width = picture.shape[:2]
        if height != width:
            return []
        points = np.add(geometry.framed(width), (0.02 * width, 0.0))
        return [Face((0.0, 0.0, width, height), 0.9, points.astype(np.float32))]


@pytest.mark.parametrize(("exactly", "most", "least"), [(True, 0.5, 0.0), (False, np.inf, 2.0)])
def test_what_the_detector_gets_wrong_to_one_side_cancels_out(
    *, exactly: bool, most: float, least: float
) -> None:
    points = (geometry.framed(200) + 30).astype(np.float32)
    face = Face((60.0, 60.0, 130.0, 130.0), 0.9, points)
    found = geometry.refined(np.zeros((260, 260, 3), np.uint8), face, _Leaning(), exactly=exactly)
    off = float(np.abs(found.face.points - points).max())
    assert least <= off <= most
    assert found.sure == pytest.approx(0.9)
