from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.voice.mel import BANDS, HOP, RATE, filterbank, frame_power, gain, mel_power


def _tone(hertz: float, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def _slow_mel_hertz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def test_filterbank_is_slaneys_computed_point_by_point():
    top = 15 + 27 * np.log(8) / np.log(6.4)
    edges = [_slow_mel_hertz(top * k / (BANDS + 1)) for k in range(BANDS + 2)]
    for band in (0, 7, 20, 39):
        low, peak, high = edges[band : band + 3]
        for bin_ in range(201):
            hertz = bin_ * 40.0
            up, down = (hertz - low) / (peak - low), (high - hertz) / (high - peak)
            assert filterbank()[band, bin_] == pytest.approx(
                max(0.0, min(up, down)) * 2 / (high - low), abs=1e-8
            )


def test_a_frame_agrees_with_the_plain_fourier_sum():
    wave = np.random.default_rng(3).normal(0, 0.1, 2000).astype(np.float32)
    n = np.arange(400)
    frame = wave[5 * HOP - 200 : 5 * HOP + 200] * (0.5 - 0.5 * np.cos(2 * np.pi * n / 400))
    spectrum = np.array([np.sum(frame * np.exp(-2j * np.pi * k * n / 400)) for k in range(201)])
    assert mel_power(wave)[5] == pytest.approx(filterbank() @ np.abs(spectrum) ** 2, rel=1e-4)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3000.0])
def test_a_tone_peaks_in_its_band(hertz: float):
    band = int(mel_power(_tone(hertz))[20].argmax())
    assert band == int(filterbank()[:, round(hertz / 40)].argmax())


@settings(max_examples=20)
@given(n=st.integers(0, 20_000), scale=st.floats(0.01, 1.0))
def test_shape_and_linearity_in_power(n: int, scale: float):
    wave = np.random.default_rng(n).normal(0, 0.1, n).astype(np.float32)
    mels = mel_power(wave)
    assert mels.shape == (1 + n // HOP, BANDS)
    assert frame_power(wave).shape == (1 + n // HOP,)
    assert np.allclose(mel_power(wave * np.float32(scale)), mels * scale**2, rtol=1e-3, atol=1e-7)


def test_level_is_only_ever_raised():
    assert gain(1e-5) == pytest.approx(100)
    assert gain(0.01) == 1.0
    assert gain(0.0) == 1.0
