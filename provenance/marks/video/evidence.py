"""How strongly a picture speaks for a payload, and what chance alone could make it say.

The bound needs no model of the picture. The signs of the waves are secret fair coins, so on content
that does not know the key the symbols' log-likelihood ratios w have independent fair signs, whatever their
sizes. Three things follow:

* Adding up the two copies of a code bit, and the views of a clip, keeps this: their signs flip together.
* Shifting those signs by a random codeword shifts all decoded inputs alike, so each of the 32 words of the
  decoder's list is uniform and meets its CRC-32 with probability 2^-32: p <= 2^-27.
* A given word agrees to T = sum(w * word) or more with probability <= min over s > 0 of
  exp(-s T) * prod(cosh(s w)) (Chernoff), and there are 2^64 valid words.

The smaller of the two bounds one reading with one key in one alignment that was chosen without the code bits.
Where pilots choose the alignment they are no evidence themselves. In an alignment that is tried in any case they are:
their signs are as secret, and what the code bits say is bounded whatever the pilots are. The product q of two such
bounds is itself undercut with probability q (1 - ln q) at most (Fisher 1932), for which `coins` holds the pilots before
they weighed anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provenance.marks import polar
from provenance.marks.video import code, pattern
from provenance.marks.video.pattern import Complex, Floats

_LOUDEST = 3.0
"""Standard deviations at which a wave's voice is cut off: content has few waves that are far louder than others."""
_WIDTHS = np.array([7.0, 11.0, 16.0, 24.0, 40.0, 1e3])
_UNUSUAL = np.array([3.0, 2.5, 2.0, 1.5, 1.0, 0.0])
"""What speaks against each width beforehand, in nats."""
_USUAL = 20.0
"""The width that is taken for granted of the pilots as evidence."""
_POWERS = np.geomspace(0.02, 6.0, 20)
_LIST_CHANCE = polar.PATHS * 2.0**-32


@dataclass(frozen=True, slots=True)
class Soft:
    """Log-likelihood ratios, positive for +1: `data` of the 512 code bits, `pilots` of the 96 pilots.

    `coins` (96,) are the pilots in sizes that no sign had a part in.
    """

    data: Floats
    pilots: Floats
    coins: Floats

    def __add__(self, other: Soft) -> Soft:
        """Join what two views of the same clip say."""
        return Soft(self.data + other.data, self.pilots + other.pilots, self.coins + other.coins)


def soften(measured: Complex, held: pattern.Layout) -> Soft:
    """Turn measured bins (1120,) into soft symbols; both copies of a code bit speak for it together.

    The quadrature part carries no mark, so it tells the noise at each radius; what the in-phase part has
    beyond that is the mark's power. Neither looks at a sign, which the bound above relies on.
    """
    turned = measured * held.wave.conj()
    ring = np.rint(held.radius).astype(np.int64)
    noise = around(turned.imag**2, ring, 1.2) + 1e-9
    heard = np.clip(turned.real / np.sqrt(noise), -_LOUDEST, _LOUDEST)
    llr = 2.0 * heard * _amplitude(heard[pattern.DATA :], noise, held)
    data = llr[: pattern.DATA].reshape(pattern.COPIES, code.CODE_BITS).sum(axis=0)
    coins = heard * held.shape * np.exp(-np.square(held.radius / _USUAL))
    return Soft(data, llr[pattern.DATA :], coins[pattern.DATA :])


def _amplitude(pilots: Floats, noise: Floats, held: pattern.Layout) -> Floats:
    """Return the mark's amplitude over the noise for each wave, by the likeliest of a few spectra it may have.

    The mark has a known spectrum, and who compresses or blurs a picture takes from the short waves. Only the
    pilots are asked, which say nothing about the signs of the code bits.
    """
    shapes = held.shape * np.exp(-np.square(held.radius / _WIDTHS[:, None])) / np.sqrt(noise / noise.mean())
    shapes /= np.sqrt(np.mean(shapes**2, axis=1, keepdims=True))
    known = shapes[:, pattern.DATA :]
    fit = (
        _POWERS[:, None] * (known @ pilots)
        - 0.5 * _POWERS[:, None] ** 2 * np.sum(known**2, axis=1)
        - _UNUSUAL
    )
    power, width = np.unravel_index(int(np.argmax(fit)), fit.shape)
    return np.asarray(_POWERS[power] * shapes[width], np.float64)


def around(power: Floats, ring: npt.NDArray[np.int64], reach: float) -> Floats:
    """Average powers over waves of about the same length, and give each wave its own average."""
    total, count = np.bincount(ring, power), np.bincount(ring).astype(np.float64)
    distance = np.arange(len(total))[:, None] - np.arange(len(total))
    kernel = np.exp(-0.5 * (distance / reach) ** 2)
    return np.asarray((kernel @ total / np.maximum(kernel @ count, 1e-9))[ring], np.float64)


def agreement(llr: Floats) -> float:
    """Say by how many standard deviations of chance soft symbols lean to +1."""
    size = float(np.sqrt(np.sum(llr**2)))
    return float(np.sum(llr)) / size if size > 0.0 else 0.0


def chance(llr: Floats, word: Floats) -> float:
    """Return the natural logarithm of the Chernoff bound on agreeing this well with a word by luck."""
    size = float(np.sqrt(np.mean(llr**2)))
    agreement = float(llr @ word)
    if size <= 0.0 or agreement <= 0.0:
        return 0.0
    slopes = np.geomspace(0.01, 20.0, 60)[:, None] / size
    bend = np.logaddexp(slopes * llr, -slopes * llr) - math.log(2.0)
    return min(0.0, float(np.min(bend.sum(axis=1) - slopes[:, 0] * agreement)))


def p_false(soft: Soft, payload: int, *, given: bool) -> float:
    """Bound the probability of such a reading on content that does not know the key (one key, one alignment).

    `given` says that the alignment was to be tried whatever the pilots say, so that they speak for it too.
    """
    words = math.log(2.0) * code.PAYLOAD_BITS
    agreed = words + chance(soft.data, code.encode(payload).astype(np.float64))
    one = min(math.log(_LIST_CHANCE), agreed)
    if not given:
        return math.exp(one)
    both = one + chance(soft.coins, np.ones(pattern.PILOTS))
    return math.exp(both) * (1.0 - both)
