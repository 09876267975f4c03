"""From samples to voice vectors: speech found, cut into windows, levelled and embedded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Model
from safety.voice.encoder import Encoder
from safety.voice.enhance import Enhancer
from safety.voice.mel import HOP, RATE, Floats, frame_power
from safety.voice.own import OWN, OwnEncoder, calibrated
from safety.voice.score import Calibration, shipped
from safety.voice.vad import Flags, SpeechDetector, runs

FRAME_S = HOP / RATE
WINDOW = 160
STEP = 40
FINE = 10
GAP_S = 0.5
EDGE = 4
"""Frames of sound on either side that a part is heard with, so that its windows are those of the whole."""
CLEAR_DB = 25.0
"""Speech further above its background than this is not enhanced."""
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in one sound track.

    `vectors` (n, d) of unit length, one per window of up to 1.6 s of speech, every 0.4 s of speech;
    `spans` (n, 2) their starts and ends in seconds; `power` and `speech` count frames of 10 ms.
    """

    vectors: Floats
    spans: npt.NDArray[np.float64]
    power: Floats
    speech: Flags

    @property
    def speech_s(self) -> float:
        """The seconds of speech."""
        return float(np.count_nonzero(self.speech)) * FRAME_S

    @property
    def turns(self) -> tuple[tuple[float, float], ...]:
        """The stretches of speech, (start, end) in seconds."""
        return tuple((first * FRAME_S, end * FRAME_S) for first, end in runs(self.speech))

    def snr_db(self, start: float, end: float) -> float:
        """Estimate how far speech stands above its background from `start` to `end` seconds.

        The background is the tenth percentile of the 10 ms powers (after minimum statistics, Martin 2001);
        steady speech without any pause is underestimated.
        """
        power = self.power[round(start / FRAME_S) : round(end / FRAME_S)]
        floor = float(np.percentile(power, 10)) + 1e-10
        return float(10 * np.log10(max(float(power.mean()) / floor - 1, 1e-3)))


def clear(heard: Heard) -> bool:
    """Tell whether no background asks for an enhanced view: there is none to speak of, or no speech."""
    speech = heard.turns
    return not speech or heard.snr_db(speech[0][0], speech[-1][1]) >= CLEAR_DB


class Listener:
    """The speech detector and the speaker encoder of a tier together."""

    def __init__(self, models_dir: Path, tier: str = EMBEDDED) -> None:
        if tier not in (EMBEDDED, OWN):
            raise ModelMissing(f"There is no voice tier {tier!r} here; there are {EMBEDDED!r} and {OWN!r}.")
        self.tier = tier
        self._models_dir = models_dir
        self._detector = SpeechDetector()
        self.enhance = Enhancer(models_dir)
        self._encoder: Encoder | OwnEncoder = OwnEncoder(models_dir) if tier == OWN else Encoder(models_dir)

    @cached_property
    def calibration(self) -> Calibration:
        """What the encoder's vectors mean; raise `ModelMissing` where an own encoder has no calibration."""
        return calibrated(self._models_dir, self._encoder.model) if self.tier == OWN else shipped()

    @property
    def models(self) -> tuple[Model, ...]:
        """The models whose verdicts these are."""
        return (self._encoder.model, self._detector.model, self.enhance.model)

    def speech(self, wave: Floats) -> Flags:
        """Tell for each 10 ms of 16 kHz samples (n,) whether somebody speaks."""
        return self._detector.frames(_finite(wave))

    def hear(self, wave: Floats, speech: Flags | None = None, step: int = STEP) -> Heard:
        """Embed the speech in 16 kHz samples (n,) every `step` frames; anything not finite counts as silence.

        `speech`, where it is known already, saves asking the detector.
        """
        wave = _finite(wave)
        power = frame_power(wave)
        speech = self._detector.frames(wave) if speech is None else fitted(speech, len(power))
        windows = _windows(np.flatnonzero(speech), step)
        spans = np.array([(frames[0], frames[-1] + 1) for frames in windows]).reshape(-1, 2) * FRAME_S
        return Heard(self._encoder.embed(wave, power, windows), spans, power, speech)

    def near(self, wave: Floats, heard: Heard, window: int) -> Heard:
        """Embed again, every 0.1 s, within 0.3 s of one of the windows of what was heard."""
        frames = np.flatnonzero(heard.speech)
        last = max(len(frames) - WINDOW, 0)
        starts = {min(max(window * STEP + shift, 0), last) for shift in range(-STEP + FINE, STEP, FINE)}
        cut = [frames[start : start + WINDOW] for start in sorted(starts)]
        first, end = max(cut[0][0] - EDGE, 0), cut[-1][-1] + EDGE
        part, power = _finite(wave[first * HOP : end * HOP]), heard.power[first:]
        vectors = self._encoder.embed(part, power, [numbers - first for numbers in cut])
        spans = np.array([(numbers[0], numbers[-1] + 1) for numbers in cut]) * FRAME_S
        return replace(heard, vectors=vectors, spans=spans)


def fitted(speech: Flags, count: int) -> Flags:
    """Stretch or shrink flags to `count` frames, as for the same sound at another speed."""
    if len(speech) == count:
        return speech
    return speech[np.minimum(np.arange(count) * len(speech) // max(count, 1), len(speech) - 1)]


def _finite(wave: Floats) -> Floats:
    return np.nan_to_num(wave, nan=0.0, posinf=0.0, neginf=0.0)


def _windows(speech: npt.NDArray[np.intp], step: int) -> list[npt.NDArray[np.intp]]:
    """Cut the numbers of the frames with speech into windows; what is shorter than one window is one."""
    last = max(len(speech) - WINDOW, 0)
    starts = [*range(0, last, step), last] if len(speech) else []
    return [speech[start : start + WINDOW] for start in starts]
