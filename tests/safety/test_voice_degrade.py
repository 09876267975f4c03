from __future__ import annotations

import numpy as np
import pytest

from generation.engines.persona import Persona, speak
from safety.voice.convert import converted, pitch
from safety.voice.degrade import (
    CONDITIONS,
    FURTHER,
    banded,
    mixed,
    music,
    noise,
    pitched,
    resampled,
    stretched,
)
from safety.voice.mel import RATE

SAID = speak(Persona(3), 1, 3)[:, 0]
TONE = np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE).astype(np.float32)


def _hertz(wave: np.ndarray) -> float:
    middle = wave[len(wave) // 4 : -len(wave) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(spectrum.argmax() * RATE / len(middle))


@pytest.mark.parametrize("name", [*CONDITIONS, *FURTHER])
def test_every_condition_keeps_the_length_is_finite_and_the_same_each_time(name: str):
    degrade = {**CONDITIONS, **FURTHER}[name]
    made = degrade(SAID, np.random.default_rng(4))
    assert made.dtype == np.float32
    assert abs(len(made) - len(SAID)) <= 0.01 * len(SAID)
    assert np.isfinite(made).all()
    assert np.array_equal(made, degrade(SAID, np.random.default_rng(4)))
    assert np.array_equal(made, SAID) == (name == "clean")


@pytest.mark.parametrize("semitones", [-3, -1.5, 1.5, 3])
def test_pitch_moves_and_time_does_not(semitones: float):
    shifted = pitched(TONE, semitones)
    assert _hertz(shifted) == pytest.approx(500 * 2 ** (semitones / 12), rel=0.01)
    assert len(shifted) == pytest.approx(len(TONE), rel=0.01)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_time_moves_and_pitch_does_not(factor: float):
    assert _hertz(stretched(TONE, factor)) == pytest.approx(500, rel=0.01)
    assert len(stretched(TONE, factor)) == pytest.approx(len(TONE) * factor, rel=0.01)


def test_faster_is_shorter_and_higher():
    assert len(resampled(TONE, 1.1)) == pytest.approx(len(TONE) / 1.1, rel=0.001)
    assert _hertz(resampled(TONE, 1.1)) == pytest.approx(550, rel=0.01)


@pytest.mark.parametrize("other", [noise, music])
def test_what_is_mixed_in_lies_as_far_below_as_asked(other: object):
    added = mixed(TONE, other(np.random.default_rng(1), len(TONE)), 10) - TONE  # type: ignore[operator]
    assert 10 * np.log10(np.mean(TONE**2) / np.mean(added**2)) == pytest.approx(10, abs=0.5)


def test_a_band_keeps_what_is_in_it():
    assert banded(TONE, 300, 3400) == pytest.approx(TONE, abs=0.05)
    assert np.abs(banded(TONE, 600, 3400)).max() < 0.05


def test_a_conversion_takes_on_the_pitch_of_its_target():
    source, target = pitched(speak(Persona(3), 2, 3)[:, 0], -4), SAID
    assert np.log2(pitch(source) / pitch(target)) < -0.2
    made = converted(source, target)
    assert abs(np.log2(pitch(made) / pitch(target))) < 0.15
    assert len(made) == pytest.approx(len(source), rel=0.02)
    assert np.isfinite(made).all()
