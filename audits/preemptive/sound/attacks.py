"""What happens to sound in the world: codecs, noise, rooms, filters, dynamics and time.

An attack takes (n, channels) float32 at a rate and gives the same back at that rate. Strengths follow
AudioMarkBench (Liu et al. 2024, no-box) and RAW-Bench (Ozer et al. 2025), each from its published configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

from audits.preemptive.sound.warp import quick, vocoded
from core.media.clip import Sound
from core.media.recode import Codec, filtered, recoded

Doubles = npt.NDArray[np.float64]
Change = Callable[[Sound, int, np.random.Generator], Sound]


@dataclass(frozen=True, slots=True)
class Attack:
    """A named change; `apply` gives the changed sound at the same rate."""

    name: str
    apply: Change


def coded(codec: Codec, kilobits: float) -> Attack:
    """Encode and decode."""
    return Attack(
        f"{codec} {kilobits:g}k", lambda sound, rate, _: recoded(sound, rate, codec, round(1000 * kilobits))
    )


def added(name: str, make: Callable[[int, int, np.random.Generator], Doubles], snr: float) -> Attack:
    """Mix (n,) of something else in, `snr` dB below the sound."""

    def apply(sound: Sound, rate: int, dice: np.random.Generator) -> Sound:
        other = make(len(sound), rate, dice)
        level = np.sqrt(np.mean(np.square(sound)) / (np.mean(np.square(other)) + 1e-20)) * 10 ** (-snr / 20)
        return np.asarray(sound + (level * other)[:, None], np.float32)

    return Attack(f"{name} {snr:g} dB", apply)


def white(snr: float) -> Attack:
    """Add white noise."""
    return added("white", lambda n, _, dice: dice.standard_normal(n), snr)


def pink(snr: float) -> Attack:
    """Add noise that falls 3 dB an octave."""
    return added("pink", lambda n, _, dice: pink_noise(n, dice), snr)


def pink_noise(n: int, dice: np.random.Generator) -> Doubles:
    """Make n samples of noise that falls 3 dB an octave."""
    spectrum = np.fft.rfft(dice.standard_normal(n))
    return np.asarray(np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 10.0), n))


def passed(kind: str, hertz: float | tuple[float, float], order: int = 6) -> Attack:
    """Cut off below (`highpass`), above (`lowpass`) or around (`bandpass`); past Nyquist nothing is cut."""

    def apply(sound: Sound, rate: int, _: np.random.Generator) -> Sound:
        edges = np.minimum(hertz, 0.499 * rate)
        sos = signal.butter(order, edges, kind, fs=rate, output="sos")
        return np.asarray(signal.sosfilt(sos, sound, axis=0), np.float32)

    return Attack(f"{kind} {hertz} Hz", apply)


def equalised(decibels: float, bands: int = 10) -> Attack:
    """Lift and lower octaves by random amounts up to `decibels`, with no delay."""

    def apply(sound: Sound, rate: int, dice: np.random.Generator) -> Sound:
        gains = dice.uniform(-decibels, decibels, bands)
        bins = np.fft.rfftfreq(len(sound), 1 / rate)
        shape = np.interp(np.log2(bins + 1), np.log2(np.geomspace(60, 8000, bands)), gains)
        spectrum = np.fft.rfft(sound, axis=0) * 10 ** (shape / 20)[:, None]
        return np.asarray(np.fft.irfft(spectrum, len(sound), axis=0), np.float32)

    return Attack(f"equaliser ±{decibels:g} dB", apply)


def gained(factor: float) -> Attack:
    """Multiply; what goes past full scale is cut."""
    name = "polarity" if factor == -1 else f"gain {factor:g}"
    return Attack(name, lambda sound, _rate, _: np.clip(factor * sound, -1, 1).astype(np.float32))


def clipped(decibels: float) -> Attack:
    """Cut the peaks of the sound `decibels` below its own peak."""

    def apply(sound: Sound, _rate: int, _: np.random.Generator) -> Sound:
        ceiling = np.abs(sound).max() * 10 ** (-decibels / 20)
        return np.clip(sound, -ceiling, ceiling)

    return Attack(f"clipped {decibels:g} dB", apply)


def dynamics(threshold: float, ratio: float) -> Attack:
    """Compress (ratio > 1) above a threshold in dB below the peak, or expand (ratio < 1) below it."""

    def apply(sound: Sound, rate: int, _: np.random.Generator) -> Sound:
        peak = np.abs(sound).max() + 1e-9
        loudness = signal.lfilter([1], [1, -np.exp(-1 / (0.02 * rate))], np.abs(sound).max(axis=1))
        level = 20 * np.log10(loudness * (1 - np.exp(-1 / (0.02 * rate))) / peak + 1e-6)
        over = np.maximum(level - threshold, 0) if ratio > 1 else np.minimum(level - threshold, 0)
        change = over * (1 / ratio - 1)
        return np.asarray(sound * 10 ** (np.clip(change, -40, 40) / 20)[:, None], np.float32)

    return Attack(f"{'compressor' if ratio > 1 else 'expander'} {threshold:g} dB", apply)


def quantised(levels: int) -> Attack:
    """Round to so many levels between -1 and 1 of the sound's own peak."""

    def apply(sound: Sound, _rate: int, _: np.random.Generator) -> Sound:
        peak = np.abs(sound).max() + 1e-9
        return np.asarray(np.round(sound / peak * levels / 2) / levels * 2 * peak, np.float32)

    return Attack(f"{levels} levels", apply)


