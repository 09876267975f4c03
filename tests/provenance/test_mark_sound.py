from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.errors import BadMedia
from core.media.clip import Sound
from core.media.export import export
from core.media.probe import probe
from core.media.read import frames, whole_sound
from core.media.write import Delivery
from provenance.mark_sound import mark_sound
from provenance.marks import MarkKey, audio

KEY = MarkKey("k1", bytes(range(32)))
PAYLOAD = 0x0123456789ABCDEF


def hiss(rate: int, channels: int = 1, seconds: float = 6) -> Sound:
    dice = np.random.default_rng(3)
    swell = 1 + 0.6 * np.sin(7 * np.arange(round(seconds * rate)) / rate)
    noise = np.cumsum(dice.standard_normal((len(swell), channels)), axis=0)
    rough = np.diff(noise, axis=0, prepend=0) + 0.05 * (
        noise - np.linspace(0, 1, len(noise))[:, None] * noise[-1]
    )
    return np.asarray(0.4 * rough * swell[:, None] / np.abs(rough * swell[:, None]).max(), np.float32)


def found_in(path: Path) -> int | None:
    clip = probe(path)
    assert clip.audio is not None
    return audio.detect(whole_sound(path), clip.audio.rate, [KEY], thorough=False).payload


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".m4a"])
def test_sound_is_marked_in_every_format(suffix: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.flac", tmp_path / f"out{suffix}"
    export(source, hiss(44_100, 2), 44_100)
    mark_sound(probe(source), out, PAYLOAD, KEY)
    track = probe(out).audio
    assert track is not None
    assert (track.rate, track.channels) == (44_100, 2)
    assert found_in(out) == PAYLOAD
    assert found_in(source) is None


def test_the_sound_of_a_video_is_marked_and_its_picture_copied(tmp_path: Path) -> None:
    source, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    with Delivery(source, width=64, height=48, fps=12, rate=48_000, channels=1) as clip:
        clip.sound(hiss(48_000))
        for number in range(72):
            clip.frame(np.full((48, 64, 3), 3 * number, np.uint8))
    mark_sound(probe(source), out, PAYLOAD, KEY)
    assert found_in(out) == PAYLOAD
    before, after = ([frame.rgb for frame in frames(path)] for path in (source, out))
    assert np.array_equal(before, after)


def eight_bit(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 16_000, 0, "NONE", ""))
        file.writeframes(np.clip(128 + 120 * hiss(16_000)[:, 0], 0, 255).astype(np.uint8).tobytes())


def one_channel_dead(path: Path) -> None:
    export(path, hiss(48_000, 2) * np.array([[1, 0]], np.float32), 48_000)


def clipped_throughout(path: Path) -> None:
    export(path, np.clip(50 * hiss(48_000), -1, 1), 48_000)


def cut_short(path: Path) -> None:
    export(path, hiss(48_000, seconds=8), 48_000)
    path.write_bytes(path.read_bytes()[: 48_000 * 2 * 6])


ODD: dict[str, Callable[[Path], None]] = {
    "8 bits": eight_bit,
    "192 kHz": lambda path: export(path, hiss(192_000), 192_000),
    "7.1": lambda path: export(path, hiss(16_000, 8), 16_000),
    "a dead channel": one_channel_dead,
    "clipped throughout": clipped_throughout,
    "cut short": cut_short,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_marked(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.wav", tmp_path / "out.wav"
    ODD[name](source)
    mark_sound(probe(source), out, PAYLOAD, KEY)
    assert found_in(out) == PAYLOAD
    assert np.abs(whole_sound(out)).max() <= 1
    if name == "a dead channel":
        assert not whole_sound(out)[:, 1].any()


@pytest.mark.parametrize(
    ("sound", "out", "why"),
    [
        (hiss(16_000, seconds=0.2), "out.wav", "too short to carry a mark"),
        (np.zeros((6 * 16_000, 1), np.float32), "out.wav", "silent"),
        (hiss(16_000), "out.aiff", "WAV, FLAC, MP3"),
        (hiss(192_000), "out.mp3", "cannot be written"),
    ],
)
def test_what_cannot_be_marked_is_refused_and_nothing_is_left(
    sound: Sound, out: str, why: str, tmp_path: Path
) -> None:
    source = tmp_path / "in.wav"
    export(source, sound, 192_000 if len(sound) > 1_000_000 else 16_000)
    with pytest.raises(BadMedia, match=why):
        mark_sound(probe(source), tmp_path / out, PAYLOAD, KEY)
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]
