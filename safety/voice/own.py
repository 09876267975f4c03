"""An operator's own speaker encoder: an ONNX file and its calibration, beside the other models.

`voice-own.onnx` takes either waves (windows, samples) at 16 kHz or Kaldi's 80 log mel bands (windows, frames, 80) with
the mean over time taken off, as CAM++, ERes2Net, ReDimNet and ECAPA exports do, and gives vectors (windows, d). Its
calibration is made by `python -m safety.voice.cohort` from recordings of many speakers and names the file by digest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Model
from core.models import file_sha256
from safety.voice.encoder import Frames, session
from safety.voice.mel import FFT, HOP, RATE, Floats
from safety.voice.score import Calibration, load, unit

OWN = "own"
FILE = "voice-own.onnx"
CALIBRATION = "voice-own.npz"
NOTE = "voice-own.npz.json"
BANDS = 80
WIDE = 512
MOST = 16


class OwnEncoder:
    """Windows of speech in, vectors of unit length out."""

    def __init__(self, models_dir: Path) -> None:
        path = models_dir / FILE
        if not path.is_file():
            raise ModelMissing(f"The voice tier {OWN!r} needs {FILE} in the folder of models.")
        self.model = Model(FILE, file_sha256(path))
        self._session = session(path, FILE)
        shapes = [tuple(value.shape) for value in self._session.get_inputs()]
        if len(shapes) != 1 or len(shapes[0]) not in (2, 3):
            raise ModelMissing(
                f"{FILE} must take one input: waves (windows, samples) or bands (windows, frames, 80)."
            )
        self._name = self._session.get_inputs()[0].name
        self._bands = len(shapes[0]) == 3

    def embed(self, wave: Floats, power: Floats, windows: Sequence[Frames]) -> Floats:
        """Embed windows, given as the numbers of their frames of 10 ms, of 16 kHz samples (n,): (windows, d)."""
        del power  # these encoders take the level off themselves
        padded = np.pad(wave, (0, 2 * HOP))
        hops = np.lib.stride_tricks.sliding_window_view(padded, HOP)[::HOP]
        cut = [hops[np.minimum(part, len(hops) - 1)].ravel() for part in windows]
        vectors: list[Floats] = []
        for group in _alike(cut):
            ready = np.stack([fbank(part) for part in group]) if self._bands else np.stack(group)
            vectors.append(np.asarray(self._session.run(None, {self._name: ready})[0], np.float32))
        return unit(np.concatenate(vectors)) if vectors else np.zeros((0, self.size), np.float32)

    @property
    def size(self) -> int:
        """The length of a vector, as far as the file tells it."""
        last = self._session.get_outputs()[0].shape[-1]
        return last if isinstance(last, int) else 0


def _alike(cut: Sequence[Floats]) -> list[list[Floats]]:
    """Group successive windows of the same length, at most 16 at a time."""
    groups: list[list[Floats]] = []
    for part in cut:
        if groups and len(groups[-1]) < MOST and len(groups[-1][0]) == len(part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def calibrated(models_dir: Path, model: Model) -> Calibration:
    """Read the calibration of an own encoder; raise `ModelMissing` if it is missing or another encoder's."""
    try:
        note = json.loads((models_dir / NOTE).read_text())
    except (OSError, ValueError) as error:
        raise ModelMissing(
            f"The voice tier {OWN!r} needs {NOTE}; make it with safety.voice.cohort."
        ) from error
    if not isinstance(note, dict) or note.get("encoder") != model.sha256:
        raise ModelMissing(f"{CALIBRATION} was made for another encoder than {FILE}.")
    return load(models_dir / CALIBRATION)


def note(models_dir: Path, model: Model, calibration: Calibration) -> None:
    """Write a calibration beside the encoder that it was made with."""
    calibration.save(models_dir / CALIBRATION)
    (models_dir / NOTE).write_text(json.dumps({"encoder": model.sha256}))


@cache
def _bank() -> Floats:
    """Return Kaldi's triangles, 20 Hz to 8 kHz, (80, 257)."""

    def mel(hertz: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
        return np.asarray(1127 * np.log1p(np.asarray(hertz) / 700))

    edges = np.linspace(mel(20.0), mel(RATE / 2), BANDS + 2)
    bins = mel(np.arange(WIDE // 2 + 1) * RATE / WIDE)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def fbank(wave: Floats) -> Floats:
    """Return Kaldi's 80 log mel bands of 16 kHz samples (n,), less their mean over time: (1 + (n - 400) // 160, 80).

    Povey's window, pre-emphasis 0.97, no dither, the level of 16-bit samples (compute-fbank-feats's defaults).
    """
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (0, max(FFT - len(wave), 0))), FFT)[::HOP]
    frames = frames * np.float32(32768)
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / (FFT - 1))) ** 0.85
    power = np.abs(np.fft.rfft(frames * window, WIDE)) ** 2
    bands = np.log(np.maximum(power @ _bank().T, np.finfo(np.float32).eps))
    return np.asarray(bands - bands.mean(axis=0), np.float32)
