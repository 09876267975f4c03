from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audits.preemptive.suites import run
from audits.preemptive.voice import _conditions, _equal_error
from core.errors import BadInput


def test_without_recordings_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--data"):
        run("voice", quick=True)


def test_the_equal_error_is_where_misses_and_false_matches_meet() -> None:
    other = np.linspace(0, 1, 1001, dtype=np.float32)
    assert _equal_error(np.linspace(2, 3, 50, dtype=np.float32), other) == (0, 50)
    missed, trials = _equal_error(np.linspace(0.5, 1.5, 1000, dtype=np.float32), other)
    assert missed / trials == pytest.approx(0.25, abs=0.01)


def test_without_music_and_noise_invented_ones_are_used(tmp_path: Path) -> None:
    wave = np.sin(np.arange(16000) / 9).astype(np.float32)
    made = {case: make(wave, np.random.default_rng(1)) for case, make in _conditions(tmp_path).items()}
    assert set(made) >= {"clean", "music 5 dB", "noise 5 dB"}
    assert all(len(sound) == pytest.approx(16000, rel=0.01) for sound in made.values())
