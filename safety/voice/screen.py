"""Screening: whose enrolled voice speaks in a clip, when, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from core.errors import BadEnrolment, BadMedia
from core.finding import Comparison, Finding, Model, Screening, Unassessable
from core.media.clip import Clip
from core.media.read import whole_sound
from safety.gallery import Enrolment, Gallery, Template, gathered
from safety.transcript import Transcriber
from safety.voice.channels import views
from safety.voice.degrade import resampled
from safety.voice.enrol import enrol, usable
from safety.voice.listen import EMBEDDED, FRAME_S, GAP_S, STEP, Heard, Listener, clear
from safety.voice.mel import RATE, Floats
from safety.voice.score import LENGTHS, Calibration, heights, running, unit
from safety.voice.turns import turns

SPEECH_S = 1.0
SNR_DB = 3.0
SILENT_DB = -60.0
EDGE = 3
LONGEST_S = 3600.0
SPEEDS = (0.9, 1.1)
"""Copies of the clip that are listened to as well, against a voice that was sped up, slowed down or shifted."""
SEARCHED = 2
"""The channel views, those with the most speech, that are looked at in every other way too."""
NEAREST = 3
OVERLAP = 0.6
OVERLAP_S = 2.4
PROOF_FALSE_ALARMS = 0.001

Part = TypeVar("Part", Finding, Unassessable)


@dataclass(frozen=True)
class Reading:
    """One way of hearing the clip: `speed` is how much faster than the clip it runs.

    `beside` are the vectors of the same windows heard in another way: then the means of both are compared, since what
    enhancing leaves out and what it leaves in err in different directions.
    """

    view: str
    wave: Floats
    heard: Heard
    calibration: Calibration
    speed: float = 1.0
    beside: Floats | None = None

    @cached_property
    def vectors(self) -> Floats:
        """The projected vectors."""
        own = self.calibration.project(self.heard.vectors)
        return own if self.beside is None else unit(own + self.calibration.project(self.beside))

    @cached_property
    def means(self) -> list[Floats]:
        """Running means over each of LENGTHS; a longer one than there is speech for is left out."""
        stride = STEP * self.speed / self.step
        return [running(self.vectors, max(round(length * stride), 1)) for length in LENGTHS]

    @property
    def step(self) -> float:
        """The frames from window to window."""
        return STEP if self.speed == 1.0 else 2 * STEP


def heard_enhanced(listener: Listener, reading: Reading) -> Reading | None:
    """Hear a channel enhanced as well, to be compared by the mean of both; None where no background asks for it."""
    if clear(reading.heard):
        return None
    wave = listener.enhance(reading.wave)
    heard = replace(reading.heard, vectors=listener.hear(wave, reading.heard.speech).vectors)
    return Reading(
        _named(reading, "enhanced"), wave, heard, reading.calibration, beside=reading.heard.vectors
    )


class Voice:
    """The voice detector; make it with `load`."""

    def __init__(self, listener: Listener, transcriber: Transcriber | None = None) -> None:
        self._listener = listener
        self._calibration = listener.calibration
        self._transcriber = transcriber

    @classmethod
    def load(cls, models_dir: Path, tier: str = EMBEDDED) -> Voice:
        """Load the models of a tier; raise `ModelMissing` if one is missing or broken."""
        return cls(Listener(models_dir, tier), Transcriber.load(models_dir))

    def enrol(self, recordings: Sequence[Path]) -> Enrolment:
        """Learn a voice from recordings; raise `BadEnrolment` when none is good enough."""
        return enrol(self._listener, recordings)

    def compare(self, template: Template, recording: Path) -> Comparison:
        """Tell whether a recording, made for it, is of an enrolled voice: one false match in a thousand strangers.

        Raises `BadEnrolment` where the recording is not fit to judge by, as `enrol` would, and `BadMedia`.
        """
        wave, heard = usable(self._listener, recording)
        reading = Reading("plain", wave, heard, self._calibration)
        score = heights(self._calibration, gathered([template]), reading.means)[template.identity]
        threshold = self._calibration.threshold(1, len(heard.vectors), PROOF_FALSE_ALARMS)
        if not np.isfinite(score):
            raise BadEnrolment("The recording cannot be compared.")
        said = None if self._transcriber is None else self._transcriber(wave, heard.turns)
        return Comparison(score >= threshold, score, threshold, self._calibration.probability(score), said)

    def screen(self, clip: Clip, gallery: Sequence[Template]) -> Screening:
        """Look for the enrolled voices in every channel of a clip; raise `BadMedia` if that cannot be done."""
        sound = np.zeros((0, 1), np.float32)
        if clip.audio is not None:
            if clip.seconds > LONGEST_S:
                raise BadMedia(
                    f"The sound lasts {clip.seconds:.0f} s; voices are looked for in at most {LONGEST_S:.0f}."
                )
            sound = whole_sound(clip.path, rate=RATE)
        plain = [
            Reading(
                "plain" if number == 0 else f"channels {number + 1}",
                wave,
                self._listener.hear(wave),
                self._calibration,
            )
            for number, wave in enumerate(views(sound))
        ]
        clearest = sorted(plain, key=lambda reading: -reading.heard.speech_s)[:SEARCHED]
        readings = [*plain, *(other for reading in clearest for other in self._others(reading))]
        return Screening(
            detector="voice",
            tier=self._listener.tier,
            models=self._models(),
            findings=tuple(self._findings(readings, gathered(gallery))),
            unassessable=tuple(_joined(part for reading in plain for part in _unassessable(reading, plain))),
            tracks=max(len(reading.heard.turns) for reading in plain),
            notes=self._notes(clip, plain),
            turns=turns(self._calibration, clearest[0].heard),
            transcript=None
            if self._transcriber is None
            else self._transcriber(clearest[0].wave, clearest[0].heard.turns),
        )

    def _others(self, reading: Reading) -> Iterator[Reading]:
        """Yield the other ways to hear a channel in which somebody speaks."""
        speech = reading.heard.turns
        if not speech:
            return
        if (enhanced := heard_enhanced(self._listener, reading)) is not None:
            yield enhanced
        for speed in SPEEDS:
            wave = resampled(reading.wave, speed)
            heard = self._listener.hear(wave, reading.heard.speech, 2 * STEP)
            yield Reading(_named(reading, f"speed {speed}"), wave, heard, self._calibration, speed)

    def _findings(self, readings: Sequence[Reading], gallery: Gallery) -> Iterator[Finding]:
        """Yield the stretches of everybody who is above the threshold somewhere."""
        best: dict[str, float] = {}
        for reading in readings:
            for identity, height in heights(self._calibration, gallery, reading.means).items():
                best[identity] = max(best.get(identity, -np.inf), height)
        windows = max(len(reading.heard.vectors) for reading in readings)
        threshold = self._calibration.threshold(len(gallery), windows)
        for template in gallery:
            least = threshold if template.threshold is None else template.threshold
            if best[template.identity] >= least:
                nearest = tuple(_nearest(best, template.identity))
                found = (part for reading in readings for part in self._found(reading, template, least))
                yield from (replace(part, neighbours=nearest) for part in _joined(found))

    def _found(self, reading: Reading, template: Template, threshold: float) -> Iterator[Finding]:
        """Yield the stretches that match; a longer running mean adds only where a shorter one saw nothing."""
        submodels = self._calibration.submodels(template)
        seen: list[tuple[float, float]] = []
        for number, (length, means) in enumerate(zip(LENGTHS, reading.means, strict=True)):
            if not len(means):
                continue
            values = self._calibration.height(self._calibration.best(means, submodels), number)
            span = len(reading.heard.spans) - len(means) + 1
            for start, end, score in _stretches(values, threshold, reading.heard.spans * reading.speed, span):
                if any(start < other_end and other_start < end for other_start, other_end in seen):
                    continue
                seen.append((start, end))
                finer = length == 1 and reading.speed == 1.0 and reading.beside is None
                height = max(score, self._finer(reading, submodels, start, end)) if finer else score
                yield Finding(
                    kind="voice",
                    identity=template.identity,
                    score=height,
                    threshold=threshold,
                    start=start,
                    end=end,
                    track="audio",
                    probability=self._calibration.probability(height),
                    snr_db=round(reading.heard.snr_db(start / reading.speed, end / reading.speed), 1),
                    view=reading.view,
                )

    def _finer(self, reading: Reading, submodels: Floats, start: float, end: float) -> float:
        """Return the best height within 0.3 s of the best window of a stretch."""
        spans = reading.heard.spans
        inside = np.flatnonzero((spans[:, 0] >= start - 0.01) & (spans[:, 1] <= end + 0.01))
        if not len(inside):
            return -np.inf
        best = inside[self._calibration.best(reading.vectors[inside], submodels).argmax()]
        near = self._listener.near(reading.wave, reading.heard, int(best))
        scores = self._calibration.best(self._calibration.project(near.vectors), submodels)
        return float(self._calibration.height(scores, 0).max())

    def _models(self) -> tuple[Model, ...]:
        return (*self._listener.models, *([self._transcriber.model] if self._transcriber else []))

    def _notes(self, clip: Clip, plain: Sequence[Reading]) -> tuple[str, ...]:
        if clip.audio is None:
            return ("The clip has no sound.",)
        loudest = max(float(reading.heard.power.max()) for reading in plain)
        if 10 * np.log10(loudest + 1e-12) < SILENT_DB:
            return ("The sound is silent.",)
        if not any(reading.heard.turns for reading in plain):
            return ("There is sound but no speech.",)
        return (
            ()
            if self._transcriber
            else ("What is said was not written down: there is no speech recogniser.",)
        )


def _named(reading: Reading, way: str) -> str:
    return way if reading.view == "plain" else f"{reading.view}, {way}"


def _nearest(best: dict[str, float], identity: str) -> Iterator[tuple[str, float]]:
    """Yield the others who come next, with their heights."""
    others = sorted((-height, other) for other, height in best.items() if other != identity)
    yield from ((other, round(-height, 2)) for height, other in others[:NEAREST] if np.isfinite(height))


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


def _unassessable(reading: Reading, plain: Sequence[Reading]) -> Iterator[Unassessable]:
    """Yield what is speech in one view of a clip and cannot be compared in any."""
    speech = reading.heard.turns
    if speech and max(other.heard.speech_s for other in plain) < SPEECH_S:
        why = f"There is {reading.heard.speech_s:.1f} s of speech; {SPEECH_S:.0f} s is needed."
        yield Unassessable(kind="voice", why=why, start=speech[0][0], end=speech[-1][1])
        return
    for start, end in speech:
        if end - start >= SPEECH_S and not any(_clear(other.heard, start, end) for other in plain):
            snr = reading.heard.snr_db(start, end)
            why = f"The speech stands {snr:.0f} dB above its background; {SNR_DB:.0f} dB are needed."
            yield Unassessable(kind="voice", why=why, start=start, end=end)
    if len(plain) == 1:  # two who speak in two channels are heard apart
        yield from _overlaps(reading)


def _overlaps(reading: Reading) -> Iterator[Unassessable]:
    """Yield where several windows in a row say that more than one person speaks at once."""
    if not len(reading.vectors):
        return
    chances = reading.calibration.overlapping(reading.vectors)
    for start, end, _ in _stretches(chances, OVERLAP, reading.heard.spans, 1):
        if end - start >= OVERLAP_S:
            why = "More than one person speaks at the same time."
            yield Unassessable(kind="voice", why=why, start=start, end=end)


def _clear(heard: Heard, start: float, end: float) -> bool:
    """Tell whether a view has speech most of the time from `start` to `end`, well above its background."""
    spoken = heard.speech[round(start / FRAME_S) : round(end / FRAME_S)].mean() > 0.5
    return bool(spoken) and heard.snr_db(start, end) >= SNR_DB
