from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.voice.listen import Heard
from safety.voice.score import shipped, unit
from safety.voice.turns import turns

VOICES = unit(np.random.default_rng(0).normal(size=(4, 256)).astype(np.float32))


def _heard(speakers: list[int], gap_after: int = -1) -> Heard:
    """Windows every 0.4 s, each of one speaker with a little of everything else."""
    random = np.random.default_rng(1)
    calibration = shipped()
    projected = unit(VOICES[speakers] + 0.03 * random.normal(size=(len(speakers), 256)))
    # What project() will make of these vectors is what they were made from, but for a scale.
    vectors = projected @ np.linalg.inv(calibration.whiten).T + calibration.mean
    starts = 0.4 * np.arange(len(speakers)) + 5.0 * (np.arange(len(speakers)) > gap_after) * (gap_after >= 0)
    spans = np.stack([starts, starts + 1.6], axis=1)
    frames = int(spans[-1, 1] * 100) if len(speakers) else 1
    return Heard(np.asarray(vectors, np.float32), spans, np.ones(frames, np.float32), np.ones(frames, bool))


def test_nobody_takes_no_turn():
    empty = Heard(
        np.zeros((0, 256), np.float32), np.zeros((0, 2)), np.zeros(1, np.float32), np.zeros(1, bool)
    )
    assert turns(shipped(), empty) == ()


def test_one_voice_takes_one_turn():
    (turn,) = turns(shipped(), _heard([0] * 20))
    assert (turn.speaker, turn.start, turn.end) == (0, 0.0, pytest.approx(0.4 * 19 + 1.6))


def test_two_voices_take_turns_and_the_first_is_known_again():
    found = turns(shipped(), _heard([0] * 15 + [1] * 15 + [0] * 15))
    assert [turn.speaker for turn in found] == [0, 1, 0]
    assert found[0].end == pytest.approx(15 * 0.4 + 0.6, abs=0.9)
    assert found[1].end == pytest.approx(30 * 0.4 + 0.6, abs=0.9)


def test_a_pause_ends_a_turn():
    found = turns(shipped(), _heard([0] * 20, gap_after=9))
    assert [turn.speaker for turn in found] == [0, 0]


@given(st.lists(st.integers(0, 3), max_size=60))
def test_turns_are_in_order_and_do_not_overlap(speakers: list[int]):
    if not speakers:
        return
    found = turns(shipped(), _heard(speakers))
    assert found[0].speaker == 0
    for one, other in pairwise(found):
        assert one.start < one.end <= other.start + 1e-9
    assert {turn.speaker for turn in found} == set(range(max(turn.speaker for turn in found) + 1))
