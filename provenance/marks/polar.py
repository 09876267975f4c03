"""A polar code with list decoding for very noisy soft bits (Arikan 2009; Tal and Vardy 2015).

Sub-channels are ranked by the polarisation weight of 3GPP TS 38.212's origin (He et al. 2017, beta = 2^(1/4)).
A log-likelihood ratio (LLR) is positive where a 0 is the likelier bit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

PATHS = 32
"""How many words the decoder keeps in sight."""

Bits = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@lru_cache(maxsize=8)
def information_set(n: int, k: int) -> npt.NDArray[np.bool_]:
    """Name the k most reliable of n sub-channels (n a power of two) as a mask of shape (n,)."""
    index = np.arange(n)
    weight = sum(((index >> j) & 1) * 2.0 ** (j / 4) for j in range(n.bit_length() - 1))
    mask = np.zeros(n, bool)
    mask[np.argsort(weight, kind="stable")[n - k :]] = True
    mask.setflags(write=False)
    return mask


def encode(bits: Bits, n: int) -> Bits:
    """Encode (k,) bits of 0 and 1 into a codeword of (n,) bits."""
    word = np.zeros(n, np.uint8)
    word[information_set(n, len(bits))] = bits
    return _transform(word[None]).ravel()


def decode(llr: Floats, k: int) -> Bits:
    """Return the likeliest inputs, best first, as (at most PATHS, k) bits, for (n,) LLRs."""
    search = _ListSearch(information_set(len(llr), k))
    search.descend(np.asarray(llr, np.float64)[None], 0, len(llr))
    return search.inputs()[np.argsort(search.cost, kind="stable")]


def _transform(word: Bits) -> Bits:
    """Multiply rows (p, n) by the polar generator matrix, n a power of two."""
    word = word.copy()
    half = 1
    while half < word.shape[1]:
        pairs = word.reshape(len(word), -1, 2, half)
        pairs[:, :, 0] ^= pairs[:, :, 1]
        half *= 2
    return word


class _ListSearch:
    """Successive cancellation over all surviving paths at once; row p of every array is path p."""

    def __init__(self, info: npt.NDArray[np.bool_]) -> None:
        self._info = info
        self._stack: list[npt.NDArray[np.float64] | Bits] = []
        self._chosen: list[Bits] = []
        self.cost = np.zeros(1)

    def inputs(self) -> Bits:
        """Return the chosen information bits, (paths, k)."""
        return np.stack(self._chosen, axis=1)

    def descend(self, llr: Floats, start: int, stop: int) -> Bits:
        """Decide the sub-channels start..stop for (p, stop-start) LLRs and return their partial codewords."""
        info = self._info[start:stop]
        if not info.any():
            self.cost = self.cost + np.maximum(-llr, 0.0).sum(axis=1)
            return np.zeros(llr.shape, np.uint8)
        if info.sum() == 1 and info[-1]:
            return np.repeat(self._fork(llr), stop - start, axis=1)
        half = (stop - start) // 2
        left, right = llr[:, :half], llr[:, half:]
        self._stack.append(llr)
        first = self.descend(
            np.sign(left) * np.sign(right) * np.minimum(abs(left), abs(right)), start, start + half
        )
        llr = np.asarray(self._stack.pop(), np.float64)
        left, right = llr[:, :half], llr[:, half:]
        self._stack.append(first)
        second = self.descend(right + (1.0 - 2.0 * first) * left, start + half, stop)
        first = np.asarray(self._stack.pop(), np.uint8)
        return np.concatenate([first ^ second, second], axis=1)

    def _fork(self, llr: Floats) -> Bits:
        """Split every path on one repeated bit, keep the cheapest ones, and return that bit as (p, 1)."""
        zero = self.cost + np.maximum(-llr, 0.0).sum(axis=1)
        one = self.cost + np.maximum(llr, 0.0).sum(axis=1)
        cost = np.concatenate([zero, one])
        keep = np.argsort(cost, kind="stable")[:PATHS]
        parent, bit = keep % len(zero), (keep >= len(zero)).astype(np.uint8)
        self.cost = cost[keep]
        self._stack = [held[parent] for held in self._stack]
        self._chosen = [*(held[parent] for held in self._chosen), bit]
        return bit[:, None]
