"""The traits of an invented person, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Tone = tuple[float, float, float]
"""Linear red, green and blue, 0-1."""

_SKINS: tuple[Tone, ...] = (
    (0.78, 0.50, 0.38),
    (0.72, 0.43, 0.30),
    (0.60, 0.34, 0.21),
    (0.44, 0.23, 0.13),
    (0.28, 0.135, 0.075),
    (0.15, 0.070, 0.042),
)
_HAIRS: tuple[Tone, ...] = (
    (0.012, 0.010, 0.010),
    (0.035, 0.020, 0.013),
    (0.10, 0.045, 0.020),
    (0.30, 0.095, 0.030),
    (0.48, 0.33, 0.15),
    (0.42, 0.42, 0.43),
)
_IRISES: tuple[Tone, ...] = ((0.07, 0.03, 0.012), (0.16, 0.08, 0.02), (0.10, 0.20, 0.10), (0.10, 0.22, 0.42))
_LIPSTICKS: tuple[Tone, ...] = ((1.0, 1.0, 1.0), (1.25, 0.35, 0.40), (0.75, 0.30, 0.45), (1.1, 0.7, 0.65))


@dataclass(frozen=True, slots=True)
class Face:
    """Geometry in half head heights (eye line to chin is about 1) and colours of a head."""

    skin: Tone
    hair: Tone
    iris: Tone
    cloth: Tone
    wall: Tone
    width: float
    jaw: float
    chin: float
    length: float
    cheek: float
    gaunt: float
    brow_ridge: float
    eye_gap: float
    eye_size: float
    eye_open: float
    eye_tilt: float
    brow_height: float
    brow_weight: float
    brow_arch: float
    nose_length: float
    nose_width: float
    nose_height: float
    mouth_width: float
    mouth_drop: float
    lip: float
    hair_line: float
    hair_volume: float
    hair_length: float
    hair_curl: float
    beard: float
    age: float
    freckles: float
    moustache: float
    lid: float
    liner: float
    lipstick: Tone
    glasses: float
    bend: float
    socket: float


@dataclass(frozen=True, slots=True)
class Voice:
    """`pitch` in Hz; `tract` and `shifts` (first to fourth) scale formants, `damping` their widths; `breath`,
    `open_quotient`, `tilt` (0-1, darker) and `jitter` shape the source; `twang` 0-1 is a resonance near 3 kHz.
    """

    pitch: float
    tract: float
    breath: float
    open_quotient: float
    tilt: float
    damping: float
    twang: float
    jitter: float
    tempo: float
    liveliness: float
    shifts: tuple[float, float, float, float]


class _Draws:
    """Numbers for one seed that lie far from those of the seeds next to it.

    Each trait walks the unit interval by its own irrational stride (an additive recurrence), and the walk is
    bent towards both ends, so that a handful of personas is a varied cast.
    """

    def __init__(self, seed: int, first: int) -> None:
        self._seed, self._next = seed, first

    def unit(self) -> float:
        """Draw evenly from 0-1."""
        self._next += 1
        stride = float(np.sqrt(_PRIMES[self._next]))
        return ((self._seed + 0.5) * stride + 0.37 * self._next) % 1.0

    def uniform(self, low: float, high: float) -> float:
        """Draw from `low` to `high`, the ends more often than the middle."""
        u = self.unit()
        return low + (high - low) * (0.5 * u + 0.25 - 0.25 * float(np.cos(np.pi * u)))

    def below(self, count: int) -> int:
        """Draw a whole number from 0 to `count` - 1."""
        return int(self.unit() * count)


_PRIMES = [n for n in range(2, 600) if all(n % d for d in range(2, n))]


@dataclass(frozen=True)
class Persona:
    """An adult who does not exist: the same seed gives the same face and the same voice."""

    seed: int

    @property
    def feminine(self) -> bool:
        """Whether face and voice lean to the higher voice, fuller hair and softer jaw."""
        return self.seed % 2 == 1

    @property
    def face(self) -> Face:
        """How the person looks."""
        return _face(_Draws(self.seed, 0), feminine=self.feminine)

    @property
    def voice(self) -> Voice:
        """How the person sounds."""
        return _voice(_Draws(self.seed, 70), feminine=self.feminine)


def _jittered(tone: Tone, draws: _Draws) -> Tone:
    gain = draws.uniform(0.85, 1.15)
    r, g, b = (min(1.0, c * gain * draws.uniform(0.94, 1.06)) for c in tone)
    return r, g, b


def _any(draws: _Draws, low: float, high: float) -> Tone:
    return draws.uniform(low, high), draws.uniform(low, high), draws.uniform(low, high)


def _face(draws: _Draws, *, feminine: bool) -> Face:
    tone = draws.below(len(_SKINS))
    age = draws.uniform(0.2, 1.0)
    hair = len(_HAIRS) - 1 if age > 0.82 else draws.below(len(_HAIRS) - 1 if tone < 3 else 2)
    irises = len(_IRISES) if tone < 3 else 2
    uniform = draws.uniform
    return Face(
        skin=_jittered(_SKINS[tone], draws),
        hair=_jittered(_HAIRS[hair], draws),
        iris=_jittered(_IRISES[draws.below(irises)], draws),
        cloth=_any(draws, 0.02, 0.5),
        wall=_any(draws, 0.08, 0.55),
        width=uniform(0.84, 1.14),
        jaw=uniform(0.72, 1.0) if feminine else uniform(0.88, 1.22),
        chin=uniform(0.6, 1.1) if feminine else uniform(0.8, 1.6),
        length=uniform(0.95, 1.18),
        cheek=uniform(0.0, 0.07),
        gaunt=uniform(0.0, 0.09),
        brow_ridge=uniform(0.0, 0.03) if feminine else uniform(0.02, 0.08),
        eye_gap=uniform(0.250, 0.345),
        eye_size=uniform(0.80, 1.10) + (0.05 if feminine else 0.0),
        eye_open=uniform(0.24, 0.46) + (0.04 if feminine else 0.0),
        eye_tilt=uniform(-0.16, 0.24),
        brow_height=uniform(0.14, 0.26),
        brow_weight=uniform(0.45, 1.1) if feminine else uniform(0.8, 2.0),
        brow_arch=uniform(-0.02, 0.09),
        nose_length=uniform(0.35, 0.52),
        nose_width=uniform(0.68, 1.50),
        nose_height=uniform(0.6, 1.5),
        mouth_width=uniform(0.17, 0.31),
        mouth_drop=uniform(0.16, 0.28),
        lip=uniform(0.6, 1.6) if feminine else uniform(0.35, 1.35),
        hair_line=uniform(-0.74, -0.46),
        hair_volume=uniform(0.02, 0.22) if feminine else uniform(0.0, 0.14),
        hair_length=uniform(0.05, 1.0) if feminine else uniform(0.0, 0.30),
        hair_curl=uniform(0.0, 1.0),
        beard=0.0 if feminine else max(0.0, uniform(-0.9, 1.0)),
        age=age,
        freckles=max(0.0, uniform(-1.0, 1.0)) if tone < 3 else 0.0,
        moustache=0.0 if feminine else max(0.0, uniform(-1.5, 1.0)),
        lid=uniform(0.08, 0.32),
        liner=uniform(0.0, 1.0) if feminine else 0.0,
        lipstick=_LIPSTICKS[draws.below(len(_LIPSTICKS))] if feminine else (1.0, 1.0, 1.0),
        glasses=max(0.0, draws.unit() - 0.68) / 0.32,
        bend=uniform(-0.05, 0.05),
        socket=uniform(0.05, 0.13),
    )


def _voice(draws: _Draws, *, feminine: bool) -> Voice:
    uniform = draws.uniform
    return Voice(
        pitch=uniform(150, 275) if feminine else uniform(75, 150),
        tract=uniform(1.03, 1.30) if feminine else uniform(0.86, 1.08),
        breath=uniform(0.01, 0.30) if feminine else uniform(0.005, 0.16),
        open_quotient=uniform(0.50, 0.85) if feminine else uniform(0.36, 0.70),
        tilt=uniform(0.0, 0.65),
        damping=uniform(0.7, 1.9),
        twang=uniform(0.0, 1.0),
        jitter=uniform(0.003, 0.022),
        tempo=uniform(0.8, 1.25),
        liveliness=uniform(0.06, 0.26),
        shifts=(uniform(0.85, 1.15), uniform(0.86, 1.14), uniform(0.88, 1.12), uniform(0.85, 1.15)),
    )
