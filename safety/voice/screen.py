"""Screening: whose enrolled voice speaks in a clip, when, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Finding, Screening, Unassessable
from core.media.clip import Clip
from core.media.read import whole_sound
from safety.voice.enrol import Enrolment, enrol
from safety.voice.listen import Heard, Listener
from safety.voice.mel import RATE, Floats
from safety.voice.score import LENGTHS, centre, cohort, scores

TIER = "embedded"
SPEECH_S = 1.0
SNR_DB = 8.0
SILENT_DB = -60.0
GAP_S = 0.5
EDGE = 3


@dataclass(frozen=True, slots=True)
class Template:
    """An enrolled voice: `vectors` (n, 256) float32 as `Enrolment` gives them."""

    identity: str
    vectors: Floats


class Voice:
    """The voice detector; make it with `load`."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    @classmethod
    def load(cls, models_dir: Path, tier: str = TIER) -> Voice:
        """Load the models of a tier; raise `ModelMissing` if one is missing or broken."""
        if tier != TIER:
            raise ModelMissing(f"There is no voice tier {tier!r} here; there is {TIER!r}.")
        return cls(Listener(models_dir))

    def enrol(self, recordings: Sequence[Path]) -> Enrolment:
        """Learn a voice from recordings; raise `BadEnrolment` when none is good enough."""
        return enrol(self._listener, recordings)

    def screen(self, clip: Clip, gallery: Sequence[Template]) -> Screening:
        """Look for the enrolled voices in a clip's sound; raise `BadMedia` if it cannot be decoded."""
        wave = np.zeros(0, np.float32)
        if clip.audio is not None:
            wave = whole_sound(clip.path, rate=RATE, mono=True)[:, 0]
        heard = self._listener.hear(wave)
        findings = tuple(finding for template in gallery for finding in _found(heard, template, len(gallery)))
        return Screening(
            detector="voice",
            tier=TIER,
            models=self._listener.models,
            findings=findings,
            unassessable=tuple(_unassessable(heard)),
            tracks=len(heard.turns),
            notes=_notes(clip, heard),
        )


def _found(heard: Heard, template: Template, voices: int) -> Iterator[Finding]:
    """Yield the stretches that match; a longer running mean adds only where a shorter one saw nothing."""
    vectors = cohort().centred(heard.vectors)
    voice = centre(cohort().centred(template.vectors))
    seen: list[tuple[float, float]] = []
    for view, length in enumerate(LENGTHS):
        threshold = cohort().threshold(view, voices, len(vectors))
        values = scores(vectors, voice, length)
        for start, end, score in _stretches(values, threshold, heard.spans, length):
            if any(start < other_end and other_start < end for other_start, other_end in seen):
                continue
            seen.append((start, end))
            yield Finding(
                kind="voice",
                identity=template.identity,
                score=score,
                threshold=threshold,
                start=start,
                end=end,
                track="audio",
            )


def _stretches(
    values: Floats, threshold: float, spans: npt.NDArray[np.float64], length: int
) -> Iterator[tuple[float, float, float]]:
    """Join the windows over the threshold into (start, end, best score).

    The windows at either end reach into other speech: up to three of them that stay below half of the peak's
    height over the threshold are left off.
    """
    hits = np.flatnonzero(values >= threshold)
    gaps = spans[hits[1:], 0] > spans[hits[:-1] + length - 1, 1] + GAP_S
    for group in np.split(hits, np.flatnonzero(gaps) + 1) if len(hits) else []:
        best = values[group].max()
        strong = group[values[group] >= (best + threshold) / 2]
        first = min(strong[0], group[0] + EDGE)
        last = max(strong[-1], group[-1] - EDGE)
        yield float(spans[first, 0]), float(spans[last + length - 1, 1]), float(best)


def _unassessable(heard: Heard) -> Iterator[Unassessable]:
    """Yield what is speech but cannot be compared."""
    turns = heard.turns
    if turns and heard.speech_s < SPEECH_S:
        why = f"There is {heard.speech_s:.1f} s of speech; {SPEECH_S:.0f} s is needed."
        yield Unassessable(kind="voice", why=why, start=turns[0][0], end=turns[-1][1])
        return
    for start, end in turns:
        snr = heard.snr_db(start, end)
        if end - start >= SPEECH_S and snr < SNR_DB:
            why = f"The speech stands {snr:.0f} dB above its background; {SNR_DB:.0f} dB are needed."
            yield Unassessable(kind="voice", why=why, start=start, end=end)


def _notes(clip: Clip, heard: Heard) -> tuple[str, ...]:
    if clip.audio is None:
        return ("The clip has no sound.",)
    if 10 * np.log10(float(heard.power.max()) + 1e-12) < SILENT_DB:
        return ("The sound is silent.",)
    return () if heard.turns else ("There is sound but no speech.",)
