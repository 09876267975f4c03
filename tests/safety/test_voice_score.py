from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.voice.score import CEILING, LENGTHS, centre, cohort, scores, unit
from safety.voice.screen import _stretches
from safety.voice.vad import runs


@given(st.integers(1, 1000), st.integers(1, 5000), st.sampled_from(range(len(LENGTHS))))
def test_threshold_rises_with_voices_and_length(voices: int, windows: int, view: int):
    here = cohort().threshold(view, voices, windows)
    assert here <= cohort().threshold(view, voices + 1, windows) <= CEILING
    assert here <= cohort().threshold(view, voices, windows * 2)
    assert here > float(cohort().strangers[view, 0])


def test_threshold_is_the_normal_quantile():
    mean, deviation = cohort().strangers[0]
    assert cohort().threshold(0, 1, 112) == pytest.approx(mean + 2.3263 * deviation, abs=1e-4)
    assert cohort().threshold(0, 10, 112) == pytest.approx(mean + 3.0902 * deviation, abs=1e-4)


def test_running_means_are_the_means():
    vectors = unit(np.random.default_rng(0).normal(size=(12, 256)).astype(np.float32))
    voice = centre(vectors[:3])
    wanted = [unit(vectors[i : i + 5].sum(axis=0)) @ voice for i in range(8)]
    assert scores(vectors, voice, 5) == pytest.approx(np.array(wanted), abs=1e-6)
    assert len(scores(vectors[:4], voice, 5)) == 0


def test_centring_leaves_unit_vectors():
    vectors = np.abs(np.random.default_rng(1).normal(size=(4, 256))).astype(np.float32)
    assert np.linalg.norm(cohort().centred(vectors), axis=1) == pytest.approx(np.ones(4), abs=1e-5)


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