def smoothed(window: int) -> Attack:
    """Take the running mean over so many samples."""
    return Attack(
        f"smooth {window}",
        lambda sound, _rate, _: signal.oaconvolve(
            sound, np.full((window, 1), 1 / window), "same", axes=0
        ).astype(np.float32),
    )


def echoed(seconds: float, volume: float) -> Attack:
    """Add the sound to itself, later and lower."""

    def apply(sound: Sound, rate: int, _: np.random.Generator) -> Sound:
        late, out = round(seconds * rate), sound.copy()
        out[late:] += volume * sound[: len(sound) - late]
        return out

    return Attack(f"echo {seconds:g} s {volume:g}", apply)


def reverberated(rt60: float, direct_db: float = 0.0) -> Attack:
    """Put the sound into a room of decaying noise, the direct sound `direct_db` over the room's."""
    return Attack(
        f"reverb {rt60:g} s {direct_db:g} dB",
        lambda sound, rate, dice: reverb(sound, room(rt60, direct_db, rate, dice)),
    )


def room(rt60: float, direct_db: float, rate: int, dice: np.random.Generator) -> Doubles:
    """Make the impulse response of a room: (n,), the direct sound first, 60 dB down after `rt60` seconds."""
    time = np.arange(round(1.2 * rt60 * rate)) / rate
    tail = dice.standard_normal(len(time)) * np.exp(-6.908 * time / rt60)
    tail[: round(0.002 * rate)] = 0
    tail *= 10 ** (-direct_db / 20) / np.linalg.norm(tail)
    tail[0] = 1
    return tail


def reverb(sound: Sound, response: Doubles) -> Sound:
    """Convolve every channel with a response, keep length and level."""
    wet = signal.oaconvolve(sound, response[:, None], axes=0)[: len(sound)]
    return np.asarray(wet * np.linalg.norm(sound) / (np.linalg.norm(wet) + 1e-9), np.float32)


def rerecorded() -> Attack:
    """Play and record: a small speaker, a room, the room's noise, another clock."""

    def apply(sound: Sound, rate: int, dice: np.random.Generator) -> Sound:
        sound = passed("bandpass", (180.0, min(7000.0, 0.48 * rate)), 2).apply(sound, rate, dice)
        peak = np.abs(sound).max() + 1e-9
        sound = np.asarray(np.tanh(1.5 * sound / peak) * peak, np.float32)
        sound = reverb(sound, room(0.3, 3, rate, dice))
        return pink(25).apply(quick(sound, 1 + 5e-5), rate, dice)

    return Attack("re-recorded", apply)


def resampled(hertz: int) -> Attack:
    """Go down to another rate and back."""

    def apply(sound: Sound, rate: int, _: np.random.Generator) -> Sound:
        if hertz >= rate:
            return sound
        common = np.gcd(rate, hertz)
        down = signal.resample_poly(sound, hertz // common, rate // common, axis=0)
        return np.asarray(
            signal.resample_poly(down, rate // common, hertz // common, axis=0)[: len(sound)], np.float32
        )

    return Attack(f"{hertz} Hz and back", apply)


def stretched(ratio: float) -> Attack:
    """Play `ratio` times as fast at the same pitch, by overlap and add (WSOLA)."""
    return Attack(f"tempo {ratio:g}", lambda sound, rate, _: filtered(sound, rate, "atempo", f"{ratio}"))


def vocoder(ratio: float) -> Attack:
    """Play `ratio` times as fast at the same pitch, by a phase vocoder with a 2048-sample window."""
    return Attack(f"vocoder {ratio:g}", lambda sound, _rate, _: vocoded(sound, ratio))


def sped(ratio: float) -> Attack:
    """Play `ratio` times as fast and as high."""
    return Attack(f"speed {ratio:g}", lambda sound, _rate, _: quick(sound, ratio))


def silenced(share: float) -> Attack:
    """Silence a share of the time, in pieces of 0.1 s."""

    def apply(sound: Sound, rate: int, dice: np.random.Generator) -> Sound:
        size = rate // 10
        gone = np.repeat(dice.random(-(-len(sound) // size)) < share, size)[: len(sound)]
        return np.where(gone[:, None], np.float32(0), sound)

    return Attack(f"{share:.0%} silenced", apply)


def jittered(share: float) -> Attack:
    """Shift single samples to a neighbour's place, a share of them (time jitter)."""

    def apply(sound: Sound, _rate: int, dice: np.random.Generator) -> Sound:
        moved = np.arange(len(sound)) + (dice.random(len(sound)) < share)
        return sound[np.minimum(moved, len(sound) - 1)]

    return Attack(f"jitter {share:g}", apply)


def dephased() -> Attack:
    """Turn the phase of every frequency by another angle, smoothly over frequency (all-pass filters)."""

    def apply(sound: Sound, _rate: int, dice: np.random.Generator) -> Sound:
        for pole in dice.uniform(0.3, 0.8, 4):
            sound = np.asarray(signal.lfilter([-pole, 1], [1, -pole], sound, axis=0), np.float32)
        return sound

    return Attack("phase shift", apply)


def cropped(seconds: float, then: Attack | None = None) -> Attack:
    """Keep so many seconds from anywhere, after another attack if one is named."""

    def apply(sound: Sound, rate: int, dice: np.random.Generator) -> Sound:
        if then:
            sound = then.apply(sound, rate, dice)
        size = round(seconds * rate)
        start = int(dice.integers(0, max(len(sound) - size, 0) + 1))
        return sound[start : start + size]

    return Attack(f"{seconds:g} s of {then.name if then else 'it'}", apply)


UNTOUCHED = Attack("untouched", lambda sound, _rate, _: sound)
