"""Degrade speech on purpose: noise, music, a narrow band, another pitch or speed, all made from a seed.

Enrolment, the cohort and the hypotheses about a clip use these; nothing recorded is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safety.voice.mel import RATE, Floats

Random = np.random.Generator
Doubles = npt.NDArray[np.float64]
FFT = 512
HOP = 128
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))


def noise(random: Random, count: int) -> Floats:
    """Make `count` samples of noise of a random colour, -6 to 0 dB per octave, that swells and fades a little."""
    spectrum = np.fft.rfft(random.normal(size=count))
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20)
    coloured = np.fft.irfft(spectrum * hertz ** -random.uniform(0, 1), count)
    swell = 1 + random.uniform(0, 0.8) * np.sin(
        2 * np.pi * random.uniform(0.1, 4) * np.arange(count) / RATE + random.uniform(0, 6)
    )
    return _levelled(coloured * swell)


@dataclass(frozen=True, slots=True)
class _Tune:
    """What the players of a piece agree on: its samples, its beat in samples, its root in Hz and its scale."""

    random: Random
    count: int
    beat: int
    root: float
    scale: tuple[int, ...]

    def hertz(self, degree: int) -> float:
        """Return the pitch of a degree of the scale."""
        size = len(self.scale)
        return float(self.root * 2 ** ((self.scale[degree % size] + 12 * (degree // size)) / 12))

    def tone(self, hertz: float, count: int, *, tilt: float, decay: float) -> Doubles:
        """Sum up to 16 partials below 7 kHz that fall by `tilt` and fade with `decay` per second."""
        time = np.arange(count) / RATE
        wave = np.zeros(count)
        for partial in range(1, min(16, int(7000 / hertz)) + 1):
            angle = 2 * np.pi * partial * hertz * time + self.random.uniform(0, 6)
            wave += np.sin(angle) * np.exp(-decay * partial**0.5 * time) / partial**tilt
        edge = np.clip(np.minimum(time / 0.01, (count / RATE - time) / 0.02), 0, 1)
        return np.asarray(wave * edge)

    def placed(self, notes: Sequence[tuple[int, Doubles]]) -> Doubles:
        """Lay notes, each with its first sample, over each other."""
        wave = np.zeros(self.count)
        for at, note in notes:
            wave[at : at + len(note)] += note[: max(self.count - at, 0)]
        return wave


def music(random: Random, count: int) -> Floats:
    """Make `count` samples of invented music: pads, plucked notes, a bass and a beat, two or more of them."""
    beat = int(60 / random.uniform(60, 150) * RATE)
    tune = _Tune(
        random, count, beat, 55 * 2 ** (random.integers(12) / 12), _SCALES[random.integers(len(_SCALES))]
    )
    mix = np.zeros(count)
    for number in random.permutation(len(_PLAYERS))[: random.integers(2, len(_PLAYERS) + 1)]:
        part = _PLAYERS[number](tune)
        mix += random.uniform(0.3, 1) * part / (np.sqrt(np.mean(part**2)) + 1e-9)
    return _levelled(mix)


def _levelled(wave: Doubles) -> Floats:
    return np.asarray(0.1 * wave / (np.sqrt(np.mean(wave**2)) + 1e-9), np.float32)


def _pads(tune: _Tune) -> Doubles:
    tilt, notes = tune.random.uniform(0.8, 2), []
    for at in range(0, tune.count, 4 * tune.beat):
        degree = int(tune.random.integers(len(tune.scale))) + len(tune.scale)
        for third in range(3):
            hertz = tune.hertz(degree + 2 * third) * tune.random.uniform(0.997, 1.003)
            notes.append((at, tune.tone(hertz, 4 * tune.beat, tilt=tilt, decay=0.1)))
    return tune.placed(notes)


def _plucks(tune: _Tune) -> Doubles:
    random, size = tune.random, len(tune.scale)
    tilt, decay, step = random.uniform(0.6, 2), random.uniform(1, 8), tune.beat // int(random.integers(1, 4))
    degree, notes = 2 * size, []
    for at in range(0, tune.count, step):
        degree = int(np.clip(degree + random.integers(-3, 4), size, 4 * size))
        if random.random() < 0.8:
            notes.append((at, tune.tone(tune.hertz(degree), min(2 * step, RATE), tilt=tilt, decay=decay)))
    return tune.placed(notes)


def _bass(tune: _Tune) -> Doubles:
    degrees = tune.random.integers(len(tune.scale), size=tune.count // tune.beat + 1).tolist()
    notes = [
        (tune.beat * at, tune.tone(tune.hertz(degree), tune.beat, tilt=1.5, decay=2))
        for at, degree in enumerate(degrees)
    ]
    return tune.placed([(at, note) for at, note in notes if at < tune.count])


def _drums(tune: _Tune) -> Doubles:
    random, time = tune.random, np.arange(RATE // 4) / RATE
    kick = np.sin(2 * np.pi * (50 * time + 8 * (1 - np.exp(-30 * time)))) * np.exp(-12 * time)
    snare = random.normal(size=len(time)) * np.exp(-random.uniform(15, 40) * time) * 0.5
    hat = np.diff(random.normal(size=len(time) + 1)) * np.exp(-80 * time) * random.uniform(0.1, 0.4)
    beats = range(0, tune.count, tune.beat)
    notes = [(at, kick if number % 2 == 0 else snare) for number, at in enumerate(beats)]
    return tune.placed(notes + [(at, hat) for at in range(0, tune.count, max(tune.beat // 2, 1))])


_PLAYERS: tuple[Callable[[_Tune], Doubles], ...] = (_pads, _plucks, _bass, _drums)


def mixed(wave: Floats, other: Floats, snr_db: float) -> Floats:
    """Add `other`, repeated or cut to fit, so that its power lies `snr_db` below that of what is loud in `wave`."""
    other = np.resize(other, len(wave))
    loud = _active_power(wave)
    gain = np.sqrt(loud / (float(np.mean(other**2)) + 1e-12) / 10 ** (snr_db / 10))
    return np.asarray(wave + gain * other, np.float32)


def _active_power(wave: Floats) -> float:
    """Return the mean square of the 10 ms within 30 dB of the loudest."""
    frames = np.resize(wave, (max(len(wave) // 160, 1), 160))
    power = (frames**2).mean(axis=1)
    return float(power[power >= power.max() * 1e-3].mean()) + 1e-12


def banded(wave: Floats, low: float, high: float) -> Floats:
    """Keep `low` to `high` Hz, with edges of a twentieth of their frequency."""
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE)
    rising = np.clip((hertz - low * 0.95) / (low * 0.1 + 1), 0, 1)
    falling = np.clip((high * 1.05 - hertz) / (high * 0.1), 0, 1)
    return np.asarray(np.fft.irfft(np.fft.rfft(wave) * rising * falling, len(wave)), np.float32)


def resampled(wave: Floats, speed: float) -> Floats:
    """Play faster by `speed` (pitch and formants rise with it)."""
    from scipy.signal import resample_poly

    return np.asarray(resample_poly(wave, 200, round(200 * speed)), np.float32)


def stretched(wave: Floats, factor: float) -> Floats:
    """Make longer by `factor` at the same pitch: a phase vocoder with locked phases (Laroche and Dolson 1999)."""
    window = np.hanning(FFT + 1)[:-1]
    padded = np.pad(wave, (FFT, FFT))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)
    starts = np.arange(0, len(frames) - 1 - HOP, HOP / factor)
    spectra = np.fft.rfft(frames[starts.astype(int) + HOP] * window)
    before = np.fft.rfft(frames[starts.astype(int)] * window)
    turned = np.angle(spectra) - np.angle(before)
    phase = np.cumsum(turned, axis=0) + np.angle(before[:1])
    locked = np.angle(spectra) + _around_peaks(np.abs(spectra), phase - np.angle(spectra))
    made = np.fft.irfft(np.abs(spectra) * np.exp(1j * locked)) * window
    out = np.zeros(HOP * len(made) + FFT)
    for number, frame in enumerate(made):
        out[number * HOP : number * HOP + FFT] += frame
    start = round(FFT * factor)
    return np.asarray(out[start : start + round(len(wave) * factor)] / 1.5, np.float32)


def _around_peaks(size: Doubles, turn: Doubles) -> Doubles:
    """Give each bin the turn of the nearest spectral peak, so that a partial stays whole."""
    inner = size[:, 2:-2]
    peaks = (inner > size[:, 1:-3]) & (inner > size[:, 3:-1]) & (inner > size[:, :-4]) & (inner > size[:, 4:])
    at = np.arange(size.shape[1])
    left = np.zeros(size.shape, int)
    left[:, 2:-2] = np.where(peaks, at[2:-2], 0)
    left = np.maximum.accumulate(left, axis=1)
    right = np.full(size.shape, size.shape[1] - 1)
    right[:, 2:-2] = np.where(peaks, at[2:-2], size.shape[1] - 1)
    right = np.minimum.accumulate(right[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(at - left <= right - at, left, right)
    return np.take_along_axis(turn, nearest, axis=1)


def pitched(wave: Floats, semitones: float) -> Floats:
    """Shift the pitch, and the formants with it, at the same speed."""
    speed = 2 ** (semitones / 12)
    return resampled(stretched(wave, speed), speed)


def roomed(wave: Floats, random: Random) -> Floats:
    """Put speech into an invented room: a direct path and a tail of noise that dies away in 0.3 to 0.8 s."""
    count = RATE
    tail = random.normal(size=count) * 10 ** (-3 * np.arange(count) / RATE / random.uniform(0.3, 0.8))
    tail[: RATE // 500] = 0
    tail *= 10 ** (-random.uniform(0, 6) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    size = len(wave) + count
    heard = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(tail, size), size)[: len(wave)]
    return np.asarray(heard * np.sqrt(np.mean(wave**2) / (np.mean(heard**2) + 1e-12)), np.float32)


Degrade = Callable[[Floats, Random], Floats]
CONDITIONS: Mapping[str, Degrade] = {
    "clean": lambda wave, _: wave,
    "noise": lambda wave, random: mixed(wave, noise(random, len(wave)), 5),
    "faint noise": lambda wave, random: mixed(wave, noise(random, len(wave)), 15),
    "music": lambda wave, random: mixed(wave, music(random, len(wave)), 5),
    "faint music": lambda wave, random: mixed(wave, music(random, len(wave)), 10),
    "telephone": lambda wave, _: banded(wave, 300, 3400),
    "dull": lambda wave, _: banded(wave, 50, 2000),
    "lower": lambda wave, _: pitched(wave, -1.5),
    "higher": lambda wave, _: pitched(wave, 1.5),
    "room": roomed,
}
"""The ways in which an enrolled voice is known, each with its own cohort statistics. The first is the plain one."""
FURTHER: Mapping[str, Degrade] = {
    "loud noise": lambda wave, random: mixed(wave, noise(random, len(wave)), 0),
    "loud music": lambda wave, random: mixed(wave, music(random, len(wave)), 0),
    "much lower": lambda wave, _: pitched(wave, -3),
    "much higher": lambda wave, _: pitched(wave, 3),
}
"""Ways that the cohort learns how far a voice may stray from itself, and that have no sub-model."""
