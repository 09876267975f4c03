"""What a file is, by its bytes: the name it came under proves nothing, and the SDK takes a media type on faith."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from core.errors import BadMedia
from core.media.probe import after_tag

_HEAD = 16
_LARGEST_MOOV = 64 << 20
_MOST_BOXES = 10_000  # on one level; a file of nothing but headers must not keep us
_NOTHING = memoryview(b"")
_QUICKTIME, _AUDIO_BRANDS = b"qt  ", {b"M4A ", b"M4B "}
_NAMES = {b"vide": "video", b"soun": "audio"}
_ELSEWHERE = {
    b"\x1a\x45\xdf\xa3": "Matroska or WebM",
    b"OggS": "Ogg",
    b"RF64": "RF64",
    b"GIF8": "GIF",
}


@dataclass(frozen=True, slots=True)
class Medium:
    """A media type that can carry a manifest, and of an MP4 what matters to one.

    `tracks` maps "video" and "audio" to ids of its tracks; `bodies` counts its boxes of media data.
    """

    mime: str
    tracks: dict[str, str] = field(default_factory=dict)
    bodies: int = 0


def medium(path: Path) -> Medium:
    """Tell what a file is by its content, or raise `BadMedia` when it is nothing that can carry a manifest.

    MP4, MOV and M4A are told apart by brand and tracks (ISO/IEC 14496-12); of MPEG audio only layer III passes.
    """
    try:
        with path.open("rb") as file:
            return _medium(file)
    except OSError as error:
        raise BadMedia(f"The file cannot be opened: {error.strerror}") from error


def _medium(file: BinaryIO) -> Medium:
    head = file.read(_HEAD)
    if head[4:8] == b"ftyp":
        return _bmff(file, head[8:12])
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return Medium("audio/wav")
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return Medium("image/png")
    if head[:3] == b"\xff\xd8\xff":
        return Medium("image/jpeg")
    sound = after_tag(file, head)
    if sound[:4] == b"fLaC":  # signed FLAC begins with an ID3 tag: the SDK keeps the manifest in one
        return Medium("audio/flac")
    if _is_layer_3(sound):
        return Medium("audio/mpeg")
    raise _refused(_ELSEWHERE.get(head[:4]))


def _refused(known: str | None) -> BadMedia:
    what = f"The file is {known}" if known else "The file is no media that can be signed"
    return BadMedia(f"{what}; a manifest goes into MP4, MOV, M4A, WAV, MP3, FLAC, PNG and JPEG.")


def _is_layer_3(head: bytes) -> bool:
    # eleven bits of synchronisation, a version that exists, layer III (ISO/IEC 11172-3, 2.4.2.3); AAC says layer 0
    return len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[1] & 0x18 != 0x08


def _bmff(file: BinaryIO, brand: bytes) -> Medium:
    boxes = list(_top(file))
    tracks = _tracks(_content(file, boxes))
    bodies = sum(kind == b"mdat" for kind, _, _ in boxes)
    if not tracks:  # a picture in the same clothes (AVIF, HEIC), or cut short
        raise _refused(None)
    if brand == _QUICKTIME:
        return Medium("video/quicktime", tracks, bodies)
    if brand in _AUDIO_BRANDS or "video" not in tracks:
        return Medium("audio/mp4", tracks, bodies)
    return Medium("video/mp4", tracks, bodies)


def _top(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Walk the boxes of a file: type, where the content starts and where it ends."""
    at, end = 0, file.seek(0, io.SEEK_END)
    for _ in range(_MOST_BOXES):
        file.seek(at)
        size, kind, start = _box(file.read(16), end - at)
        if size < start:
            return
        yield kind, at + start, at + size
        at += size


def _content(file: BinaryIO, boxes: list[tuple[bytes, int, int]]) -> memoryview:
    for kind, start, end in boxes:
        if kind == b"moov":
            file.seek(start)
            return memoryview(file.read(min(end - start, _LARGEST_MOOV)))
    return _NOTHING


def _tracks(moov: memoryview) -> dict[str, str]:
    """Find the first picture and the first sound track; a file cut short has those that are still there."""
    found: dict[str, str] = {}
    for kind, trak in _inside(moov):
        if kind == b"trak":
            name, number = _track(trak)
            if name:
                found.setdefault(name, number)
    return found


def _track(trak: memoryview) -> tuple[str, str]:
    boxes = dict(_inside(trak))
    header, media = boxes.get(b"tkhd", _NOTHING), dict(_inside(boxes.get(b"mdia", _NOTHING)))
    name = _NAMES.get(bytes(media.get(b"hdlr", _NOTHING)[8:12]), "")
    start = 20 if bytes(header[:1]) == b"\x01" else 12  # version 1 has times of 64 bits
    return name, str(int.from_bytes(header[start : start + 4], "big"))


def _inside(body: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Walk the boxes on one level of a box's content."""
    at = 0
    for _ in range(_MOST_BOXES):
        size, kind, start = _box(bytes(body[at : at + 16]), len(body) - at)
        if size < start:
            return
        yield kind, body[at + start : at + size]
        at += size


def _box(head: bytes, left: int) -> tuple[int, bytes, int]:
    """Read a box's header: its size, its type, where its content starts; size 0 when there is none."""
    if len(head) < 8 or left < 8:
        return 0, b"", 8
    size, kind = int.from_bytes(head[:4], "big"), head[4:8]
    if size == 1:
        return int.from_bytes(head[8:16], "big"), kind, 16
    return size or left, kind, 8
