"""Screening: whose enrolled voice speaks in a clip, when, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Finding, Screening, Unassessable
from core.media.clip import Clip
from core.media.read import whole_sound
from safety.gallery import Enrolment, Template
from safety.voice.channels import views
from safety.voice.enrol import enrol
from safety.voice.listen import FRAME_S, Heard, Listener
from safety.voice.mel import RATE, Floats
from safety.voice.score import LENGTHS, centre, cohort, scores

TIER = "embedded"
SPEECH_S = 1.0
SNR_DB = 8.0
SILENT_DB = -60.0
GAP_S = 0.5
EDGE = 3

Part = TypeVar("Part", Finding, Unassessable)


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
        """Look for the enrolled voices in every channel of a clip; raise `BadMedia` if that cannot be done."""
        sound = np.zeros((0, 1), np.float32)
        if clip.audio is not None:
            sound = whole_sound(clip.path, rate=RATE)
        heard = [self._listener.hear(wave) for wave in views(sound)]
        findings = (
            finding
            for template in gallery
            for finding in _joined(part for view in heard for part in _found(view, template, len(gallery)))
        )
        return Screening(
            detector="voice",
            tier=TIER,
            models=self._listener.models,
            findings=tuple(findings),
            unassessable=tuple(_joined(part for view in heard for part in _unassessable(view, heard))),
            tracks=max(len(view.turns) for view in heard),
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


def _joined(parts: Iterable[Part]) -> list[Part]:
    """Join what several views have at the same time; the strongest tells what was found."""
    joined: list[Part] = []
    for part in sorted(parts, key=lambda part: part.start):
        if not joined or part.start >= joined[-1].end:
            joined.append(part)
            continue
        best = max(joined[-1], part, key=_margin)
        joined[-1] = replace(best, start=joined[-1].start, end=max(joined[-1].end, part.end))
    return joined


def _margin(part: Finding | Unassessable) -> float:
    return part.score - part.threshold if isinstance(part, Finding) else 0.0


def _unassessable(view: Heard, heard: Sequence[Heard]) -> Iterator[Unassessable]:
    """Yield what is speech in one view of a clip and cannot be compared in any."""
    turns = view.turns
    if turns and max(other.speech_s for other in heard) < SPEECH_S:
        why = f"There is {view.speech_s:.1f} s of speech; {SPEECH_S:.0f} s is needed."
        yield Unassessable(kind="voice", why=why, start=turns[0][0], end=turns[-1][1])
        return
    for start, end in turns:
        if end - start >= SPEECH_S and not any(_clear(other, start, end) for other in heard):
            snr = view.snr_db(start, end)
            why = f"The speech stands {snr:.0f} dB above its background; {SNR_DB:.0f} dB are needed."
            yield Unassessable(kind="voice", why=why, start=start, end=end)


def _clear(view: Heard, start: float, end: float) -> bool:
    """Tell whether a view has speech most of the time from `start` to `end`, well above its background."""
    spoken = view.speech[round(start / FRAME_S) : round(end / FRAME_S)].mean() > 0.5
    return bool(spoken) and view.snr_db(start, end) >= SNR_DB


def _notes(clip: Clip, heard: Sequence[Heard]) -> tuple[str, ...]:
    if clip.audio is None:
        return ("The clip has no sound.",)
    loudest = max(float(view.power.max()) for view in heard)
    if 10 * np.log10(loudest + 1e-12) < SILENT_DB:
        return ("The sound is silent.",)
    return () if any(view.turns for view in heard) else ("There is sound but no speech.",)
