from __future__ import annotations

import contextlib
import struct
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import BadMedia
from provenance.manifest import medium
from tests.provenance.media import SIGNED, UNSIGNED, make


@pytest.mark.parametrize("kind", SIGNED)
def test_a_file_is_what_its_bytes_say(tmp_path: Path, kind: str) -> None:
    lying = make(tmp_path, kind).rename(tmp_path / "name.webm")
    assert medium(lying).mime == SIGNED[kind]


@pytest.mark.parametrize("kind", UNSIGNED)
def test_what_cannot_carry_a_manifest_is_named(tmp_path: Path, kind: str) -> None:
    lying = make(tmp_path, kind).rename(tmp_path / "name.mp4")
    with pytest.raises(BadMedia, match="MP4, MOV, M4A, WAV, MP3, FLAC, PNG and JPEG"):
        medium(lying)


def test_tracks_of_a_film_are_named_by_their_ids(tmp_path: Path) -> None:
    assert medium(make(tmp_path, "mp4")).tracks == {"video": "1", "audio": "2"}
    assert medium(make(tmp_path, "m4a")).tracks == {"audio": "1"}
    assert medium(make(tmp_path, "wav")).tracks == {}


def test_sound_alone_in_a_plain_mp4_is_audio(tmp_path: Path) -> None:
    content = make(tmp_path, "m4a").read_bytes()
    (tmp_path / "plain.mp4").write_bytes(content.replace(b"ftypM4A ", b"ftypisom"))
    assert medium(tmp_path / "plain.mp4").mime == "audio/mp4"


def test_a_tag_before_the_sound_does_not_hide_it(tmp_path: Path) -> None:
    tag = b"ID3\x04\0\0" + bytes([0, 0, 2, 0]) + bytes(256)
    for kind in ("mp3", "flac"):
        path = make(tmp_path, kind)
        content = path.read_bytes()
        if content[:3] == b"ID3":
            content = content[10 + content[9] + (content[8] << 7) :]
        path.write_bytes(tag + content)
        assert medium(path).mime == SIGNED[kind]
    adts = make(tmp_path, "adts")
    adts.write_bytes(tag + adts.read_bytes())
    with pytest.raises(BadMedia):
        medium(adts)


def test_a_missing_file_is_bad_media(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="cannot be opened"):
        medium(tmp_path / "nothing")


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def track(number: int, handler: bytes, *, version: int = 0) -> bytes:
    times = bytes(16 if version else 8)
    header = box(b"tkhd", bytes([version, 0, 0, 0]) + times + struct.pack(">I", number) + bytes(60))
    return box(b"trak", header + box(b"mdia", box(b"hdlr", bytes(8) + handler + bytes(13))))


@given(
    numbers=st.tuples(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)),
    version=st.integers(0, 1),
    before=st.integers(0, 5),
    large=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_track_ids_are_read_as_written(
    tmp_path: Path, numbers: tuple[int, int], version: int, before: int, *, large: bool
) -> None:
    tracks = track(numbers[0], b"soun", version=version) + track(numbers[1], b"vide", version=version)
    moov = box(b"mvhd", bytes(100)) + tracks
    written = struct.pack(">I4sQ", 1, b"moov", 16 + len(moov)) + moov if large else box(b"moov", moov)
    path = tmp_path / "film"
    path.write_bytes(box(b"ftyp", b"isom") + box(b"free", b"x") * before + written)
    assert medium(path).tracks == {"audio": str(numbers[0]), "video": str(numbers[1])}


@given(
    st.binary(max_size=400), st.sampled_from([b"", b"\0\0\0\x10ftypisom\0\0\0\0", b"ID3\x04\0\0", b"RIFF"])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_medium_or_bad_media(tmp_path: Path, content: bytes, head: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(head + content)
    with contextlib.suppress(BadMedia):
        assert medium(path).mime in SIGNED.values()


@pytest.mark.parametrize("inside", [False, True])
def test_a_million_empty_boxes_do_not_keep_us(tmp_path: Path, *, inside: bool) -> None:
    empty = box(b"free") * 1_000_000
    path = tmp_path / "boxes"
    path.write_bytes(box(b"ftyp", b"isom") + (box(b"moov", empty) if inside else empty))
    start = time.process_time()
    with pytest.raises(BadMedia):
        medium(path)
    assert time.process_time() - start < 2
