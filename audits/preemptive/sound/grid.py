"""Which attacks, at which strengths, and what must survive them.

`CORE` has our own reaches. The two published lists are there to be compared with; neural codecs are named in
`UNTESTED`: their weights are not part of this installation, and nothing is claimed about them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audits.preemptive.sound import attacks as of
from audits.preemptive.sound.attacks import Attack
from core.media.clip import Sound


@dataclass(frozen=True, slots=True)
class Cell:
    """An attack, the rate of exact payloads that must survive, and whether stretch and speed are searched."""

    attack: Attack
    reach: float = 0.0
    thorough: bool = False


def _cells(reach: float, *some: Attack, thorough: bool = False) -> tuple[Cell, ...]:
    return tuple(Cell(attack, reach, thorough) for attack in some)


def _music(n: int, rate: int, dice: np.random.Generator) -> of.Doubles:
    from audits.preemptive.scenes import tune

    return tune(int(dice.integers(1 << 20)), n / rate + 0.1, rate)[:n, 0].astype(np.float64)


def _babble(n: int, rate: int, dice: np.random.Generator) -> of.Doubles:
    """Make noise with the spectrum and the slow swell of many people talking."""
    knots = np.arange(0, n + rate // 4, rate // 4)
    swell = np.interp(np.arange(n), knots, dice.uniform(0.4, 1.6, len(knots)))
    return of.pink_noise(n, dice) * swell


_ALWAYS = _cells(
    0.99,
    of.UNTOUCHED,
    of.coded("mp3", 64),
    of.coded("mp3", 32),
    of.coded("aac", 32),
    of.coded("opus", 24),
    of.resampled(8000),
    of.passed("lowpass", 2000),
    of.passed("highpass", 1500),
    of.equalised(10),
    of.clipped(9),
    of.dynamics(-30, 4),
    of.gained(-1),
    of.silenced(0.15),
)
_WORLD = _cells(
    0.95,
    of.white(20),
    of.added("music", _music, 10),
    of.echoed(0.5, 0.5),
    of.reverberated(0.3),
    of.rerecorded(),
)
_HARD = _cells(
    0.8, of.white(10), of.reverberated(0.6), of.coded("opus", 12), of.coded("opus", 16), of.pink(10)
)
_SHORT = (
    *_cells(0.97, of.cropped(10, of.coded("opus", 24)), of.cropped(10, of.coded("mp3", 64))),
    *_cells(0.95, of.cropped(5)),
    *_cells(0.9, of.cropped(5, of.coded("mp3", 64)), of.cropped(5, of.coded("opus", 24))),
)
_BENT = (
    *_cells(0.99, of.stretched(0.93), of.stretched(1.07), of.sped(0.97), of.sped(1.03), thorough=True),
    *_cells(0.95, of.stretched(0.9), of.stretched(1.1), of.sped(0.9), of.sped(1.1), thorough=True),
)
CORE = (*_ALWAYS, *_WORLD, *_HARD, *_SHORT, *_BENT)

QUICK = tuple(
    cell
    for cell in CORE
    if cell.attack.name in {"untouched", "mp3 32k", "opus 24k", "white 20 dB", "speed 1.03", "5 s of it"}
)


def first_seconds(attack: Attack, seconds: float = 5.0) -> Attack:
    """Attack the first seconds alone, at 16 kHz and in mono, as AudioMarkBench does."""

    def apply(sound: Sound, rate: int, dice: np.random.Generator) -> Sound:
        part = sound[: round(seconds * rate)].mean(axis=1, keepdims=True)
        return attack.apply(of.resampled(16_000).apply(part, rate, dice), rate, dice)

    return Attack(f"AudioMarkBench: {attack.name}", apply)


_MARKBENCH = (
    *(Cell(of.vocoder(ratio), thorough=True) for ratio in (0.7, 0.9, 1.1, 1.3, 1.5)),
    *_cells(0.0, *(of.white(snr) for snr in (40, 30, 20, 10, 5))),
    *_cells(0.0, *(of.added("background", _babble, snr) for snr in (40, 30, 20, 10, 5))),
    *_cells(0.0, *(of.coded("opus", kilobits) for kilobits in (1, 2, 4, 8, 16, 31))),
    *_cells(0.0, *(of.quantised(levels) for levels in (4, 8, 16, 32, 64))),
    *_cells(0.0, *(of.passed("highpass", share * 16_000) for share in (0.1, 0.2, 0.3, 0.4, 0.5))),
    *_cells(0.0, *(of.passed("lowpass", share * 16_000) for share in (0.1, 0.2, 0.3, 0.4, 0.5))),
    *_cells(0.0, *(of.smoothed(window) for window in (6, 10, 14, 18, 22))),
    *_cells(0.0, *(of.echoed(delay, 0.4) for delay in (0.1, 0.3, 0.5, 0.7, 0.9))),
    *_cells(0.0, *(of.coded("mp3", kilobits) for kilobits in (8, 16, 24, 32, 40))),
)
MARKBENCH = tuple(Cell(first_seconds(cell.attack), cell.reach, cell.thorough) for cell in _MARKBENCH)


def _named(prefix: str, *cells: Cell) -> tuple[Cell, ...]:
    return tuple(
        Cell(Attack(f"{prefix}: {cell.attack.name}", cell.attack.apply), cell.reach, cell.thorough)
        for cell in cells
    )


RAW_STRICT = _named(
    "RAW-Bench strict",
    *_cells(
        0.0,
        of.added("background", _babble, 20),
        of.white(20),
        of.reverberated(0.5, 0),
        of.coded("aac", 64),
        of.coded("mp3", 64),
        of.dynamics(-36, 4),
        of.dynamics(-16, 0.5),
        of.clipped(36),
        of.equalised(0.75, 24),
        of.passed("highpass", 500),
        of.passed("lowpass", 3500),
        of.gained(0.2),
        of.gained(5),
        of.gained(-1),
        of.dephased(),
        of.quantised(2**12),
        of.jittered(0.2),
    ),
    *(Cell(of.vocoder(ratio), thorough=True) for ratio in (0.75, 1.25)),
)
RAW_LOOSE = _named(
    "RAW-Bench loose",
    *_cells(
        0.0,
        of.added("background", _babble, 35),
        of.white(40),
        of.reverberated(0.5, 6),
        of.coded("aac", 128),
        of.coded("mp3", 128),
        of.dynamics(-18, 4),
        of.dynamics(-12, 0.5),
        of.clipped(18),
        of.equalised(0.375, 24),
        of.passed("highpass", 250),
        of.passed("lowpass", 6000),
        of.gained(0.5),
        of.gained(1.5),
    ),
    *(Cell(of.vocoder(ratio), thorough=True) for ratio in (0.95, 1.05)),
)

UNTESTED = {
    "EnCodec 24 kHz": "its weights are not here",
    "SoundStream": "its weights are not here",
    "DAC 44.1 kHz": "its weights are not here",
    "Vorbis 48-256k": "the media library here has no encoder that can be used",
}
