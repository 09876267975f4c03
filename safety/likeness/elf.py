"""Read named constants out of a shared library, which is how libfacedetection carries its weights.

Nothing of the library is run or linked: the dynamic symbol table says where each array lies in the file.
Source: the ELF-64 specification (section headers, program headers, `Elf64_Sym`), little-endian only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from core.errors import ModelMissing

_HEAD, _SECTION, _SEGMENT, _SYMBOL = b"\x7fELF\x02\x01", "<IIQQQQIIQQ", "<IIQQQQQQ", "<IBBHQQ"
_DYNAMIC_SYMBOLS, _LOADED = 11, 1


def constants(data: bytes) -> dict[str, bytes]:
    """Give the bytes of every defined data symbol by name; raises `ModelMissing` for what is no such file."""
    try:
        if not data.startswith(_HEAD):
            raise ModelMissing("the library with the detector's weights is no 64-bit ELF file")
        return dict(_symbols(data))
    except (struct.error, ValueError, IndexError) as error:
        raise ModelMissing("the library with the detector's weights is damaged") from error


def _symbols(data: bytes) -> Iterator[tuple[str, bytes]]:
    sections = _table(data, _SECTION, offset=40, count=58)
    segments = [part for part in _table(data, _SEGMENT, offset=32, count=54) if part[0] == _LOADED]
    for section in sections:
        if section[1] != _DYNAMIC_SYMBOLS:
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], struct.calcsize(_SYMBOL)):
            name, _, _, defined, address, size = struct.unpack_from(_SYMBOL, data, at)
            start = _offset(segments, address, size)
            if defined and size and start is not None:
                end = data.index(b"\0", names + name)
                yield data[names + name : end].decode(), data[start : start + size]


def _table(data: bytes, entry: str, *, offset: int, count: int) -> list[tuple[int, ...]]:
    (start,) = struct.unpack_from("<Q", data, offset)
    _, number = struct.unpack_from("<HH", data, count)
    return [struct.unpack_from(entry, data, start + i * struct.calcsize(entry)) for i in range(number)]


def _offset(segments: list[tuple[int, ...]], address: int, size: int) -> int | None:
    for _, _, offset, virtual, _, in_file, *_ in segments:
        if virtual <= address and address + size <= virtual + in_file:
            return offset + address - virtual
    return None
