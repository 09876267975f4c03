from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from core.media.clip import Grey, Picture
from provenance.marks import MarkKey
from provenance.marks.video import detect, embedder, pattern, search, tilt
from provenance.marks.video.align import TURNS, Alignment
from provenance.marks.video.gather import Gathered, gather
from tests.provenance.marks.test_video import KEY, OTHER, PAYLOAD, cartoon, timed

CORNERS = np.array([[0, 0], [719, 0], [719, 479], [0, 479]], np.float32)
INWARDS = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], np.float32)


@pytest.fixture(scope="module")
def marked() -> list[Picture]:
    dice = np.random.default_rng(4)
    mark = embedder(KEY, PAYLOAD, width=720, height=480)
    scene = [
        np.clip(picture + 3 * dice.standard_normal((480, 720, 1)), 0, 255).astype(np.uint8)
        for picture in cartoon(720, 480, 8)
    ]
    return [mark(picture) for picture in scene]


def filmed(scene: list[Picture], most: float, seed: int, *, edges: bool) -> list[Picture]:
    """Tilt a scene so that its edges are in view, or so that they are cut off."""
    moved = CORNERS + INWARDS * np.random.default_rng(seed).random((4, 2)) * most * np.array([360, 240])
    pair = (CORNERS, moved.astype(np.float32)) if edges else (moved.astype(np.float32), CORNERS)
    matrix = cv2.getPerspectiveTransform(*pair)
    return [np.asarray(cv2.warpPerspective(picture, matrix, (720, 480)), np.uint8) for picture in scene]


def gathered(scene: list[Picture]) -> Gathered:
    found = gather(timed(scene))
    assert found is not None
    return found


def test_a_picture_tilted_on_an_empty_ground_is_read(marked: list[Picture]) -> None:
    reading = detect(timed(filmed(marked, 0.25, 1, edges=True)), [KEY])
    assert reading.payload == PAYLOAD
    assert reading.p_false < 1e-9
    assert reading.geometry is not None
    assert 0.5 < reading.geometry["scale"] < 1.0


def test_a_strongly_tilted_picture_is_laid_flat_for_its_own_key_alone(marked: list[Picture]) -> None:
    found = gathered(filmed(marked, 0.5, 2, edges=True))
    score, key, alignment = tilt.tilted(found.total(), found.wide, found.high, [OTHER, KEY])[0]
    assert score > 9.0
    assert (key, alignment.quarters, alignment.flip) == (KEY, 0, False)
    # The control: the wrong key agrees much less.
    assert tilt.tilted(found.total(), found.wide, found.high, [OTHER])[0][0] < 0.7 * score


def test_a_tilted_picture_that_fills_the_frame_is_pulled_straight(marked: list[Picture]) -> None:
    total = gathered(filmed(marked, 0.1, 3, edges=False)).total()
    assert tilt.quads(total) == []
    start = max(
        (start for matrix in search.bends(total) for start in search.starts(total, matrix, [KEY])),
        key=lambda start: start.agreement,
    )
    score, alignment = tilt.pulled(total, start.alignment.planar(total), KEY)
    assert score > 10.0
    assert tilt.pulled(total, start.alignment.planar(total), OTHER)[0] < 8.0
    assert alignment.plane is not None


def test_a_picture_that_fills_the_frame_has_no_quadrilateral(marked: list[Picture]) -> None:
    assert tilt.quads(gathered(marked[:2]).total()) == []
    assert tilt.quads(np.zeros((360, 540), np.float32)) == []


def test_the_corners_of_a_quadrilateral_are_found(marked: list[Picture]) -> None:
    moved = CORNERS + INWARDS * np.array([[60, 50], [20, 70], [90, 30], [10, 10]], np.float32)
    matrix = cv2.getPerspectiveTransform(CORNERS, moved.astype(np.float32))
    seen = [np.asarray(cv2.warpPerspective(picture, matrix, (720, 480)), np.uint8) for picture in marked]
    (found,) = tilt.quads(gathered(seen).total())
    assert abs(found - moved * 0.75).max() < 6.0


@pytest.mark.parametrize(("quarters", "flip"), TURNS)
def test_turning_over_and_back_is_nothing(quarters: int, flip: bool) -> None:
    straight = np.zeros((30, 50), np.float32)
    straight[7, 12] = 1.0
    way = Alignment(360, quarters, flip)
    turned = way.turned(straight)
    y, x = (int(one[0]) for one in np.nonzero(turned))
    high, wide = turned.shape
    back = way.unturned(float(wide), float(high)) @ np.array([x + 0.5, y + 0.5, 1.0])
    assert np.allclose(back, [12.5, 7.5, 1.0])


def test_a_bend_written_as_a_plane_straightens_alike(marked: list[Picture]) -> None:
    total = gathered(marked[:2]).total()
    bent = Alignment(240, matrix=np.array([[1.31, 0.02], [-0.03, 1.27]]))
    one, other = bent.straighten(total, 0, 0), bent.planar(total).straighten(total, 0, 0)
    assert one[1:] == other[1:]
    assert abs(one[0] - other[0]).max() < 0.05
    first, second = bent.geometry(), bent.planar(total).geometry()
    assert first == pytest.approx(second, abs=1e-3)
    with pytest.raises(ValueError, match="plane"):
        tilt.pulled(total, replace(bent, matrix=None), KEY)


def test_a_crop_of_a_usual_size_is_found_by_its_size(marked: list[Picture]) -> None:
    cut = [picture[90:431, 130:641] for picture in marked]
    total = gathered(cut)
    best, *_ = search.crops(total.total(), total.shorter, [OTHER, KEY])
    assert best.key is KEY
    assert best.agreement > 7.0
    assert best.alignment.geometry()["scale"] == pytest.approx(480 / 342, rel=0.01)
    # The control: of a picture that is no crop of anything, nothing is as sure.
    plain = gathered(cartoon(511, 341, 2))
    assert search.crops(plain.total(), plain.shorter, [KEY])[0].agreement < 5.5


def test_unmarked_pictures_on_an_empty_ground_say_nothing() -> None:
    scene = filmed(cartoon(720, 480, 2), 0.5, 2, edges=True)
    greys = [
        Grey(n / 24, np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8))
        for n, rgb in enumerate(scene)
    ]
    assert not detect(iter(greys), [MarkKey("none", bytes(range(1, 33)))]).found
    assert pattern.GRIDS == (360, 240, 180)
