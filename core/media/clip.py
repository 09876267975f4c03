"""A clip on disk: where it is and what its tracks are. Made by `probe`, never by hand."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""One frame, (height, width, 3), uint8, R'G'B', full range."""
Luma = npt.NDArray[np.uint8]
"""The brightness of one frame, (height, width), uint8, in the range that the file uses."""
Sound = npt.NDArray[np.float32]
"""Samples, (n, channels), float32, nominally within -1..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTrack:
    """Sizes in pixels, `fps` the average frame rate, `frames` the exact count."""

    codec: str
    width: int
    height: int
    fps: Fraction
    frames: int

    @property
    def seconds(self) -> float:
        """The length of the picture track."""
        return float(self.frames / self.fps)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """`rate` in Hz, `samples` counted per channel."""

    codec: str
    rate: int
    channels: int
    samples: int

    @property
    def seconds(self) -> float:
        """The length of the sound track."""
        return self.samples / self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """At least one of `video` and `audio` is there; `container` is the demuxer's name."""

    path: Path
    container: str
    video: VideoTrack | None
    audio: AudioTrack | None

    @property
    def seconds(self) -> float:
        """The length of the longer track."""
        return max(track.seconds for track in (self.video, self.audio) if track is not None)


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame: its number from 0, its time in seconds, its pixels.

    `key` where the file stores it whole, not as a change to other frames: such a one is the sharpest witness.
    """

    index: int
    time: float
    rgb: Picture
    key: bool = False


@dataclass(frozen=True, slots=True)
class Grey:
    """One decoded frame without its colours: its time in seconds, its brightness, and `key` as in `Frame`."""

    time: float
    luma: Luma
    key: bool = False
