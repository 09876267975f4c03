"""The 96-bit message and its channel code: 64 payload bits, CRC-32, tail-biting convolutional code of rate 1/4."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
"""0 and 1, most significant first."""
Floats = npt.NDArray[np.float32]

PAYLOAD_BITS = 64
CRC_BITS = 32
MESSAGE_BITS = PAYLOAD_BITS + CRC_BITS
# Free distance 24 at constraint length 9: Proakis, Digital Communications, table of rate-1/4 codes.
_GENERATORS = (0o463, 0o535, 0o733, 0o745)
_MEMORY = 8
_STATES = 1 << _MEMORY
CODE_BITS = MESSAGE_BITS * len(_GENERATORS)


def message(payload: int) -> Bits:
    """Append the CRC-32 to a 64-bit payload: (96,) bits. Raises ValueError when it does not fit 64 bits."""
    if not 0 <= payload < 1 << PAYLOAD_BITS:
        raise ValueError("an audio mark carries an unsigned 64-bit payload")
    body = payload.to_bytes(PAYLOAD_BITS // 8, "big")
    whole = body + zlib.crc32(body).to_bytes(CRC_BITS // 8, "big")
    return np.unpackbits(np.frombuffer(whole, np.uint8))


def payload(bits: Bits) -> int | None:
    """Give the payload of a (96,) message, or None when its CRC-32 disagrees."""
    whole = np.packbits(bits).tobytes()
    body, crc = whole[: PAYLOAD_BITS // 8], whole[PAYLOAD_BITS // 8 :]
    return int.from_bytes(body, "big") if zlib.crc32(body) == int.from_bytes(crc, "big") else None


@cache
def _outputs() -> npt.NDArray[np.float32]:
    """Give the four output signs (+1 for a 1) of every 9-bit register content, newest bit on top: (512, 4)."""
    registers = np.arange(2 * _STATES, dtype=np.uint16)[:, None]
    taps = np.array(_GENERATORS, np.uint16)[None, :]
    return np.asarray(np.bitwise_count(registers & taps) % 2 * 2.0 - 1, np.float32)


def encode(bits: Bits) -> Floats:
    """Encode a (96,) message, its last bits preceding its first: (384,) signs, +1 for a 1."""
    past = np.stack([np.roll(bits, delay) for delay in range(_MEMORY + 1)], axis=1).astype(np.int64)
    registers = past @ (1 << np.arange(_MEMORY, -1, -1))
    return np.asarray(_outputs()[registers].ravel(), np.float32)


def decode(soft: Floats) -> Bits:
    """Find the most likely (96,) message for (384,) soft values, positive for a 1.

    A Viterbi pass runs three times round the circle and keeps the middle turn, where the path has
    forgotten that its start and end were open.
    """
    # einsum, not @: waking BLAS threads costs more than this product.
    branches = np.tile(np.einsum("tg,rg->tr", soft.reshape(MESSAGE_BITS, -1), _outputs()), (3, 1))
    choices = np.empty((len(branches), _STATES), np.bool_)
    metric = np.zeros(_STATES, np.float32)
    for step, branch in enumerate(branches):
        pairs = np.concatenate((metric, metric)) + branch
        even, odd = pairs[0::2], pairs[1::2]
        np.greater(odd, even, out=choices[step])
        metric = np.maximum(even, odd)
    return _trace(choices, int(metric.argmax()))[MESSAGE_BITS : 2 * MESSAGE_BITS]


def _trace(choices: npt.NDArray[np.bool_], state: int) -> Bits:
    """Walk back from the last state and give the bit that entered at every step."""
    bits = np.empty(len(choices), np.uint8)
    for step in range(len(choices) - 1, -1, -1):
        bits[step] = state >> (_MEMORY - 1)
        state = ((state & (_STATES // 2 - 1)) << 1) | int(choices[step, state])
    return bits
