from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelMissing
from safety.gallery import Template, gathered
from safety.voice.cohort import logistic, reporting
from safety.voice.degrade import CONDITIONS
from safety.voice.score import LENGTHS, heights, load, pooled, running, shipped, unit
from safety.voice.screen import _stretches
from safety.voice.vad import runs

RANDOM = np.random.default_rng(0)


def _vectors(count: int) -> np.ndarray:
    return unit(np.abs(RANDOM.normal(size=(count, 256))).astype(np.float32))


@given(st.integers(1, 1000), st.integers(1, 5000))
def test_threshold_rises_with_voices_and_length(voices: int, windows: int):
    here = shipped().threshold(voices, windows)
    assert here <= shipped().threshold(voices + 1, windows)
    assert here <= shipped().threshold(voices, windows * 2)
    assert here >= shipped().tail[0]


def test_threshold_falls_off_exponentially_over_the_tail():
    u, share, scale = shipped().tail
    assert shipped().threshold(1, 112) == pytest.approx(u + scale * np.log(share / 0.01))
    assert shipped().threshold(10, 112) == pytest.approx(u + scale * np.log(share / 0.001))
    assert shipped().threshold(1, 112, 1.0) == u


@given(st.floats(-100, 100), st.floats(0.01, 5))
def test_probability_rises_with_the_height(height: float, more: float):
    assert 0 < shipped().probability(height) <= shipped().probability(height + more) < 1


def test_a_calibration_of_the_right_form_ships():
    calibration = shipped()
    assert calibration.conditions.shape == (len(CONDITIONS), 256)
    assert calibration.strangers.shape == (len(LENGTHS), 2)
    assert calibration.odds[0] > 0


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=10))
def test_pooled_scores_lie_between_their_mean_and_the_best(scores: list[float]):
    found = float(pooled(np.array([scores], np.float32))[0])
    assert np.mean(scores) - 1e-5 <= found <= max(scores) + 1e-5


def test_near_in_several_conditions_counts_for_more_than_near_in_one():
    one, several = np.array([0.5, 0, 0, 0], np.float32), np.array([0.45, 0.45, 0.45, 0], np.float32)
    assert one.max() > several.max()
    assert pooled(one) < pooled(several)


def test_running_means_are_the_means():
    vectors = unit(RANDOM.normal(size=(12, 256)).astype(np.float32))
    wanted = np.stack([unit(vectors[i : i + 5].sum(axis=0)) for i in range(8)])
    assert running(vectors, 5) == pytest.approx(wanted, abs=1e-5)
    assert running(vectors[:4], 5).shape == (0, 256)


def test_everybody_in_a_gallery_is_compared_with_their_own_submodels():
    """Matrices over all people give what one person at a time gives."""
    calibration = shipped()
    parts = np.tile(np.arange(len(CONDITIONS), dtype=np.uint8), 2)
    people = [Template(f"person {n}", _vectors(len(parts)), parts) for n in range(5)]
    people.append(Template("plain", _vectors(2)))
    projected = calibration.project(_vectors(30))
    means = [running(projected, length) for length in LENGTHS]
    found = heights(calibration, gathered(people), means)
    assert set(found) == {person.identity for person in people}
    for person in people:
        submodels = calibration.submodels(person)
        alone = max(
            calibration.height(calibration.best(mean, submodels), length).max()
            for length, mean in enumerate(means)
        )
        assert found[person.identity] == pytest.approx(float(alone), abs=1e-4)
    assert calibration.submodels(people[0]).shape == (len(CONDITIONS), 256)
    assert calibration.submodels(people[-1]).shape == (1, 256)


def test_a_broken_calibration_is_said_to_be_missing(tmp_path: Path):
    whole = Path(__file__).parents[2] / "safety/voice/cohort.npz"
    copy = shutil.copy(whole, tmp_path / "cut.npz")
    copy.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(ModelMissing):
        load(copy)
    with pytest.raises(ModelMissing):
        load(tmp_path / "absent.npz")
    made = shipped()
    np.savez(
        tmp_path / "small.npz", **{**{n: getattr(made, n) for n in made.__slots__}, "mean": made.mean[:9]}
    )
    with pytest.raises(ModelMissing, match="another form"):
        load(tmp_path / "small.npz")


def test_logistic_regression_finds_a_line():
    yes, no = RANDOM.normal(1, 1, (500, 1)), RANDOM.normal(-1, 1, (4000, 1))
    slope, offset = logistic(yes, no, 1e-6)
    assert slope == pytest.approx(2, abs=0.3)
    assert offset == pytest.approx(0, abs=0.3)


def test_a_third_of_the_speakers_is_only_reported_on():
    share = np.mean([reporting(str(speaker)) for speaker in range(3000)])
    assert share == pytest.approx(1 / 3, abs=0.03)
    assert [reporting(name) for name in ("1998", "2033", "2609")] == [True, False, False]


@given(st.lists(st.booleans(), max_size=60))
def test_runs_restore_the_flags(flags: list[bool]):
    restored = np.zeros(len(flags), bool)
    for first, end in runs(np.array(flags, bool)):
        assert first < end
        restored[first:end] = True
    assert restored.tolist() == flags


def test_windows_over_the_threshold_join_into_stretches():
    spans = np.array([(0.4 * i, 0.4 * i + 1.6) for i in range(20)])
    values = np.zeros(20, np.float32)
    values[[2, 3, 15]] = 0.8, 0.9, 0.8
    found = list(_stretches(values, 0.6, spans, 1))
    assert found == [pytest.approx((0.8, 2.8, 0.9)), pytest.approx((6.0, 7.6, 0.8))]


def test_weak_windows_at_the_ends_are_left_off_but_never_more_than_three():
    spans = np.array([(0.4 * i, 0.4 * i + 1.6) for i in range(20)])
    values = np.zeros(20, np.float32)
    values[5:12] = 0.61, 0.62, 0.9, 0.9, 0.9, 0.62, 0.61
    assert list(_stretches(values, 0.6, spans, 1)) == [pytest.approx((2.8, 5.2, 0.9))]
    values[0:7] = 0.62
    assert list(_stretches(values, 0.6, spans, 1)) == [pytest.approx((1.2, 5.2, 0.9))]
    assert list(_stretches(np.zeros(20, np.float32), 0.6, spans, 1)) == []
