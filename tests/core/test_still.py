from __future__ import annotations

import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import BadMedia
from core.media.export import export
from core.media.probe import demuxer, probe
from core.media.read import frames, greys, whole_sound
from core.media.still import is_still, still
from core.media.write import Delivery

PICTURE = np.random.default_rng(3).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    cv2.imwrite(str(path), PICTURE)
    assert is_still(path)
    expected = cv2.cvtColor(PICTURE, cv2.COLOR_BGR2GRAY).astype(int)
    assert abs(still(path, max_pixels=1200) - expected).mean() < (1 if suffix == ".png" else 20)
    with pytest.raises(BadMedia, match="40x30"):
        still(path, max_pixels=1199)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_picture_that_says_it_is_huge_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")))
    with pytest.raises(BadMedia):
        still(path, max_pixels=3840 * 2160)


def test_a_length_in_a_picture_does_not_decide_how_much_memory_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), PICTURE)
    content = bytearray(path.read_bytes())
    at = content.index(b"IDAT") - 4
    content[at : at + 4] = struct.pack(">I", 0xFFFFFFFF)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with suppress(BadMedia):
            still(path, max_pixels=1200)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_broken_picture_is_bad_media_or_a_picture(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / f"picture{data.draw(st.sampled_from(['.png', '.jpg']))}"
    cv2.imwrite(str(path), PICTURE)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(BadMedia):
        assert still(path, max_pixels=1200).ndim == 2


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
def test_exported_sound_is_read_again(tmp_path: Path, suffix: str) -> None:
    tone = (0.5 * np.sin(np.arange(16_000) * 0.2)).astype(np.float32)
    path = tmp_path / f"tone{suffix}"
    export(path, np.stack([tone, tone], axis=1), 16_000)
    back = whole_sound(path)
    assert back.shape[1] == 2
    assert abs(len(back) - 16_000) <= (0 if suffix != ".mp3" else 3000)
    assert abs(float(back.std()) - float(tone.std())) < 0.05
    with pytest.raises(BadMedia):
        export(tmp_path / "tone.aac", back, 16_000)


def test_flac_behind_a_tag_is_flac(tmp_path: Path) -> None:
    path = tmp_path / "tone.flac"
    export(path, np.zeros((1600, 1), np.float32), 16_000)
    tagged = b"ID3\x04\x00\x00" + bytes([0, 0, 1, 0]) + bytes(128) + path.read_bytes()
    path.write_bytes(tagged)
    assert demuxer(path) == "flac"
    assert probe(path).audio is not None


def test_greys_are_the_brightness_of_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with Delivery(path, width=64, height=48, fps=10) as out:
        for level in range(0, 200, 10):
            out.frame(np.full((48, 64, 3), level, np.uint8))
    seen, shown = list(greys(path, per_second=12)), list(frames(path))
    assert [round(one.time, 3) for one in seen] == [round(one.time, 3) for one in shown]
    for grey, frame in zip(seen, shown, strict=True):  # limited range: 16 to 235
        assert abs((float(grey.luma.mean()) - 16) * 255 / 219 - float(frame.rgb.mean())) < 3


def test_greys_of_a_fast_clip_are_fewer_and_spread_evenly(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    dice = np.random.default_rng(1)
    with Delivery(path, width=64, height=48, fps=60, preset="ultrafast") as out:
        for _ in range(120):
            out.frame(dice.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    times = np.array([one.time for one in greys(path, per_second=12)])
    assert 23 <= len(times) <= 26
    assert np.diff(times).max() < 0.12
