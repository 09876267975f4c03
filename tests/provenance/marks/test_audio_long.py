from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadMedia
from core.media.clip import Sound
from provenance.marks import MarkKey
from provenance.marks.audio import detect_long, embed_long
from provenance.marks.audio.long import SPAN_SECONDS, spans

KEY = MarkKey("k1", bytes(range(32)))
RATE = 8_000


def hiss(seconds: float, seed: int = 1) -> Sound:
    dice = np.random.default_rng(seed)
    swell = 1 + 0.6 * np.sin(np.arange(round(seconds * RATE)) / RATE)
    return (0.1 * swell * dice.standard_normal(round(seconds * RATE))).astype(np.float32)[:, None]


def cut(sound: Sound, size: int) -> Iterator[Sound]:
    return (sound[start : start + size] for start in range(0, len(sound), size))


@given(st.lists(st.integers(0, 20 * RATE), max_size=12))
@settings(max_examples=30)
def test_spans_lose_nothing_and_stay_short(sizes: list[int]) -> None:
    blocks = [np.arange(size, dtype=np.float32)[:, None] for size in sizes]
    cuts = list(spans(blocks, RATE))
    whole = np.concatenate([*blocks, np.zeros((0, 1), np.float32)])
    assert np.array_equal(np.concatenate([*cuts, np.zeros((0, 1), np.float32)]), whole)
    assert all(len(span) <= (SPAN_SECONDS + 10 + 1) * RATE for span in cuts)


def test_a_long_sound_carries_one_mark_and_says_where() -> None:
    marked = np.concatenate([*embed_long(cut(hiss(70), 5 * RATE), RATE, KEY, 77)])
    assert marked.shape == (70 * RATE, 1)
    reading = detect_long(cut(np.concatenate((marked, hiss(30, 2))), 7 * RATE), RATE, [KEY])
    assert (reading.payload, reading.key_id) == (77, "k1")
    assert reading.p_false < 1e-6
    assert reading.segments[0].found
    assert reading.segments[0].end == pytest.approx(70, abs=0.3)
    assert reading.segments[-1].end == pytest.approx(100)
    assert not any(part.found for part in reading.segments if part.end > 70.3)
    assert [one.start for one in reading.segments] == sorted(one.start for one in reading.segments)


def test_a_silent_span_stays_and_silence_throughout_is_refused() -> None:
    sound = hiss(100)
    sound[: round(SPAN_SECONDS * RATE)] = 0
    marked = np.concatenate([*embed_long([sound], RATE, KEY, 5)])
    assert not marked[: round(SPAN_SECONDS * RATE)].any()
    assert detect_long([marked], RATE, [KEY]).payload == 5
    for nothing in ([np.zeros((100 * RATE, 1), np.float32)], [hiss(0.2)], []):
        with pytest.raises(BadMedia):
            list(embed_long(nothing, RATE, KEY, 5))
