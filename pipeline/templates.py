"""The form in which a template is sealed: a header, the sub-models, the numbers.

`GLT1`, then little-endian the rows n and the width d (uint32), the person's own threshold (float32, NaN for none),
n bytes of sub-models, and n times d float32. What older versions sealed, a NumPy file, is read for ever.
"""

from __future__ import annotations

import io
import struct

import numpy as np

from core.errors import Unavailable
from safety.gallery import Enrolment, Parts, Vectors

_HEAD = struct.Struct("<4sIIf")
_MAGIC = b"GLT1"
_NUMPY = b"\x93NUMPY"


def packed(made: Enrolment) -> bytes:
    """Write what an enrolment made."""
    rows, width = made.vectors.shape
    own = np.nan if made.threshold is None else made.threshold
    parts = np.zeros(rows, np.uint8) if made.parts is None else made.parts
    return _HEAD.pack(_MAGIC, rows, width, own) + parts.tobytes() + made.vectors.astype("<f4").tobytes()


def unpacked(identity: str, plain: bytes) -> tuple[Vectors, Parts | None, float | None]:
    """Read vectors, sub-models and own threshold; raises `Unavailable` for anything but a whole template."""
    try:
        if plain.startswith(_NUMPY):
            return np.load(io.BytesIO(plain), allow_pickle=False).astype(np.float32), None, None
        magic, rows, width, own = _HEAD.unpack_from(plain)
    except (ValueError, struct.error, EOFError) as error:
        raise Unavailable(f"The template of {identity} is damaged.") from error
    if magic != _MAGIC or len(plain) != _HEAD.size + rows + 4 * rows * width:
        raise Unavailable(f"The template of {identity} is damaged.")
    parts = np.frombuffer(plain, np.uint8, rows, _HEAD.size)
    vectors = np.frombuffer(plain, "<f4", rows * width, _HEAD.size + rows).reshape(rows, width)
    return vectors, parts, None if np.isnan(own) else own
