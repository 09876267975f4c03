"""The sounds a suite marks: those of a folder, joined to equal lengths, or sounds made here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import signal

from audits.preemptive.scenes import tune
from core.errors import BadInput, BadMedia
from core.media.clip import Sound
from core.media.probe import probe
from core.media.read import whole_sound

SUFFIXES = {".wav", ".flac", ".mp3", ".m4a", ".ogg", ".mp4", ".mov", ".mkv"}
RATE = 48_000
_LOUDEST = 0.5


@dataclass(frozen=True, slots=True)
class SoundClip:
    """A named sound, (n, channels) float32, and its rate in Hz."""

    name: str
    sound: Sound
    rate: int


def sounds(seed: int, data: Path | None, *, seconds: float, count: int) -> Iterator[SoundClip]:
    """Give the sounds under `data`, or `count` made ones, each `seconds` long.

    Short files are joined with the next of their folder that has the same rate and channels; what is left over is
    not used. Raises `BadInput` when the folder holds nothing long enough.
    """
    if data is None:
        yield from (made(seed + number, seconds) for number in range(count))
        return
    found = 0
    for _, paths in groupby(_files(data), lambda path: path.parent):
        for clip in _joined(paths, seconds):
            found += 1
            yield clip
    if not found:
        raise BadInput(f"There is no sound of {seconds:g} s in the folder.")


def _files(data: Path) -> list[Path]:
    return sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES)


def _joined(paths: Iterator[Path], seconds: float) -> Iterator[SoundClip]:
    parts: list[Sound] = []
    rate = 0
    for path in paths:
        try:
            track, sound = probe(path).audio, whole_sound(path)
        except BadMedia:
            continue
        if track is None:
            continue
        if parts and (track.rate != rate or sound.shape[1] != parts[0].shape[1]):
            parts = []
        rate = track.rate
        parts.append(sound)
        if sum(map(len, parts)) >= seconds * rate:
            yield SoundClip(path.stem, np.concatenate(parts)[: round(seconds * rate)], rate)
            parts = []


def made(seed: int, seconds: float) -> SoundClip:
    """Make a sound of one of six kinds, in turn."""
    kinds = (steps, rain, bells, wind, syllables)
    kind = seed % (len(kinds) + 1)
    if kind == len(kinds):
        return SoundClip(f"tune {seed}", tune(seed, seconds, RATE), RATE)
    wave = kinds[kind](np.random.default_rng(seed), round(seconds * RATE))
    level = _LOUDEST / (np.abs(wave).max() + 1e-9)
    return SoundClip(f"{kinds[kind].__name__} {seed}", (level * wave).astype(np.float32)[:, None], RATE)


Wave = npt.NDArray[np.float64]


def steps(dice: np.random.Generator, n: int) -> Wave:
    """Make bursts of noise that die away, over a faint floor."""
    wave, length = 3e-4 * dice.standard_normal(n), RATE // 4
    for start in np.cumsum(dice.uniform(0.35, 0.6, n // length)):
        at = int(start * RATE)
        if at + length > n:
            break
        burst = _between(dice.standard_normal(length), dice.uniform(150, 400), dice.uniform(1500, 5000))
        wave[at : at + length] += burst * np.exp(-np.arange(length) / (RATE * dice.uniform(0.01, 0.04)))
    return wave


def rain(dice: np.random.Generator, n: int) -> Wave:
    """Make steady noise with many short drops."""
    wave = 0.3 * _between(dice.standard_normal(n), 500, 9000)
    for at in dice.integers(0, n - RATE // 100, n // 300):
        length = int(RATE * dice.uniform(0.002, 0.01))
        drop = np.sin(2 * np.pi * dice.uniform(800, 5000) * np.arange(length) / RATE) * np.hanning(length)
        wave[at : at + length] += dice.uniform(0.1, 0.8) * drop
    return wave


def bells(dice: np.random.Generator, n: int) -> Wave:
    """Make inharmonic tones that ring on."""
    wave, time = 1e-4 * dice.standard_normal(n), np.arange(3 * RATE) / RATE
    for at in range(RATE // 4, n, int(dice.uniform(0.7, 1.2) * RATE)):
        root = dice.uniform(250, 900)
        for ratio, level in ((1, 1), (2.76, 0.6), (5.4, 0.4), (8.9, 0.2)):
            ring = level * np.exp(-time * (1.5 + ratio)) * np.sin(2 * np.pi * root * ratio * time)
            wave[at : at + len(ring)] += ring[: n - at]
    return wave


def wind(dice: np.random.Generator, n: int) -> Wave:
    """Make noise that swells and falls."""
    gusts = 1 + 0.7 * np.sin(2 * np.pi * dice.uniform(0.1, 0.3) * np.arange(n) / RATE)
    return _between(dice.standard_normal(n), 150, 900) * gusts + 0.05 * dice.standard_normal(n)


def syllables(dice: np.random.Generator, n: int) -> Wave:
    """Make buzzes through two moving resonances, with pauses, as a formant synthesiser speaks."""
    wave, at = 1e-3 * dice.standard_normal(n), 0.2
    while at < n / RATE - 0.6:
        length = int(dice.uniform(0.12, 0.35) * RATE)
        buzz = np.diff(np.floor(np.cumsum(np.linspace(130, 105, length)) / RATE), prepend=0)
        for formant, width in ((dice.uniform(300, 800), 80), (dice.uniform(900, 2400), 120)):
            pole = np.exp(-np.pi * width / RATE)
            buzz = signal.lfilter([1], [1, -2 * pole * np.cos(2 * np.pi * formant / RATE), pole**2], buzz)
        start = int(at * RATE)
        wave[start : start + length] += buzz / (np.abs(buzz).max() + 1e-9) * np.hanning(length) ** 0.3
        at += length / RATE + (dice.uniform(0.3, 0.6) if dice.random() < 0.2 else 0.03)
    return wave


def _between(noise: Wave, low: float, high: float) -> Wave:
    sos = signal.butter(2, [low, high], "bandpass", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sos, noise))
