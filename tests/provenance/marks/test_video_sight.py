from __future__ import annotations

import cv2
import numpy as np
import pytest

from provenance.marks.video import sight
from provenance.marks.video.pattern import Plane


def textured(level: float = 20.0) -> Plane:
    noise = np.random.default_rng(1).standard_normal((180, 320)).astype(np.float32)
    return np.asarray(128 + level * cv2.GaussianBlur(noise, (0, 0), 1.5), np.float32)


def mark(size: float) -> Plane:
    noise = np.random.default_rng(2).standard_normal((180, 320)).astype(np.float32)
    return np.asarray(size * cv2.GaussianBlur(noise, (0, 0), 1.0), np.float32)


def test_no_mark_takes_nothing_and_a_louder_one_takes_more() -> None:
    luma = textured()
    lost = [sight.detail_lost(luma, mark(size), 1.0) for size in (0.0, 1.0, 2.0, 4.0)]
    assert lost[0] == pytest.approx(0.0, abs=1e-6)
    assert lost == sorted(lost)
    assert lost[3] > 2 * lost[1] > 0.001


def test_the_start_of_a_scene_is_louder_where_detail_hides_it_and_never_fainter() -> None:
    luma = textured(40.0)
    luma[:, :160] = 128.0
    calm = sight.strength(luma, 99.0)
    gain = sight.louder(luma, calm) / calm
    bare, busy = float(gain[:, 10:60].mean()), float(gain[:, 100:150].mean())
    assert gain.min() >= 1.0 - 1e-6
    assert bare < 1.6
    assert busy > 2.0
    assert np.sqrt(np.mean(sight.louder(luma, calm * 9) ** 2)) <= 3.6 + 1e-4


def test_what_strengthens_detail_costs_less_than_what_weakens_it() -> None:
    luma = textured()
    detail = np.asarray(luma - 128, np.float32)
    stronger, weaker = (sight.detail_lost(luma, share * detail, 1.0) for share in (0.05, -0.05))
    assert stronger < 0.5 * weaker


def test_detail_hides_a_mark_that_shows_in_a_smooth_picture() -> None:
    rich, poor = (sight.detail_lost(textured(level), mark(2.0), 1.0) for level in (40.0, 4.0))
    assert rich < 0.7 * poor


def test_a_strength_is_cut_where_it_takes_too_much_and_movement_spares_it() -> None:
    luma, strength = textured(40.0), np.full((90, 160), 1.0, np.float32)
    unit = mark(1.0) / mark(1.0).std()
    still, first, moving = (sight.bearable(luma, strength, unit, 1.0, motion) for motion in (0.0, None, 20.0))
    assert 0.5 <= still <= first < moving
    # The control: what is weak already is left as it is.
    assert sight.bearable(luma, np.asarray(0.2 * strength, np.float32), unit, 1.0, 0.0) == 1.0
