"""Take a manifest store apart: JUMBF boxes (ISO 19566-5), the active manifest last (C2PA 2.4, section 11)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from core.errors import BadMedia

_SIZE = struct.Struct(">I4s")
_LARGE = struct.Struct(">Q")


def active_manifest(store: bytes) -> bytes:
    """Give the store without any manifest but the active one; raises `BadMedia` if it is no store.

    What the active manifest refers to in the others is no longer there: it can be read, not validated.
    """
    boxes = list(_boxes(store))
    if [kind for kind, _ in boxes] != [b"jumb"]:
        raise BadMedia("These bytes are no manifest store.")
    parts = list(_boxes(boxes[0][1]))
    described, manifests = parts[:1], parts[1:]
    if [kind for kind, _ in described] != [b"jumd"] or not manifests or manifests[-1][0] != b"jumb":
        raise BadMedia("The manifest store holds no manifest.")
    return _box(b"jumb", b"".join(_box(*part) for part in (*described, manifests[-1])))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        kind, content, at = _next(data, at)
        yield kind, content


def _next(data: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Read one box: its kind, its content, where the next one starts."""
    try:
        size, kind = _SIZE.unpack_from(data, at)
        head = _SIZE.size
        if size == 1:
            size, head = _LARGE.unpack_from(data, at + head)[0], head + _LARGE.size
    except struct.error as error:
        raise BadMedia("A box of the manifest store is cut short.") from error
    size = size or len(data) - at
    if size < head or at + size > len(data):
        raise BadMedia("A box of the manifest store has the wrong size.")
    return kind, data[at + head : at + size], at + size


def _box(kind: bytes, content: bytes) -> bytes:
    small = _SIZE.size + len(content)
    if small < 1 << 32:
        return _SIZE.pack(small, kind) + content
    return _SIZE.pack(1, kind) + _LARGE.pack(small + _LARGE.size) + content
