"""From a 64-bit payload to 512 channel bits and back: CRC-32 (IEEE 802.3) inside a polar code."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from core.errors import BadInput
from provenance.marks import polar

PAYLOAD_BITS = 64
CODE_BITS = 512
_INPUT_BITS = PAYLOAD_BITS + 32


def encode(payload: int) -> npt.NDArray[np.int8]:
    """Turn a payload of 0..2^64-1 into (512,) symbols of +1 (bit 0) and -1 (bit 1).

    Raises BadInput when the payload does not fit 64 bits.
    """
    if not 0 <= payload < 1 << PAYLOAD_BITS:
        raise BadInput("A payload is an unsigned 64-bit integer.")
    data = payload.to_bytes(8, "big")
    whole = data + zlib.crc32(data).to_bytes(4, "big")
    bits = polar.encode(np.unpackbits(np.frombuffer(whole, np.uint8)), CODE_BITS)
    return 1 - 2 * bits.astype(np.int8)


def decode(llr: npt.NDArray[np.float64]) -> int | None:
    """Return the likeliest payload whose CRC holds for (512,) LLRs (positive means +1), or None."""
    for row in polar.decode(llr, _INPUT_BITS):
        whole = np.packbits(row).tobytes()
        if zlib.crc32(whole[:8]) == int.from_bytes(whole[8:], "big"):
            return int.from_bytes(whole[:8], "big")
    return None
