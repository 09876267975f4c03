"""What a reviewer looks at and listens to, cut from a clip or a reference. Runs in the sandbox.

Every function answers the bytes of one PNG, JPEG or WAV file in Base64, since its caller reads JSON.
"""

from __future__ import annotations

import base64
import io
import wave
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from core.errors import BadMedia
from core.media.clip import Picture
from core.media.read import frames, picture, whole_sound

LONGEST_S = 60.0
STILL_SIDE = 2560
"""The longer side to which a still picture is reduced before it is screened; boxes count these pixels."""

_RATE = 16_000
_GREEN = (40, 220, 60)
_FACE_SIDE = 320
_REFERENCE_SIDE = 512
_REFERENCE_S = 6.0
_AROUND_S = 1.5
_WINDOW, _HOP = 400, 160
_HIGH, _WIDE = 256, 900
_RANGE_DB = 70.0
_AXIS = 22
Box = tuple[int, int, int, int]


def framed(source: str, number: int, box: list[int]) -> str:
    """Draw a box (x, y, w, h) into frame `number`, as PNG."""
    shown = cv2.cvtColor(_frame(Path(source), number), cv2.COLOR_RGB2BGR)
    if box:
        x, y, width, height = box
        cv2.rectangle(shown, (x, y), (x + width, y + height), _GREEN, 2)
    return _coded(".png", shown)


def face(source: str, number: int, box: list[int]) -> str:
    """Cut a box with a margin out of frame `number` and enlarge it, as PNG."""
    rgb = _frame(Path(source), number)
    left, top, right, bottom = _with_margin(box, rgb)
    cut = rgb[top:bottom, left:right]
    scale = _FACE_SIDE / max(cut.shape[:2])
    size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
    enlarged = cv2.resize(cut, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    return _coded(".png", cv2.cvtColor(enlarged, cv2.COLOR_RGB2BGR))


def heard(source: str, start: float, end: float) -> str:
    """Cut the seconds from `start` to `end`, at most `LONGEST_S`, out of the sound, as 16 kHz mono WAV."""
    return _wav(_sound(source, start, min(end, start + LONGEST_S)))


def spectrogram(source: str, start: float, end: float) -> str:
    """Draw how loud each frequency up to 8 kHz is around a span, with the span between two lines, as PNG."""
    end = min(end, start + LONGEST_S)
    first, last = max(start - _AROUND_S, 0.0), end + _AROUND_S
    samples = _sound(source, first, last)
    last = first + len(samples) / _RATE
    shown = cv2.applyColorMap(_levels(samples), cv2.COLORMAP_VIRIDIS)
    shown = cv2.resize(shown, (_WIDE, _HIGH), interpolation=cv2.INTER_AREA)
    shown = cv2.copyMakeBorder(shown, 0, _AXIS, 0, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255))

    def column(second: float) -> int:
        return round((second - first) / max(last - first, 1e-6) * (_WIDE - 1))

    for second in (start, end):
        cv2.line(shown, (column(second), 0), (column(second), _HIGH + 5), (255, 255, 255), 2)
        _write(shown, f"{second:.2f} s", column(second))
    return _coded(".png", shown)


def reference_picture(source: str) -> str:
    """Reduce a reference picture to what a person needs to compare, as JPEG."""
    return _coded(".jpg", cv2.cvtColor(reduced(picture(Path(source)), _REFERENCE_SIDE), cv2.COLOR_RGB2BGR))


def reference_voice(source: str) -> str:
    """Cut the loudest seconds out of a reference recording, as 16 kHz mono WAV."""
    samples = whole_sound(Path(source), rate=_RATE, mono=True)[:, 0]
    size = int(_REFERENCE_S * _RATE)
    starts = range(0, max(len(samples) - size, 0) + 1, _RATE)
    loudest = max(starts, key=lambda at: float(np.square(samples[at : at + size]).sum()))
    return _wav(samples[loudest : loudest + size])


def reduced(rgb: Picture, side: int = STILL_SIDE) -> Picture:
    """Reduce a picture, (h, w, 3), so that its longer side has at most `side` pixels, each at least 16."""
    height, width = rgb.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _frame(path: Path, number: int) -> Picture:
    if path.suffix == ".png":
        return reduced(picture(path))
    found = next(iter(frames(path, want=lambda index: index == number)), None)
    if found is None:
        raise BadMedia("The clip has no such frame.")
    return found.rgb


def _with_margin(box: list[int], rgb: Picture) -> Box:
    if len(box) != 4 or min(box[2:]) < 1:
        raise BadMedia("There is no face at this place.")
    x, y, width, height = box
    around = round(0.35 * max(width, height))
    left, top = max(x - around, 0), max(y - around, 0)
    right, bottom = min(x + width + around, rgb.shape[1]), min(y + height + around, rgb.shape[0])
    if left >= right or top >= bottom:
        raise BadMedia("There is no face at this place.")
    return left, top, right, bottom


def _sound(source: str, start: float, end: float) -> npt.NDArray[np.float32]:
    samples = whole_sound(Path(source), rate=_RATE, mono=True)[:, 0]
    return np.nan_to_num(samples[int(max(start, 0) * _RATE) : int(max(end, 0) * _RATE)])


def _levels(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Give the level of each frequency (rows, high ones first) and time, 0-255 for the loudest 70 dB."""
    padded = np.pad(samples, (0, max(_WINDOW - len(samples), 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), axis=1))).T[::-1]
    decibels = 10 * np.log10(power + 1e-10)
    return np.asarray(np.clip((decibels - decibels.max()) / _RANGE_DB + 1, 0, 1) * 255, np.uint8)


def _write(shown: Any, text: str, column: int) -> None:
    left = min(max(column - 30, 0), _WIDE - 70)
    cv2.putText(shown, text, (left, _HIGH + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)


def _wav(samples: npt.NDArray[np.float32]) -> str:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((np.clip(np.nan_to_num(samples), -1, 1) * 32767).astype("<i2").tobytes())
    return base64.b64encode(content.getvalue()).decode()


def _coded(suffix: str, bgr: Any) -> str:
    coded, content = cv2.imencode(suffix, bgr)
    if not coded:
        raise BadMedia("The picture cannot be shown.")
    return base64.b64encode(content.tobytes()).decode()
