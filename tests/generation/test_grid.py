"""Snapping: what comes out is always on the engine's grid, and what is far off is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from core.shot import Limits, Shot
from generation.grid import frame_count, snap

LTX = Limits(
    max_seconds=16, picture=True, sound=True, size_step=32, frame_step=8, fps=(24, 25), max_pixels=1280 * 736
)
FREE = Limits(max_seconds=45, picture=True, sound=True, fps=(12, 24, 30, 60))
shots = st.builds(
    lambda seconds, width, height, fps: Shot(prompt="", seconds=seconds, width=width, height=height, fps=fps),
    st.floats(0.04, 16),
    st.integers(32, 4000),
    st.integers(32, 4000),
    st.integers(1, 120),
)


@given(shots)
def test_a_snapped_shot_is_on_the_grid(shot: Shot) -> None:
    got = snap(shot, LTX)
    assert got.width % 32 == got.height % 32 == 0
    assert frame_count(got) % 8 == 1
    assert got.fps in LTX.fps
    assert 0 < got.width * got.height <= LTX.max_pixels
    assert got.seconds * got.fps == pytest.approx(frame_count(got))


@given(shots, st.sampled_from([LTX, FREE]))
def test_snapping_twice_changes_nothing_more(shot: Shot, limits: Limits) -> None:
    once = snap(shot, limits)
    assert snap(once, limits) == once


@given(shots)
def test_the_nearest_length_of_at_least_nine_frames_is_taken(shot: Shot) -> None:
    frames = frame_count(snap(shot, LTX))
    assert frames == 9 or abs(frames - shot.seconds * snap(shot, LTX).fps) <= 4.01


def test_ltx_is_asked_for_sixteen_seconds_and_gives_385_frames() -> None:
    asked = Shot(prompt="", seconds=16, width=704, height=480)
    got = snap(asked, LTX)
    assert frame_count(got) == 385
    assert got == replace(asked, seconds=385 / 24)


def test_a_shot_on_the_grid_is_left_alone() -> None:
    shot = Shot(prompt="", seconds=25 / 24, width=96, height=64)
    assert snap(shot, LTX) == shot


@pytest.mark.parametrize(
    "shot",
    [
        Shot(prompt="", seconds=0),
        Shot(prompt="", seconds=-1),
        Shot(prompt="", seconds=float("nan")),
        Shot(prompt="", seconds=17),
        Shot(prompt="", seconds=46, picture=False),
        Shot(prompt="", seconds=2, picture=False, sound=False),
        Shot(prompt="", seconds=2, width=8),
        Shot(prompt="", seconds=2, fps=0),
    ],
)
def test_what_no_engine_gives_is_refused(shot: Shot) -> None:
    with pytest.raises(BadInput):
        snap(shot, FREE)


def test_an_engine_is_not_asked_for_what_it_cannot_make() -> None:
    deaf = Limits(max_seconds=10, picture=True, sound=False)
    blind = Limits(max_seconds=10, picture=False, sound=True)
    with pytest.raises(BadInput):
        snap(Shot(prompt="", seconds=1), deaf)
    with pytest.raises(BadInput):
        snap(Shot(prompt="", seconds=1), blind)
    assert snap(Shot(prompt="", seconds=1, picture=False), blind).seconds == 1
