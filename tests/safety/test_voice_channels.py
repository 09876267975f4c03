from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadMedia
from safety.voice.channels import MOST, views

DRAW = np.random.default_rng(7).normal(0, 0.1, (MOST + 1, 16000)).astype(np.float32)
ONE, OTHER = DRAW[:2]
NOTHING = np.zeros_like(ONE)
GAINS = st.floats(0.2, 1) | st.floats(-1, -0.2)


def likeness(wave: np.ndarray, wanted: np.ndarray) -> float:
    """The share of a wave's power that a scaled copy of what is wanted explains."""
    return float((wave @ wanted) ** 2 / ((wave @ wave) * (wanted @ wanted)))


@pytest.mark.parametrize(
    "channels",
    [
        [ONE],
        [ONE, ONE],
        [ONE, 0.3 * ONE],
        [ONE, -ONE],
        [NOTHING, ONE],
        [ONE, -0.5 * ONE, NOTHING, NOTHING, ONE, -ONE],
        [NOTHING, NOTHING, ONE, NOTHING, NOTHING, NOTHING],
    ],
)
def test_one_voice_however_it_is_spread_is_heard_once_and_whole(channels: list[np.ndarray]):
    (view,) = views(np.stack(channels, axis=1).astype(np.float32))
    assert likeness(view, ONE) == pytest.approx(1, abs=1e-6)
    assert view.dtype == np.float32


@settings(max_examples=20, derandomize=True)
@given(
    gains=st.lists(GAINS, min_size=2, max_size=MOST),
    loud=st.lists(GAINS, min_size=MOST, max_size=MOST),
)
def test_a_voice_under_ten_times_as_loud_a_noise_in_every_channel_is_freed(
    gains: list[float], loud: list[float]
):
    """Wherever the two are spread differently; spread alike, nobody could tell them apart either."""
    voice, noise = np.array(gains), np.array(loud[: len(gains)])
    if (voice @ noise) ** 2 > 0.8 * (voice @ voice) * (noise @ noise):
        return
    sound = np.outer(0.1 * ONE, voice) + np.outer(OTHER, noise)
    freed = max(likeness(view, ONE) for view in views(sound.astype(np.float32)))
    assert freed > 0.8
    assert max(likeness(channel, ONE) for channel in sound.T) < 0.5


def test_two_different_channels_are_heard_alone_together_and_apart():
    heard = views(np.stack([ONE, OTHER], axis=1))
    assert 4 <= len(heard) <= 6
    for wanted in (ONE, OTHER, ONE + OTHER, ONE - OTHER):
        assert max(likeness(view, wanted) for view in heard) > 0.999


def test_what_is_under_the_noise_floor_is_not_listened_to_but_a_whisper_is():
    assert len(views(np.stack([ONE, ONE + 1e-5 * OTHER], axis=1))) == 1
    quiet = views(np.stack([ONE, 0.02 * OTHER], axis=1))
    assert max(likeness(view, OTHER) for view in quiet) > 0.999


@pytest.mark.parametrize("sound", [np.zeros((0, 2)), np.zeros((100, 6)), np.zeros((0, 1))])
def test_silence_is_one_silent_view(sound: np.ndarray):
    (view,) = views(sound.astype(np.float32))
    assert view.shape == (len(sound),)
    assert not view.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_channel_that_is_no_number_hides_nobody(value: float):
    (view,) = views(np.stack([np.full_like(ONE, value), ONE], axis=1))
    assert likeness(view, ONE) == pytest.approx(1, abs=1e-6)


def test_more_channels_than_can_be_heard_are_refused():
    assert views(DRAW[:MOST].T)
    with pytest.raises(BadMedia, match="9 channels"):
        views(DRAW.T)
