"""The message and its channel code: 64 payload bits and a CRC-24 in a polar code of 512 bits.

The CRC chooses among the words of the list decoder, and refuses where the right one is not in the list. It is not
what protects unmarked sound from a false payload: see `detector`.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from provenance.marks import polar

Bits = npt.NDArray[np.uint8]
"""0 and 1, most significant first."""
Floats = npt.NDArray[np.float32]

PAYLOAD_BITS = 64
CRC_BITS = 24
MESSAGE_BITS = PAYLOAD_BITS + CRC_BITS
CODE_BITS = 512
_CANDIDATES = (
    8  # of the decoder's list: the right word is among the first, each further one may pass by chance
)


def message(payload: int) -> Bits:
    """Append the CRC to a 64-bit payload: (88,) bits. Raises ValueError when it does not fit 64 bits."""
    if not 0 <= payload < 1 << PAYLOAD_BITS:
        raise ValueError("an audio mark carries an unsigned 64-bit payload")
    body = payload.to_bytes(PAYLOAD_BITS // 8, "big")
    return np.unpackbits(np.frombuffer(body + _crc(body), np.uint8))


def payload(bits: Bits) -> int | None:
    """Give the payload of a (88,) message, or None when its CRC disagrees."""
    whole = np.packbits(bits).tobytes()
    body, crc = whole[: PAYLOAD_BITS // 8], whole[PAYLOAD_BITS // 8 :]
    return int.from_bytes(body, "big") if _crc(body) == crc else None


def _crc(body: bytes) -> bytes:
    """Give the upper 24 bits of the CRC-32 (IEEE 802.3)."""
    return zlib.crc32(body).to_bytes(4, "big")[: CRC_BITS // 8]


def encode(bits: Bits) -> Floats:
    """Encode a (88,) message: (512,) signs, +1 for a 1."""
    return np.asarray(polar.encode(bits, CODE_BITS) * 2.0 - 1, np.float32)


def decode(soft: Floats) -> int | None:
    """Find the likeliest payload whose CRC agrees for (512,) soft values, positive for a 1; None without one."""
    words = polar.decode(-np.asarray(soft, np.float64), MESSAGE_BITS)
    found = (payload(word) for word in words[:_CANDIDATES])
    return next((one for one in found if one is not None), None)
