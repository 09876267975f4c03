from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.signal import butter, lfilter

from core.errors import BadInput
from provenance.fingerprint.audio import AudioPrint, Printer, decode, encode, similarity

RATE = 32000


def melody(seed: int, seconds: float = 12) -> np.ndarray:
    """Chords that change about three times a second, (n, 2) float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros_like(t)
    for _ in range(3):
        notes = 220 * 2 ** (rng.integers(-12, 24, round(seconds * 3) + 1) / 12)
        sound += 0.2 * np.sin(2 * np.pi * np.cumsum(notes[(t * 3).astype(int)]) / RATE)
    return np.stack([sound, 0.8 * sound], axis=1).astype(np.float32)


def print_of(sound: np.ndarray, rate: int = RATE) -> AudioPrint:
    printer = Printer(rate)
    for start in range(0, len(sound), 10_007):
        printer.add(sound[start : start + 10_007])
    return printer.finish()


@pytest.fixture(scope="module")
def kept() -> AudioPrint:
    return print_of(melody(1))


def test_a_changed_sound_is_found(kept: AudioPrint) -> None:
    rng = np.random.default_rng(5)
    dull = lfilter(*butter(2, 4000, fs=RATE), melody(1), axis=0)
    hissing = 0.5 * dull + 0.01 * rng.standard_normal(dull.shape)
    for sound in (melody(1), hissing.astype(np.float32)):
        found = similarity(print_of(sound), kept)
        assert found.found
        assert found.score > 0.6
        assert found.offset == pytest.approx(0, abs=0.13)
        assert sum(span.end - span.start for span in found.spans) > 10


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_another_sound_is_not(kept: AudioPrint, seed: int) -> None:
    """The control."""
    assert not similarity(print_of(melody(seed)), kept).found


def test_a_part_is_found_at_its_place(kept: AudioPrint) -> None:
    found = similarity(print_of(melody(1)[round(4.1 * RATE) : round(9 * RATE)]), kept)
    assert found.found
    assert found.offset == pytest.approx(4.1, abs=0.13)


def test_a_swapped_half_shows_where(kept: AudioPrint) -> None:
    spliced = np.concatenate([melody(9, 6), melody(1)[6 * RATE :]])
    found = similarity(print_of(spliced), kept)
    assert found.score == pytest.approx(0.5, abs=0.2)
    assert found.spans[-1].start == pytest.approx(6, abs=1.6)
    assert found.spans[-1].end == pytest.approx(12, abs=1.0)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 191_999])
def test_any_rate_is_brought_to_the_one(rate: int) -> None:
    sound = np.sin(np.arange(4 * rate) / rate * 2 * np.pi * 440).astype(np.float32)[:, None]
    assert len(print_of(sound, rate).words) == pytest.approx(10, abs=1)


def test_silence_junk_and_nothing_are_no_error(kept: AudioPrint) -> None:
    nothing = np.zeros((0, 2), np.float32)
    broken = np.full((4 * RATE, 1), np.nan, np.float32)
    for sound in (nothing, np.zeros((4 * RATE, 1), np.float32), broken):
        for reference in (kept, print_of(sound)):
            assert not similarity(print_of(sound), reference).found
    assert len(Printer(RATE).finish().words) == 0


def test_a_long_sound_costs_no_more_than_its_limit() -> None:
    printer = Printer(100)
    for _ in range(200):
        printer.add(np.zeros((100, 1), np.float32))
    assert len(printer.finish().words) == pytest.approx(120 / (1365 / 11025), abs=40)


@given(hnp.arrays(np.uint32, st.integers(0, 50)))
def test_decode_reads_what_encode_wrote(words: np.ndarray) -> None:
    assert (decode(encode(AudioPrint(words))).words == words).all()


@given(st.binary(max_size=200), st.integers(0, 40))
def test_decode_refuses_anything_else(junk: bytes, cut: int) -> None:
    whole = encode(AudioPrint(np.arange(9, dtype=np.uint32)))
    long = encode(AudioPrint(np.zeros(2000, np.uint32)))
    for data in (junk, whole[: min(cut, len(whole) - 1)], whole + junk + b"x", long):
        with pytest.raises(BadInput):
            decode(data)
