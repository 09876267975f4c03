"""Break files in the ways that parsers break on: every mutation knows the structure that it breaks."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audits.preemptive.anatomy import Part


@dataclass(frozen=True, slots=True)
class Lure:
    """What a reader must never follow: the path of a file and an address on the network."""

    path: str
    url: str

    def bait(self, dice: random.Random) -> bytes:
        """Write one of them in a way in which formats refer to other files."""
        where = dice.choice((self.path, f"file://{self.path}", self.url)).encode() + b"\0"
        box = struct.pack(">I4sI", 12 + len(where), b"url ", 0) + where
        dref = struct.pack(">I4sII", 16 + len(box), b"dref", 0, 1) + box
        xmp = b"http://ns.adobe.com/xap/1.0/\0" + _XMP % where[:-1]
        app1 = b"\xff\xe1" + struct.pack(">H", 2 + len(xmp)) + xmp
        return dice.choice((where, box, dref, app1, b"#EXTM3U\n" + where))


Mutation = Callable[[random.Random, bytes, Sequence[Part], Lure], bytes]
_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="%s"/></rdf:RDF></x:xmpmeta>'
_EXTREMES = (0, 1, 7, 8, 9, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF)
_CBOR = (
    b"\x9f",
    b"\xbf",
    b"\x5b" + b"\xff" * 8,
    b"\x9b" + b"\x7f" * 8,
    b"\xbb\0\0\0\1\0\0\0\0",
    b"\xd8\x40",
    b"\x81" * 64,
    b"\xfb\x7f\xf0" + bytes(6),
)


def mutated(
    dice: random.Random, data: bytes, parts: Sequence[Part], donors: Sequence[bytes], lure: Lure
) -> bytes:
    """Give a broken copy: one to four mutations, now and then with bytes of another file in it."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        if dice.random() < 0.05:
            data = _grafted(dice, data, dice.choice(donors))
        else:
            data = dice.choice(MUTATIONS)(dice, data, parts, lure)
    return data


def _place(dice: random.Random, data: bytes, parts: Sequence[Part]) -> tuple[int, int]:
    """Choose a part, all kinds alike however long they are; earlier mutations may have moved it."""
    name = dice.choice(sorted({part.name for part in parts}))
    part = dice.choice([part for part in parts if part.name == name])
    return min(part.start, len(data)), min(part.end, len(data))


def _flip(dice: random.Random, data: bytes, parts: Sequence[Part], _lure: Lure) -> bytes:
    start, end = _place(dice, data, parts)
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 8))):
        if end > start:
            out[dice.randrange(start, end)] ^= 1 << dice.randrange(8)
    return bytes(out)


def _number(dice: random.Random, data: bytes, parts: Sequence[Part], _lure: Lure) -> bytes:
    """Write an extreme number where a length, a count or an offset may stand."""
    start, end = _place(dice, data, parts)
    at = start + dice.choice((0, 0, 4, dice.randrange(max(1, end - start))))
    size = dice.choice((1, 2, 4, 8))
    value = dice.choice(_EXTREMES) & ((1 << 8 * size) - 1)
    return data[:at] + value.to_bytes(size, dice.choice(("big", "little"))) + data[at + size :]


def _nudge(dice: random.Random, data: bytes, parts: Sequence[Part], _lure: Lure) -> bytes:
    """Make a 32-bit number a little larger or smaller."""
    start, _ = _place(dice, data, parts)
    value = int.from_bytes(data[start : start + 4], "big") + dice.choice((-8, -1, 1, 8, 4096))
    return data[:start] + (value & 0xFFFFFFFF).to_bytes(4, "big") + data[start + 4 :]


def _delete(dice: random.Random, data: bytes, parts: Sequence[Part], _lure: Lure) -> bytes:
    start, end = _place(dice, data, parts)
    return data[:start] + data[end:]


def _double(dice: random.Random, data: bytes, parts: Sequence[Part], _lure: Lure) -> bytes:
    start, end = _place(dice, data, parts)
    times = dice.choice((2, 2, 3, 50)) if end - start < 4096 else 2
    return data[:start] + data[start:end] * times + data[end:]


def _swap(dice: random.Random, data: bytes, parts: Sequence[Part], _lure: Lure) -> bytes:
    (a, b), (c, d) = sorted((_place(dice, data, parts), _place(dice, data, parts)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _rename(dice: random.Random, data: bytes, parts: Sequence[Part], _lure: Lure) -> bytes:
    """Put another part's type where this one's stands."""
    start, _ = _place(dice, data, parts)
    other, _ = _place(dice, data, parts)
    return data[: start + 4] + data[other + 4 : other + 8] + data[start + 8 :]


def _cut(dice: random.Random, data: bytes, parts: Sequence[Part], _lure: Lure) -> bytes:
    start, end = _place(dice, data, parts)
    return data[: dice.randint(start, end)]


def _insert(dice: random.Random, data: bytes, parts: Sequence[Part], lure: Lure) -> bytes:
    start, end = _place(dice, data, parts)
    at = dice.randint(start, end)
    junk = dice.choice((dice.randbytes(dice.choice((1, 4, 64, 5000))), bytes(dice.choice((1, 8, 4096)))))
    return data[:at] + dice.choice((junk, lure.bait(dice), dice.choice(_CBOR))) + data[at:]


def _overwrite(dice: random.Random, data: bytes, parts: Sequence[Part], lure: Lure) -> bytes:
    """Keep every length right and write something that should not be there."""
    start, end = _place(dice, data, parts)
    at = dice.randint(start, max(start, end - 1))
    new = dice.choice((dice.choice(_CBOR), lure.bait(dice), dice.randbytes(8)))[: end - at]
    return data[:at] + new + data[at + len(new) :]


def _grafted(dice: random.Random, data: bytes, donor: bytes) -> bytes:
    start = dice.randrange(len(donor))
    piece = donor[start : start + dice.choice((16, 256, 4096, len(donor)))]
    at = dice.randint(0, len(data))
    return data[:at] + piece + data[at + dice.choice((0, len(piece))) :]


def _refer(dice: random.Random, data: bytes, parts: Sequence[Part], lure: Lure) -> bytes:
    """Say that the media are in another file, where MP4 can say so."""
    places = [part for part in parts if part.name.endswith("/dref header")]
    if not places:
        return _insert(dice, data, parts, lure)
    start = min(dice.choice(places).start, len(data))
    return data[:start] + lure.bait(dice) + data[start + 28 :]


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _flip, _number, _number, _nudge, _delete, _double, _swap, _rename, _cut, _insert, _overwrite, _refer,
)  # fmt: skip
