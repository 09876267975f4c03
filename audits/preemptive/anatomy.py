"""Name every byte of a small signed file by what it is, so that each kind can be attacked by itself."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_NESTED = {b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"udta", b"meta", b"ilst"}
_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_ZEROS = re.compile(rb"\0{64,}")
_SOS, _EOI = 0xDA, 0xD9


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `start` up to `end`, and what they are, such as "moov/trak/tkhd" or "manifest claim"."""

    name: str
    start: int
    end: int


def dissect(data: bytes) -> list[Part]:
    """Cut a well-formed MP4, MOV, WAV, MP3, FLAC, PNG or JPEG file into parts that cover all of its bytes."""
    cut = next(cut for magic, cut in _FORMATS if re.match(magic, data, re.DOTALL))
    return [part for part in cut(data) if part.end > part.start]


def _boxes(data: bytes, at: int = 0, end: int | None = None, path: str = "") -> Iterator[Part]:
    end = len(data) if end is None else end
    while at < end:
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        head, stop = at + 8, at + size
        name = path + kind.decode("latin-1")
        if kind in _NESTED or path.endswith("ilst/"):
            inside = head + 4 if _is_full(data, kind, head) else head
            yield Part(f"{name} header", at, inside)
            yield from _boxes(data, inside, stop, f"{name}/")
        elif data[head : head + 16] == _C2PA_BOX:
            yield from _around_manifest(data, name, at, stop)
        else:
            yield Part(f"{name} header", at, head)
            yield Part(name, head, stop)
        at = stop


def _is_full(data: bytes, kind: bytes, head: int) -> bool:
    """Tell whether a `meta` box begins with version and flags, as in MP4, or with its first box, as in QuickTime."""
    return kind == b"meta" and data[head + 4 : head + 8] != b"hdlr"


def _chunks(data: bytes) -> Iterator[Part]:
    """Cut a RIFF file."""
    yield Part("RIFF header", 0, 12)
    at = 12
    while at < len(data):
        kind, size = struct.unpack("<4sI", data[at : at + 8])
        stop = min(at + 8 + size + size % 2, len(data))
        name = kind.decode("latin-1").strip()
        yield from _headed(data, name, at, 8, stop)
        at = stop


def _tagged(data: bytes) -> Iterator[Part]:
    """Cut an MP3 or FLAC file, with an ID3 tag before it or without."""
    at = 0
    if data.startswith(b"ID3"):
        end = 10 + _syncsafe(data[6:10])
        yield Part("ID3 header", 0, 10)
        at = 10
        while at < end and data[at]:
            size = _syncsafe(data[at + 4 : at + 8])
            yield from _headed(data, data[at : at + 4].decode("latin-1"), at, 10, at + 10 + size)
            at += 10 + size
        yield Part("ID3 padding", at, end)
        at = end
    yield from _flac(data, at) if data[at : at + 4] == b"fLaC" else [Part("MPEG frames", at, len(data))]


def _syncsafe(four: bytes) -> int:
    return sum(byte << shift for byte, shift in zip(four, (21, 14, 7, 0), strict=True))


def _flac(data: bytes, at: int) -> Iterator[Part]:
    yield Part("fLaC", at, at + 4)
    at, last = at + 4, False
    while not last:
        last, kind = bool(data[at] & 0x80), data[at] & 0x7F
        stop = at + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
        yield from _headed(data, f"block {kind}", at, 4, stop)
        at = stop
    yield Part("FLAC frames", at, len(data))


def _png(data: bytes) -> Iterator[Part]:
    yield Part("PNG signature", 0, 8)
    at = 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        name, stop = kind.decode("latin-1"), at + 8 + size
        yield from _headed(data, name, at, 8, stop)
        yield Part(f"{name} check", stop, stop + 4)
        at = stop + 4


def _jpeg(data: bytes) -> Iterator[Part]:
    yield Part("SOI", 0, 2)
    at, marker = 2, 0
    while marker != _SOS:
        marker = data[at + 1]
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield from _headed(data, f"segment {marker:02X}", at, 4, stop)
        at = stop
    yield Part("scan", at, len(data) - 2)
    yield Part("EOI", len(data) - 2, len(data))


_FORMATS: tuple[tuple[bytes, Callable[[bytes], Iterator[Part]]], ...] = (
    (rb"....ftyp", _boxes),
    (rb"RIFF", _chunks),
    (rb"ID3|fLaC|\xff[\xf2-\xfb]", _tagged),
    (rb"\x89PNG", _png),
    (rb"\xff\xd8", _jpeg),
)


def _headed(data: bytes, name: str, at: int, head: int, stop: int) -> Iterator[Part]:
    """Cut what has a header of `head` bytes, and may be what carries the manifest."""
    if data[at:stop].find(b"jumb") >= 0 and data[at:stop].find(b"jumdc2pa") >= 0:
        yield from _around_manifest(data, name, at, stop)
        return
    yield Part(f"{name} header", at, at + head)
    yield Part(name, at + head, stop)


def _around_manifest(data: bytes, name: str, at: int, stop: int) -> Iterator[Part]:
    start = data.index(b"jumb", at) - 4
    end = start + int.from_bytes(data[start : start + 4], "big")
    yield Part(f"{name} header", at, start)
    yield from _store(data, start, end)
    yield Part(f"{name} tail", end, stop)


def _store(data: bytes, at: int, end: int, above: str = "") -> Iterator[Part]:
    """Cut JUMBF (ISO 19566-5): superboxes by their labels, the signature apart from its padding."""
    while at < end:
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        head, stop = at + 8, at + size
        if kind == b"jumb":
            described = head + int.from_bytes(data[head : head + 4], "big")
            label = data[head + 25 : described].split(b"\0")[0].decode()
            yield Part(f"manifest {_layer(label)} box", at, described)
            yield from _store(data, described, stop, label)
        else:
            yield Part(f"manifest {_layer(above)} box", at, head)
            yield from _padded(data, head, stop, f"manifest {_layer(above)}")
        at = stop


def _layer(label: str) -> str:
    """Say what a JUMBF label stands for, without its number or the id of a manifest."""
    if label.startswith("urn:"):
        return "urn"
    return label.removeprefix("c2pa.").split("__")[0]


def _padded(data: bytes, start: int, stop: int, name: str) -> Iterator[Part]:
    found = _ZEROS.search(data, start, stop)
    if found is None:
        yield Part(name, start, stop)
        return
    yield Part(name, start, found.start())
    yield Part(f"{name} padding", found.start(), found.end())
    yield Part(name, found.end(), stop)
