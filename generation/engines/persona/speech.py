"""Voices of invented people: a source-filter formant synthesiser after Klatt (1980), written from the paper.

A train of Rosenberg glottal pulses with breath, and hiss for the consonants, passes through resonators whose
frequencies glide between the targets of successive sounds. No recording is involved.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, resample_poly, sosfilt

from core.media.clip import Sound
from generation.engines.persona.phones import CONSONANTS, PAUSE, STOPS, VOWELS, Phone, babble, reading
from generation.engines.persona.traits import Persona, Voice

Signal = npt.NDArray[np.floating[Any]]
_RATE = 16_000
_STEP = 80
"""Samples per control frame: 5 ms."""


def speak(persona: Persona, text: str | int, seconds: float, rate: int = 16_000) -> Sound:
    """Say something for `seconds`, (n, 1) float32 at `rate` Hz, about -20 dB RMS.

    Text is read letter by letter and repeated as long as needed; a number says babble of that number.
    """
    digest = hashlib.sha256(f"{persona.seed}:{text}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8]))
    said = babble(rng, int(seconds * 5) + 3) if isinstance(text, int) else reading(text) + ", "
    voice = persona.voice
    score = _score(said, voice, rng, int(seconds * _RATE / _STEP) + 1)
    wave = _tract(_track(score, voice, rng), voice, rng)[: round(seconds * _RATE)]
    wave = _room(wave, rng)
    level = float(np.sqrt(np.mean(np.square(wave)))) + 1e-9
    wave = np.tanh(wave * (0.1 / level) / 0.8) * 0.8 + rng.normal(0, 2e-4, len(wave))
    if rate != _RATE:
        divisor = int(np.gcd(rate, _RATE))
        wave = resample_poly(wave, rate // divisor, _RATE // divisor)[: round(seconds * rate)]
    return np.asarray(wave[:, None], np.float32)


@dataclass(frozen=True, slots=True)
class _Score:
    """What is said: one row per sound; `frames` is its length, `accent` lifts the pitch, `phrase` 0-1 is how
    far the phrase has gone.
    """

    phones: list[Phone]
    frames: npt.NDArray[np.int64]
    accent: Signal
    phrase: Signal


def _score(said: str, voice: Voice, rng: np.random.Generator, frames: int) -> _Score:
    phones: list[Phone] = []
    lengths: list[int] = []
    accents: list[float] = []
    starts = [0]
    at = 0
    while sum(lengths) < frames:
        symbol = said[at % len(said)]
        stressed = at == 0 or said[(at - 2) % len(said)] in " ,"
        at += 1
        for phone in _sounds(symbol):
            stretch = rng.uniform(0.85, 1.2) / voice.tempo * (1.35 if stressed and symbol in VOWELS else 1.0)
            pause = 3.2 if symbol == "," else 0.35
            stretch = stretch * pause if phone is PAUSE else stretch
            phones.append(phone)
            lengths.append(max(2, round(phone.seconds * stretch * _RATE / _STEP)))
            accents.append(rng.uniform(0.5, 1.0) if stressed and symbol in VOWELS else 0.0)
        if symbol == ",":
            starts.append(len(phones))
    return _Score(phones, np.asarray(lengths), np.asarray(accents), _through(starts, len(phones)))


def _sounds(symbol: str) -> tuple[Phone, ...]:
    if symbol in STOPS:
        return STOPS[symbol]
    if symbol in VOWELS:
        return (VOWELS[symbol],)
    return (CONSONANTS.get(symbol, PAUSE),)


def _through(starts: list[int], count: int) -> Signal:
    edges = [*(s for s in starts if s < count), count]
    return np.concatenate([np.linspace(0, 1, b - a) for a, b in pairwise(edges)])


@dataclass(frozen=True, slots=True)
class _Track:
    """Control values per 5 ms frame: `formants` (n, 3) and `noise` (n, 2) in Hz, the rest (n,)."""

    formants: Signal
    damping: Signal
    voice: Signal
    aspiration: Signal
    frication: Signal
    noise: Signal
    pitch: Signal


def _smooth(values: Signal, frames: int) -> Signal:
    window = np.hanning(frames + 2)[1:-1]
    padded = np.pad(
        values, [(frames // 2, frames - 1 - frames // 2)] + [(0, 0)] * (values.ndim - 1), mode="edge"
    )
    columns = padded.reshape(len(padded), -1).T
    smoothed = [np.convolve(column, window / window.sum(), mode="valid") for column in columns]
    return np.asarray(smoothed).T.reshape(values.shape)


def _track(score: _Score, voice: Voice, rng: np.random.Generator) -> _Track:
    def spread(values: list[Any] | Signal) -> Signal:
        return np.repeat(np.asarray(values, np.float64), score.frames, axis=0)

    formants = _smooth(spread([p.formants for p in score.phones]), 13)
    pitch = 1.10 - 0.20 * spread(score.phrase) + voice.liveliness * spread(score.accent)
    wander = _smooth(rng.normal(0, 0.35 * voice.liveliness, len(formants)), 41)
    return _Track(
        formants=formants * voice.tract * np.asarray(voice.shifts[:3]),
        damping=_smooth(spread([2.2 if p.nasal else 1.0 for p in score.phones]), 5),
        voice=_smooth(spread([p.voice for p in score.phones]), 7),
        aspiration=_smooth(spread([p.aspiration for p in score.phones]), 5),
        frication=_smooth(spread([p.frication for p in score.phones]), 5),
        noise=spread([p.noise for p in score.phones]),
        pitch=voice.pitch * (_smooth(pitch, 21) + wander),
    )


def _glottis(track: _Track, voice: Voice, rng: np.random.Generator) -> Signal:
    """Draw glottal flow (Rosenberg 1971, pulse C) at four times the rate, decimate, differentiate."""
    over = 4
    count = len(track.pitch) * _STEP * over
    frames = np.arange(count) / (_STEP * over)
    pitch = np.interp(frames, np.arange(len(track.pitch)), track.pitch)
    cycle = np.floor(np.cumsum(pitch) / (_RATE * over)).astype(np.int64)
    jitter = rng.normal(1, voice.jitter, int(cycle[-1]) + 2)
    phase = np.cumsum(pitch * jitter[cycle]) / (_RATE * over)
    shimmer = rng.normal(1, 4 * voice.jitter, int(phase[-1]) + 2)[phase.astype(np.int64)]
    t = phase % 1.0
    rise, fall = voice.open_quotient * 0.68, voice.open_quotient * 0.32
    opening = 0.5 - 0.5 * np.cos(np.pi * np.minimum(t / rise, 1))
    closing = np.cos(0.5 * np.pi * np.clip((t - rise) / fall, 0, 1))
    flow = resample_poly(opening * closing * shimmer, 1, over)
    return np.asarray(np.diff(flow, prepend=0.0) * 12)


def _tract(track: _Track, voice: Voice, rng: np.random.Generator) -> Signal:
    frames = np.arange(len(track.pitch) * _STEP) / _STEP
    nodes = np.arange(len(track.pitch))

    def fine(values: Signal) -> Signal:
        return np.interp(frames, nodes, values)

    pulses = _glottis(track, voice, rng)
    gate = 0.35 + 0.65 * np.clip(np.abs(pulses) * 3, 0, 1)
    breath = rng.normal(0, 0.35, len(pulses))
    source = (
        fine(track.voice) * (pulses + voice.breath * breath * gate) + 0.5 * fine(track.aspiration) * breath
    )
    voiced = _cascade(source, track, voice)
    return voiced + fine(track.frication) * _hiss(track, rng) * 0.7


def _resonator(frequency: float, width: float) -> tuple[list[float], list[float]]:
    """Compute Klatt's two-pole digital resonator with unit gain at 0 Hz."""
    c = -float(np.exp(-2 * np.pi * width / _RATE))
    b = 2 * float(np.exp(-np.pi * width / _RATE) * np.cos(2 * np.pi * min(frequency, 7600.0) / _RATE))
    return [1 - b - c], [1.0, -b, -c]


