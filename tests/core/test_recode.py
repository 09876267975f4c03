from __future__ import annotations

import numpy as np
import pytest

from core.errors import BadMedia
from core.media.clip import Sound
from core.media.recode import Codec, filtered, recoded

RATE = 48_000


def tone(channels: int) -> Sound:
    time = np.arange(RATE) / RATE
    return np.repeat((0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[:, None], channels, axis=1)


@pytest.mark.parametrize("codec", ["mp3", "aac", "opus"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_codec_keeps_shape_and_tone(codec: Codec, rate: int) -> None:
    sound = tone(2)
    back = recoded(sound, rate, codec, 64_000)
    assert (back.shape, back.dtype) == (sound.shape, np.float32)
    spectrum = np.abs(np.fft.rfft(back[:, 0] * np.hanning(len(back))))
    assert spectrum.argmax() * RATE / len(back) == pytest.approx(440, abs=2)
    assert not np.array_equal(back, sound)


def test_a_filter_changes_the_length() -> None:
    assert len(filtered(tone(1), RATE, "atempo", "1.25")) == pytest.approx(RATE / 1.25, rel=0.02)


def test_what_an_encoder_refuses_is_bad_media() -> None:
    with pytest.raises(BadMedia):
        recoded(tone(1).repeat(7, axis=1), RATE, "mp3", 64_000)
