"""PDQ, the perceptual hash of a picture: 256 signs of its coarse cosine transform.

After "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", Facebook 2019. Bits are in
the order of the reference implementation, whose hashes of 64x64 pictures these are, bit for bit.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

SIDE = 64
_TERMS = 16

Small = npt.NDArray[np.uint8]
"""(..., 64, 64) uint8: brightness, reduced to PDQ's own size."""
Words = npt.NDArray[np.uint64]
"""(..., 4) uint64: hashes of 256 bits, the first bit highest."""


def hashes(small: Small) -> Words:
    """Hash pictures, (..., 64, 64) to (..., 4): which of their 256 lowest cosine terms lie above the median."""
    cosines = _cosines()
    terms = (cosines @ small.astype(np.float32) @ cosines.T).reshape(*small.shape[:-2], -1)
    # The reference takes the lower of the two middle terms.
    middle = np.partition(terms, 127, axis=-1)[..., 127:128]
    bits = np.packbits(terms[..., ::-1] > middle, axis=-1)
    return np.asarray(bits.view(">u8"), np.uint64)


def quality(small: Small) -> npt.NDArray[np.uint8]:
    """Say how much there is to see, (..., 64, 64) to (...): 0 is flat, 100 is plenty."""
    floats = small.astype(np.float32)
    steps = sum(
        np.abs(np.trunc(np.diff(floats, axis=axis) * (100 / 255))).sum(axis=(-2, -1)) for axis in (-2, -1)
    )
    return np.asarray(np.minimum(100, np.asarray(steps) // 90), np.uint8)


def distance(one: Words, other: Words) -> npt.NDArray[np.uint16]:
    """Count the differing bits of hashes, broadcast over all but the last axis: 0..256, 128 by chance."""
    return np.asarray(np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.uint16))


@cache
def _cosines() -> npt.NDArray[np.float32]:
    order = np.arange(1, _TERMS + 1)[:, None]
    place = 2 * np.arange(SIDE)[None, :] + 1
    return np.asarray(np.sqrt(2 / SIDE) * np.cos(np.pi / 2 / SIDE * order * place), np.float32)
