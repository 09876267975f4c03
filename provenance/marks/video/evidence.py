"""How strongly a picture speaks for a payload, and what chance alone could make it say.

The bound needs no model of the picture. The sign of each bin's wave is a secret fair coin, so on content
that does not know the key the symbols' log-likelihood ratios w have independent fair signs, whatever their
sizes. Two things follow:

* Shifting those signs by a random codeword shifts all decoded inputs alike, so each of the 32 words of the
  decoder's list is uniform and meets its CRC-32 with probability 2^-32: p <= 2^-27.
* A given word agrees to T = sum(w * word) or more with probability <= min over s > 0 of
  exp(-s T) * prod(cosh(s w)) (Chernoff), and there are 2^64 valid words.

The smaller of the two bounds one reading with one key in one alignment that was chosen without the code bits.
Where the alignment was chosen without the pilots too, their own Chernoff bound is independent and is joined by
Fisher's rule for a product of two p-values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from provenance.marks import polar
from provenance.marks.video import code, pattern
from provenance.marks.video.pattern import Complex, Floats

_LIST_CHANCE = polar.PATHS * 2.0**-32


@dataclass(frozen=True, slots=True)
class Soft:
    """Log-likelihood ratios, positive for +1: `data` of the 512 code bits, `pilots` of the 96 pilots."""

    data: Floats
    pilots: Floats


def soften(measured: Complex, held: pattern.Layout) -> Soft:
    """Turn measured bins (608,) into soft symbols.

    The quadrature part carries no mark, so it tells the noise at each radius; what the in-phase part has
    beyond that is the mark's power. Neither looks at a sign, which the bound above relies on.
    """
    turned = measured * held.wave.conj()
    distance = (held.radius[:, None] - held.radius[None, :]) / 1.2
    near = np.exp(-0.5 * distance**2)
    near /= near.sum(axis=1, keepdims=True)
    noise = near @ turned.imag**2 + 1e-9
    signal = np.maximum(near @ turned.real**2 - noise, 0.05 * noise)
    llr = 2.0 * turned.real * np.sqrt(signal) / noise
    return Soft(llr[: code.CODE_BITS], llr[code.CODE_BITS :])


def chance(llr: Floats, word: Floats) -> float:
    """Return the natural logarithm of the Chernoff bound on agreeing this well with a word by luck."""
    size = float(np.sqrt(np.mean(llr**2)))
    agreement = float(llr @ word)
    if size <= 0.0 or agreement <= 0.0:
        return 0.0
    slopes = np.geomspace(0.01, 20.0, 60)[:, None] / size
    bend = np.logaddexp(slopes * llr, -slopes * llr) - math.log(2.0)
    return min(0.0, float(np.min(bend.sum(axis=1) - slopes[:, 0] * agreement)))


def p_false(soft: Soft, payload: int, *, pilots: bool) -> float:
    """Bound the probability of such a reading on content that does not know the key (one key, one alignment).

    Set `pilots` only where the alignment was chosen without looking at them.
    """
    words = math.log(2.0) * code.PAYLOAD_BITS
    p_data = min(math.log(_LIST_CHANCE), words + chance(soft.data, code.encode(payload).astype(np.float64)))
    if not pilots:
        return math.exp(p_data)
    product = p_data + chance(soft.pilots, np.ones(pattern.PILOTS))
    return min(1.0, math.exp(product) * (1.0 - product))
