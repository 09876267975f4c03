from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.fingerprint import index
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.index import AudioIndex, VideoIndex, _Reach, _Words
from provenance.fingerprint.video import VideoPrint


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_BLOCK", 64)


def flipped(words: np.ndarray, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Flip that many bits of every 256-bit word, (n, 4)."""
    out = np.unpackbits(words.view(np.uint8).reshape(len(words), 32), axis=1)
    for row in out:
        row[rng.choice(256, bits, replace=False)] ^= 1
    return np.packbits(out, axis=1).view(np.uint64).reshape(-1, 4)


@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.integers(0, 10), st.integers(0, 20))
@settings(max_examples=30)
def test_exactly_the_near_words_are_found(seed: int, count: int, last: int, whole: int) -> None:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**10, (count, 2), dtype=np.uint64)
    probes = rng.integers(0, 2**10, (3, 2), dtype=np.uint64)
    held = _Words(2, np.uint64)
    for part in np.array_split(words, 7):
        held.add(part)
    found = {
        (which, int(place)) for which, places in held.near(probes, _Reach(last, whole)) for place in places
    }
    apart = np.bitwise_count(probes[:, None] ^ words[None])
    near = (apart[..., -1] <= last) & (apart.sum(axis=-1) <= whole)
    assert found == {(int(a), int(b)) for a, b in np.argwhere(near)}


def clip(rng: np.random.Generator, frames: int = 16) -> VideoPrint:
    words = rng.integers(0, 2**64, (1, frames, 4), dtype=np.uint64)
    return VideoPrint(np.arange(frames, dtype=np.float32) / 2, words, np.full(frames, 90, np.uint8))


def test_a_clip_is_found_among_many_and_by_a_part_of_it() -> None:
    rng = np.random.default_rng(3)
    clips = [clip(rng) for _ in range(200)]
    held = VideoIndex()
    for key, one in enumerate(clips):
        held.add(1000 + key, one)
    for key in (0, 77, 199):
        worn = flipped(clips[key].words[0], 60, rng)
        for part in (slice(0, 16), slice(4, 9)):
            query = VideoPrint(clips[key].times[part], worn[None, part], clips[key].quality[part])
            assert held.candidates(query, 5)[0] == 1000 + key
    assert held.candidates(clip(rng), 5) == []


def test_flat_frames_are_neither_kept_nor_looked_for() -> None:
    rng = np.random.default_rng(4)
    flat = clip(rng)
    flat.quality[:] = 0
    held = VideoIndex()
    held.add(1, flat)
    assert held.candidates(flat, 5) == []
    bright = VideoPrint(flat.times, flat.words, np.full(16, 90, np.uint8))
    assert held.candidates(bright, 5) == []


def test_a_recording_is_found_at_its_lag() -> None:
    rng = np.random.default_rng(5)
    sounds = [AudioPrint(rng.integers(0, 2**32, 90, dtype=np.uint32)) for _ in range(200)]
    held = AudioIndex()
    for key, sound in enumerate(sounds):
        held.add(key, sound)
    for key in (0, 123, 199):
        worn = sounds[key].words ^ np.uint32(0b101)
        assert held.candidates(AudioPrint(worn[20:50]), 5)[0] == key
    assert held.candidates(AudioPrint(np.zeros(0, np.uint32)), 5) == []


def test_of_many_recordings_the_ones_that_agree_most_come_first() -> None:
    rng = np.random.default_rng(6)
    sound = rng.integers(0, 2**32, 64, dtype=np.uint32)
    held = AudioIndex()
    for key in range(8):
        changed = sound.copy()
        changed[: 8 * key] = rng.integers(0, 2**32, 8 * key, dtype=np.uint32)
        held.add(key, AudioPrint(changed))
    assert held.candidates(AudioPrint(sound), 3) == [0, 1, 2]
