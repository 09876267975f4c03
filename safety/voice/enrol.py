"""Enrolment: which recordings are good enough to know a person by, and the sub-models they give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.errors import BadEnrolment, BadMedia
from core.media.read import whole_sound
from safety.gallery import Enrolment
from safety.voice.degrade import CONDITIONS
from safety.voice.listen import STEP, Heard, Listener
from safety.voice.mel import HOP, RATE, Floats
from safety.voice.score import Calibration, running, unit

SPEECH_S = 3.0
MOST_S = 60.0
LEVEL_DB = -50.0
SNR_DB = 10.0
CLIPPED = 0.001
ONE_SPEAKER = 2.5
SAME_PERSON = 2.0
"""Deviations above the mean cosine of different people, of the two halves of a recording and of two recordings."""


def enrol(listener: Listener, recordings: Sequence[Path]) -> Enrolment:
    """Check the recordings and learn the voice; raise `BadEnrolment` when none is good enough."""
    good: list[tuple[str, Floats]] = []
    refused: list[tuple[str, str]] = []
    for path in recordings:
        try:
            good.append((path.name, _voice(listener, path)))
        except (BadEnrolment, BadMedia) as error:
            refused.append((path.name, error.message))
    strangers = _strangers(listener.calibration, [rows[0] for _, rows in good])
    refused += [
        (good[number][0], "It is another voice than in the other recordings.") for number in strangers
    ]
    kept = [pair for number, pair in enumerate(good) if number not in strangers]
    if not kept:
        reasons = " ".join(f"{name}: {why}" for name, why in refused)
        raise BadEnrolment(f"No recording is good enough to enrol. {reasons}".strip())
    parts = np.tile(np.arange(len(CONDITIONS), dtype=np.uint8), len(kept))
    return Enrolment(
        vectors=np.concatenate([rows for _, rows in kept]),
        accepted=tuple(name for name, _ in kept),
        refused=tuple(refused),
        models=listener.models,
        parts=parts,
    )


def usable(listener: Listener, path: Path) -> tuple[Floats, Heard]:
    """Hear a recording: its wave and what was heard in it; raise `BadEnrolment` where it is not fit to know by."""
    wave = whole_sound(path, rate=RATE, mono=True)[: round(MOST_S * 3 * RATE), 0]
    wave = np.nan_to_num(wave, nan=0.0, posinf=0.0, neginf=0.0)
    speech = listener.speech(wave)
    enough = np.flatnonzero(np.cumsum(speech) * HOP >= MOST_S * RATE)
    if len(enough):
        wave, speech = wave[: enough[0] * HOP], speech[: 1 + enough[0]]
    heard = listener.hear(wave, speech)
    if why := _unfit(listener.calibration, wave, heard):
        raise BadEnrolment(why)
    return wave, heard


def rows(listener: Listener, wave: Floats, heard: Heard) -> Floats:
    """Give the mean vector of a recording in each of CONDITIONS, (k, d)."""
    made = [heard.vectors.mean(axis=0)]
    for number, degrade in enumerate(list(CONDITIONS.values())[1:]):
        changed = degrade(wave, np.random.default_rng([number, len(wave)]))
        made.append(listener.hear(changed, heard.speech, 2 * STEP).vectors.mean(axis=0))
    return unit(np.stack(made))


def _voice(listener: Listener, path: Path) -> Floats:
    return rows(listener, *usable(listener, path))


def _unfit(calibration: Calibration, wave: Floats, heard: Heard) -> str | None:
    """Say why a recording cannot be used, or None."""
    if heard.speech_s < SPEECH_S:
        return f"It has {heard.speech_s:.1f} s of speech; {SPEECH_S:.0f} s are needed."
    level = 10 * np.log10(float(heard.power[heard.speech].mean()) + 1e-12)
    if level < LEVEL_DB:
        return f"The speech is at {level:.0f} dBFS; at least {LEVEL_DB:.0f} is needed."
    if (clipped := _clipped(wave)) > CLIPPED:
        return f"{clipped:.1%} of the samples are clipped."
    snr = heard.snr_db(heard.turns[0][0], heard.turns[-1][1])
    if snr < SNR_DB:
        return f"The speech stands {snr:.0f} dB above the background; {SNR_DB:.0f} dB are needed."
    if self_similarity(calibration, heard.vectors) < ONE_SPEAKER:
        return "More than one person speaks."
    return None


def _clipped(wave: Floats) -> float:
    """Return the share of samples that lie in a run of at least three at the peak, above half of full scale."""
    peak = float(np.abs(wave).max())
    flat = np.abs(wave) >= peak * 0.995
    long = flat[:-2] & flat[1:-1] & flat[2:]
    return float(np.count_nonzero(long)) / len(wave) if peak > 0.5 else 0.0


def self_similarity(calibration: Calibration, vectors: Floats) -> float:
    """Return how alike the least typical stretch of 3.2 s of speech is to the half that it is not in.

    In deviations above the mean cosine of different people.
    """
    projected = calibration.project(vectors)
    half = len(projected) // 2
    length = min(5, half) or 1
    one, other = projected[:half], projected[half:]
    least = min(
        float((running(one, length) @ unit(other.mean(axis=0))).min()),
        float((running(other, length) @ unit(one.mean(axis=0))).min()),
    )
    return _above(calibration, least)


def _above(calibration: Calibration, cosine: float) -> float:
    mean, deviation = calibration.pairs
    return float((cosine - mean) / deviation)


def _strangers(calibration: Calibration, voices: Sequence[Floats]) -> set[int]:
    """Return the numbers of the recordings, each (d,), that do not match the most typical one."""
    if len(voices) < 2:
        return set()
    alike = (projected := calibration.project(np.stack(voices))) @ projected.T
    typical = int(alike.sum(axis=1).argmax())
    return {
        number
        for number, cosine in enumerate(alike[typical].tolist())
        if _above(calibration, cosine) < SAME_PERSON
    }
