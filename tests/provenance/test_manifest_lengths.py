"""A manifest that promises more than it holds is refused before the library makes room for it."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import BadMedia
from provenance.keys import SigningKeys
from provenance.manifest import Claim, Parent, read, sign
from provenance.manifest._lengths import overdrawn
from tests.provenance.media import SIGNED, make

SHARED = Path(__file__).parents[3] / "shared" / "data" / "c2pa"
USE = b"cusejnotAllowed"
"""A text of ten letters in the training-mining assertion: its head is the j."""
FOUR_BYTES, EIGHT_BYTES = b"z", b"{"


def told(claim: Claim, kind: str) -> Claim:
    return replace(claim, mime=SIGNED[kind], video=kind == "mp4", audio=kind != "jpg")


def overdrawing(path: Path, head: bytes) -> Path:
    """Let one text in a manifest state another length; the file is otherwise as it was."""
    data = path.read_bytes()
    assert USE in data
    path.write_bytes(data.replace(USE, USE.replace(b"j", head), 1))
    return path


def peak_mib() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


@pytest.mark.parametrize("head", [FOUR_BYTES, EIGHT_BYTES])
@pytest.mark.parametrize("kind", ["jpg", "mp4", "wav", "mp3"])
def test_a_text_longer_than_its_box_takes_no_memory(
    tmp_path: Path, claim: Claim, keys: SigningKeys, kind: str, head: bytes
) -> None:
    path = tmp_path / "signed"
    sign(make(tmp_path, kind), path, told(claim, kind), keys)
    assert read(path, keys.claim_roots_pem).state == "trusted", "the control"
    overdrawing(path, head)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = peak_mib()
    reading = read(path, keys.claim_roots_pem)
    assert (reading.state, reading.failures) == ("malformed", ("assertion.cbor.invalid",))
    assert peak_mib() - before < 256


def test_an_input_that_promises_too_much_is_not_taken_in(
    tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    clip, path = make(tmp_path, "jpg"), tmp_path / "signed"
    sign(clip, path, told(claim, "jpg"), keys)
    parent = Parent(overdrawing(path, FOUR_BYTES), SIGNED["jpg"])
    with pytest.raises(BadMedia, match="states lengths"):
        sign(clip, tmp_path / "out", replace(told(claim, "jpg"), source="composite", parent=parent), keys)
    assert not (tmp_path / "out").exists()


def boxed(body: bytes, *, size: int | None = None) -> bytes:
    described = b"cbor\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71\x03label\x00"
    head = struct.pack(">I", 8 + len(described)) + b"jumd" + described
    return head + struct.pack(">I", 8 + len(body) if size is None else size) + b"cbor" + body


def jpeg(store: bytes, cut: int) -> bytes:
    """Spread a store over two APP11 segments, the second repeating the head of the box."""
    superbox = struct.pack(">I", 8 + len(store)) + b"jumb"
    parts = b""
    for number, piece in enumerate((store[:cut], store[cut:]), 1):
        content = b"JP\x00\x01" + struct.pack(">I", number) + superbox + piece
        parts += b"\xff\xeb" + struct.pack(">H", 2 + len(content)) + content
    return b"\xff\xd8" + parts + b"\xff\xd9"


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        (b"\x63abc", True),
        (b"\x64abc", False),
        (b"\xa1\x61a\x82\x01\x20", True),
        (b"\x9a\xff\xff\xff\xff\x01", False),
        (b"\xbb\x00\x00\x00\x01\x00\x00\x00\x00\x01", False),
        (b"\x9f\x01\x02\xff", True),
        (b"\xfb\x7f\xff\xff\xff\xff\xff\xff\xff", True),
        (b"", True),
    ],
)
def test_lengths_are_held_against_what_is_there(tmp_path: Path, body: bytes, fits: bool) -> None:
    path = tmp_path / "any.bin"
    path.write_bytes(b"before" + boxed(body) + b"after" * 9)
    assert overdrawn(path) is not fits


@pytest.mark.parametrize("size", [0, 1])
def test_a_box_without_a_length_of_its_own_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "any.bin"
    path.write_bytes(boxed(b"\x63abc", size=size))
    assert overdrawn(path)


@pytest.mark.parametrize("cut", [1, 30, 45, 60])
def test_a_box_that_goes_on_in_the_next_segment_is_read_as_one(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "any.jpg"
    path.write_bytes(jpeg(boxed(b"\x78\x40" + b"x" * 64), cut))
    assert not overdrawn(path)
    path.write_bytes(jpeg(boxed(b"\x78\x41" + b"x" * 64), cut))
    assert overdrawn(path)


def test_an_empty_file_promises_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.bin"
    path.touch()
    assert not overdrawn(path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public C2PA files are not here")
def test_no_public_file_is_refused_for_its_lengths() -> None:
    files = [path for path in SHARED.rglob("*") if path.is_file()]
    assert len(files) >= 68
    assert not [path.name for path in files if overdrawn(path)]
