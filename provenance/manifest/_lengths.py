"""Whether a manifest promises more than it holds: the SDK makes room for whatever length its CBOR states.

One changed bit in the head of a text makes it 1.8 GB long; such a file is refused before the SDK sees it.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

_CONTENT_TYPE = b"\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
"""How the type in every JUMBF description box of C2PA ends (ISO 19566-5 B.2; C2PA 2.4, section 11.1)."""
_BEFORE = 12  # bytes of length, "jumd", and the four letters that the type begins with
_CONTINUED = re.compile(rb"\xff\xeb..JP..(?!\0\0\0\x01)....(?:....jumb)", re.DOTALL)
"""Where a box goes on in the next segment of a JPEG file, none of which is longer than 64 KiB (ISO 18477-3 B.1)."""
_JPEG = b"\xff\xd8\xff"
_BYTES, _TEXT, _ARRAY, _MAP = 2, 3, 4, 5
_INDEFINITE = 31


def overdrawn(path: Path) -> bool:
    """Tell whether a CBOR box of the file's manifest states a length that does not fit into it.

    Looks for JUMBF boxes in all of the file, whatever its format, so that no container hides one; not into
    compressed manifests, which the SDK unpacks to a bounded size. Raises `OSError`.
    """
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        told = _CONTINUED.sub(b"", content) if content[:3] == _JPEG else content
        return not all(map(_fits, _cbor_boxes(told)))


def _cbor_boxes(content: bytes | mmap.mmap) -> Iterator[bytes | None]:
    """Give what is in each CBOR box that follows a description box; None where it has no length of its own."""
    at = content.find(_CONTENT_TYPE, _BEFORE)
    while at >= 0:
        start = at - _BEFORE
        box = start + int.from_bytes(content[start : start + 4], "big")
        if content[box + 4 : box + 8] == b"cbor":
            size = int.from_bytes(content[box : box + 4], "big")
            yield content[box + 8 : box + size] if size > 1 else None
        at = content.find(_CONTENT_TYPE, at + 1)


def _fits(data: bytes | None) -> bool:
    """Tell whether every string, array and map of CBOR data (RFC 8949) can fit into what is there."""
    if data is None:
        return False
    at = 0
    while at < len(data):
        major, small = data[at] >> 5, data[at] & 31
        width = 1 << (small - 24) if 24 <= small <= 27 else 0
        length = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else small
        at += 1 + width
        if small == _INDEFINITE or major not in (_BYTES, _TEXT, _ARRAY, _MAP):
            continue
        if length > len(data) - at:
            return False
        if major in (_BYTES, _TEXT):
            at += length
    return True