def _cascade(source: Signal, track: _Track, voice: Voice) -> Signal:
    wave = lfilter([1 - voice.tilt], [1.0, -voice.tilt], source)
    ring = lfilter(*_resonator(2900 * voice.tract, 250), wave)
    wave = wave + 0.5 * voice.twang * np.diff(ring, prepend=0.0)
    upper = np.asarray([3500, 4500, 5500, 6500, 7500]) * voice.tract
    upper[:2] *= voice.shifts[3]
    for frequency, width in zip(upper, (200 * voice.damping, 280, 400, 500, 600), strict=True):
        if frequency < 7600:
            wave = lfilter(*_resonator(float(frequency), float(width)), wave)
    for formant, width in enumerate((70.0, 95.0, 140.0)):
        state = np.zeros(2)
        blocks = []
        for frame, frequency in enumerate(track.formants[:, formant]):
            b, a = _resonator(float(frequency), width * voice.damping * float(track.damping[frame]))
            block, state = lfilter(b, a, wave[frame * _STEP : (frame + 1) * _STEP], zi=state)
            blocks.append(block)
        wave = np.concatenate(blocks)
    return np.asarray(wave)


def _hiss(track: _Track, rng: np.random.Generator) -> Signal:
    """Shape noise by the bands in `track.noise`, one filter per kind of sound."""
    white = rng.normal(0, 1, len(track.pitch) * _STEP)
    kinds, which = np.unique(track.noise, axis=0, return_inverse=True)
    per_sample = np.repeat(which.ravel(), _STEP)
    hiss = np.zeros_like(white)
    for number, (centre, width) in enumerate(kinds):
        band = (max(300.0, centre - width / 2), min(7700.0, centre + width / 2))
        hiss += np.where(
            per_sample == number, sosfilt(butter(2, band, "band", fs=_RATE, output="sos"), white), 0
        )
    return hiss


def _room(wave: Signal, rng: np.random.Generator) -> Signal:
    """Add the early decay of a small treated room."""
    reach = np.arange(int(0.12 * _RATE))
    tail = rng.normal(0, 1, len(reach)) * np.exp(-reach / (0.018 * _RATE)) * (reach > 0.003 * _RATE)
    tail *= 0.25 / np.sqrt(np.sum(tail * tail))
    spectrum = np.fft.rfft(wave, len(wave) + len(tail)) * np.fft.rfft(tail, len(wave) + len(tail))
    return np.asarray(wave + np.fft.irfft(spectrum, len(wave) + len(tail))[: len(wave)])
