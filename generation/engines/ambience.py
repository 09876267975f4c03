"""Procedural sound for the sandbox engine: the noise of a place, pads in slow chords, light percussion."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfilt

from core.media.clip import Sound
from generation.engines.reel import RATE
from generation.engines.scenery import Kind

Signal = npt.NDArray[np.floating[Any]]
_SCALES = ((0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 9, 10))
_CHORDS = ((0, 4, 2, 5), (0, 5, 3, 4), (0, 3, 5, 4))
_BEATS_PER_MINUTE = {"sea": 60, "hills": 66, "city": 96, "sky": 54, "abstract": 110}
_NOISE: dict[Kind, tuple[float, float, float, float]] = {
    "sea": (120, 2400, 0.13, 0.9),
    "hills": (200, 1400, 0.21, 0.5),
    "city": (40, 500, 0.05, 0.6),
    "sky": (300, 3000, 0.09, 0.4),
    "abstract": (60, 6000, 0.25, 0.25),
}
"""Low and high edge in Hz, swells per second, level."""


def ambience(kind: Kind, seed: int, seconds: float) -> Sound:
    """Render the sound of a place, (n, 2) float32 at 48 kHz, about -20 dB RMS, without any voice."""
    rng = np.random.default_rng([seed, 11])
    count = round(seconds * RATE)
    bed = _swell(kind, rng, count) + _pads(kind, rng, count) + _beats(kind, rng, count)
    bed += _accents(kind, rng, count)
    level = float(np.sqrt(np.mean(np.square(bed)))) + 1e-9
    edge = np.minimum(1, np.minimum(np.arange(count) + 1, np.arange(count, 0, -1)) / (0.03 * RATE))
    return np.asarray(np.tanh(bed * (0.1 / level)) * edge[:, None], np.float32)


def _swell(kind: Kind, rng: np.random.Generator, count: int) -> Signal:
    low, high, pace, gain = _NOISE[kind]
    band = butter(1, (low, high), "band", fs=RATE, output="sos")
    noise = sosfilt(band, rng.normal(0, 1, (count, 2)), axis=0)
    time = np.arange(count) / RATE
    surge = 0.6 + 0.4 * np.sin(2 * np.pi * pace * time + 6 * rng.random()) * np.sin(
        0.37 * time + 6 * rng.random()
    )
    return np.asarray(noise * surge[:, None] * gain)


def _pads(kind: Kind, rng: np.random.Generator, count: int) -> Signal:
    scale, degrees = _SCALES[rng.integers(len(_SCALES))], _CHORDS[rng.integers(len(_CHORDS))]
    root = 110 * 2 ** (rng.integers(0, 8) / 12)
    bar = round(4 * 60 / _BEATS_PER_MINUTE[kind] * RATE)
    bars = {degree: _chord(root, scale, degree, bar, rng) for degree in degrees}
    order = [bars[degrees[i % len(degrees)]] for i in range(count // bar + 1)]
    return np.concatenate(order)[:count] * 0.16


def _chord(root: float, scale: tuple[int, ...], degree: int, length: int, rng: np.random.Generator) -> Signal:
    time = np.arange(length) / RATE
    chord = np.zeros((length, 2))
    for third in range(4):
        step = degree + 2 * third
        pitch = root * 2 ** ((scale[step % 7] + 12 * (step // 7)) / 12)
        for overtone in range(1, 6):
            for side, detune in enumerate((0.997, 1.003)):
                angle = 2 * np.pi * pitch * overtone * detune * time + 6 * rng.random()
                chord[:, side] += np.sin(angle) / overtone**1.6
    shape = np.minimum(1, np.minimum(time / 0.4, (time[-1] - time) / 0.3))
    return np.asarray(chord * shape[:, None])


def _struck(at: npt.NDArray[np.int64], stroke: Signal, count: int, gains: Signal) -> Signal:
    """Place a stroke, (n, 2), at sample positions."""
    track = np.zeros((count + len(stroke), 2))
    for position, gain in zip(at.tolist(), gains.tolist(), strict=True):
        track[position : position + len(stroke)] += stroke * gain
    return track[:count]


def _beats(kind: Kind, rng: np.random.Generator, count: int) -> Signal:
    if kind not in {"city", "abstract"}:
        return np.zeros((count, 2))
    beat = round(60 / _BEATS_PER_MINUTE[kind] * RATE)
    time = np.arange(int(0.22 * RATE)) / RATE
    kick = np.sin(2 * np.pi * (50 * time + 6 * (1 - np.exp(-time * 40)))) * np.exp(-time * 18)
    hiss = rng.normal(0, 0.5, (len(time) // 4, 2)) * np.exp(-time[: len(time) // 4, None] * 90)
    on, off = np.arange(0, count, beat), np.arange(beat // 2, count, beat // 2)
    kicks = _struck(on, np.repeat(kick[:, None], 2, axis=1), count, np.full(len(on), 1.1))
    return kicks + _struck(off, hiss, count, rng.uniform(0.3, 0.7, len(off)))


def _accents(kind: Kind, rng: np.random.Generator, count: int) -> Signal:
    """Scatter birds, bells or gulls: short gliding tones a few times a second at most."""
    low, high, glide = {"sea": (900, 1500, -0.4), "hills": (2400, 4200, 0.5), "sky": (1800, 3000, 0.3)}.get(
        kind, (500, 900, 0.0)
    )
    time = np.arange(int(0.25 * RATE)) / RATE
    total = np.zeros((count, 2))
    for _ in range(4):
        pitch = rng.uniform(low, high)
        tone = np.sin(2 * np.pi * pitch * (time + glide * time * time)) * np.sin(np.pi * time / time[-1]) ** 2
        pan = rng.uniform(0.2, 0.8)
        at = np.sort(rng.integers(0, max(1, count), max(1, count // (3 * RATE))))
        total += _struck(
            at, tone[:, None] * np.array([[1 - pan, pan]]), count, rng.uniform(0.1, 0.5, len(at))
        )
    return total
