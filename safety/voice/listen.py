"""From samples to voice vectors: speech found, cut into windows, levelled and embedded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.finding import Model
from safety.voice.encoder import Encoder
from safety.voice.mel import HOP, RATE, Floats, frame_power, gain, mel_power
from safety.voice.vad import Flags, SpeechDetector, runs

FRAME_S = HOP / RATE
WINDOW = 160
STEP = 40


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in one sound track.

    `vectors` (n, 256) of unit length, one per window of up to 1.6 s of speech, every 0.4 s of speech;
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


class Listener:
    """The speech detector and the speaker encoder together."""

    def __init__(self, models_dir: Path) -> None:
        self._detector = SpeechDetector()
        self._encoder = Encoder(models_dir)

    @property
    def models(self) -> tuple[Model, ...]:
        """The models whose verdicts these are."""
        return (self._encoder.model, self._detector.model)

    def hear(self, wave: Floats) -> Heard:
        """Embed the speech in 16 kHz samples (n,); anything not finite counts as silence."""
        wave = np.nan_to_num(wave, nan=0.0, posinf=0.0, neginf=0.0)
        speech, power = self._detector.frames(wave), frame_power(wave)
        windows = _windows(np.flatnonzero(speech))
        spans = np.array([(frames[0], frames[-1] + 1) for frames in windows]).reshape(-1, 2) * FRAME_S
        if not windows:
            return Heard(np.zeros((0, 256), np.float32), spans, power, speech)
        mels = mel_power(wave)
        levelled = np.stack(
            [mels[frames] * np.float32(gain(float(power[frames].mean()))) for frames in windows]
        )
        return Heard(self._encoder(levelled), spans, power, speech)


def _windows(speech: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Cut the numbers of the frames with speech into windows; what is shorter than one window is one."""
    last = max(len(speech) - WINDOW, 0)
    starts = [*range(0, last, STEP), last] if len(speech) else []
    return [speech[start : start + WINDOW] for start in starts]
