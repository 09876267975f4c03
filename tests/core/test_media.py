from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from core.errors import BadMedia
from core.media.export import export
from core.media.probe import MediaLimits, blocks_are_bounded, probe
from core.media.read import frames, sound, whole_sound
from core.media.write import Delivery, Mezzanine

RNG = np.random.default_rng(7)
PICTURES = [RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(12)]
SOUND = RNG.uniform(-0.5, 0.5, (8000, 2)).astype(np.float32)


@pytest.fixture
def mezzanine(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mkv"
    with Mezzanine(path, width=64, height=48, fps=12, rate=8000, channels=2) as writer:
        for picture in PICTURES:
            writer.frame(picture)
        writer.sound(SOUND)
    return path


def test_the_mezzanine_is_lossless_in_picture_and_sound(mezzanine: Path) -> None:
    read = [frame.rgb for frame in frames(mezzanine)]
    assert all(np.array_equal(a, b) for a, b in zip(read, PICTURES, strict=True))
    assert np.array_equal(whole_sound(mezzanine), SOUND)


def test_wanted_frames_are_the_same_as_when_all_are_decoded(mezzanine: Path) -> None:
    some = list(frames(mezzanine, want=lambda index: index % 5 == 2))
    assert [frame.index for frame in some] == [2, 7]
    assert np.array_equal(some[1].rgb, PICTURES[7])
    assert some[1].time == pytest.approx(7 / 12)


def test_probe_counts_frames_and_samples(mezzanine: Path) -> None:
    clip = probe(mezzanine)
    assert clip.video is not None
    assert (clip.video.frames, clip.video.fps, clip.video.codec) == (12, 12, "ffv1")
    assert clip.audio is not None
    assert (clip.audio.samples, clip.audio.channels) == (8000, 2)
    assert clip.seconds == 1.0


def test_sound_is_resampled_and_mixed_down(mezzanine: Path) -> None:
    blocks = list(sound(mezzanine, rate=16_000, mono=True))
    assert sum(len(block) for block in blocks) == pytest.approx(16_000, abs=64)
    assert {block.shape[1] for block in blocks} == {1}


@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 47)])
def test_the_delivery_keeps_colours_and_pads_odd_sizes(tmp_path: Path, width: int, height: int) -> None:
    flat = np.zeros((height, width, 3), np.uint8)
    flat[:] = (200, 60, 30)
    path = tmp_path / "clip.mp4"
    with Delivery(path, width=width, height=height, fps=24, crf=12) as writer:
        for _ in range(4):
            writer.frame(flat)
    first = next(frames(path)).rgb
    assert first.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(first.astype(int) - (200, 60, 30)).max() <= 6


def test_sound_alone_becomes_an_m4a_that_starts_fast(tmp_path: Path) -> None:
    path = tmp_path / "clip.m4a"
    with Delivery(path, rate=8000, channels=2) as writer:
        writer.sound(SOUND)
    clip = probe(path)
    assert clip.video is None
    assert clip.audio is not None
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_a_clip_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> None:
        with Mezzanine(tmp_path / "clip.mkv", width=64, height=48, fps=12) as writer:
            writer.frame(PICTURES[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (MediaLimits(max_bytes=10), "bytes"),
        (MediaLimits(max_seconds=0.5), "s"),
        (MediaLimits(max_pixels=64 * 47), "pixels"),
        (MediaLimits(max_fps=5), "frame rate"),
        (MediaLimits(max_streams=1), "streams"),
        (MediaLimits(max_rate=4000), "sample rate"),
    ],
)
def test_every_limit_is_kept(mezzanine: Path, limits: MediaLimits, why: str) -> None:
    with pytest.raises(BadMedia, match=why):
        probe(mezzanine, limits)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isom",
        b"\x1a\x45\xdf\xa3" + b"\x00" * 100,
        b"<?xml version='1.0'?><MPD/>",
    ],
)
def test_what_is_not_media_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(BadMedia):
        probe(path)


def test_a_truncated_clip_is_refused_or_shorter(mezzanine: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(mezzanine.read_bytes()[:4000])
    try:
        clip = probe(cut)
    except BadMedia:
        return
    assert clip.video is None or clip.video.frames < 12


def test_a_length_in_a_file_does_not_decide_how_much_memory_is_taken(tmp_path: Path) -> None:
    """The chunk says it has 1.9 GB, and FFmpeg would make room for them and fill it."""
    assert blocks_are_bounded()
    path = tmp_path / "tone.wav"
    export(path, np.zeros((1600, 1), np.float32), 16_000)
    content = path.read_bytes()
    chunk = b"LIST" + struct.pack("<I", 0x70000000) + b"INFOIART" + struct.pack("<I", 0x6FFF0000)
    path.write_bytes(content[:36] + chunk + content[36:])
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak_kib()
    with suppress(BadMedia):
        probe(path)
    assert _peak_kib() - before < 100 << 10


def _peak_kib() -> int:
    return int(Path("/proc/self/status").read_text(encoding="ascii").partition("VmHWM:")[2].split()[0])
