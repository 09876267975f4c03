"""Enrolment: which recordings are good enough to know a person by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.errors import BadEnrolment, BadMedia
from core.media.read import whole_sound
from safety.gallery import Enrolment
from safety.voice.listen import Heard, Listener
from safety.voice.mel import RATE, Floats
from safety.voice.score import centre, cohort, scores, unit

SPEECH_S = 3.0
LEVEL_DB = -50.0
SNR_DB = 10.0
CLIPPED = 0.001
ONE_SPEAKER = 0.4
SAME_PERSON = 0.3


def enrol(listener: Listener, recordings: Sequence[Path]) -> Enrolment:
    """Check the recordings and learn the voice; raise `BadEnrolment` when none is good enough."""
    good: list[tuple[str, Floats]] = []
    refused: list[tuple[str, str]] = []
    for path in recordings:
        try:
            good.append((path.name, _voice(listener, path)))
        except (BadEnrolment, BadMedia) as error:
            refused.append((path.name, error.message))
    strangers = _strangers(np.array([voice for _, voice in good]))
    refused += [
        (good[number][0], "It is another voice than in the other recordings.") for number in strangers
    ]
    kept = [pair for number, pair in enumerate(good) if number not in strangers]
    if not kept:
        reasons = " ".join(f"{name}: {why}" for name, why in refused)
        raise BadEnrolment(f"No recording is good enough to enrol. {reasons}".strip())
    names = tuple(name for name, _ in kept)
    vectors = np.stack([voice for _, voice in kept])
    return Enrolment(vectors=vectors, accepted=names, refused=tuple(refused), models=listener.models)


def _voice(listener: Listener, path: Path) -> Floats:
    wave = whole_sound(path, rate=RATE, mono=True)[:, 0]
    heard = listener.hear(wave)
    if why := _unfit(wave, heard):
        raise BadEnrolment(why)
    return unit(heard.vectors.mean(axis=0))


def _unfit(wave: Floats, heard: Heard) -> str | None:
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
    if _self_similarity(heard) < ONE_SPEAKER:
        return "More than one person speaks."
    return None


def _clipped(wave: Floats) -> float:
    """Return the share of samples that lie in a run of at least three at the peak, above half of full scale."""
    peak = float(np.abs(wave).max())
    flat = np.abs(wave) >= peak * 0.995
    long = flat[:-2] & flat[1:-1] & flat[2:]
    return float(np.count_nonzero(long)) / len(wave) if peak > 0.5 else 0.0


def _self_similarity(heard: Heard) -> float:
    """Return how alike the least typical stretch of 3.2 s of speech is to the two halves' better one."""
    centred = cohort().centred(heard.vectors)
    half = len(centred) // 2
    length = min(5, half) or 1
    return float(
        min(
            scores(centred[half:], centre(centred[:half]), length).min(),
            scores(centred[:half], centre(centred[half:]), length).min(),
        )
    )


def _strangers(voices: Floats) -> set[int]:
    """Return the numbers of the recordings (n, 256) that do not match the most typical one."""
    if len(voices) < 2:
        return set()
    alike = (centred := cohort().centred(voices)) @ centred.T
    typical = int(alike.sum(axis=1).argmax())
    return {int(number) for number in np.flatnonzero(alike[typical] < SAME_PERSON)}
