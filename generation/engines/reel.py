"""How every engine ends: frames and 48 kHz stereo sound of the same length go into a lossless mezzanine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from core.media import read
from core.media.clip import Picture, Sound, VideoTrack
from core.media.probe import probe
from core.media.write import Mezzanine
from core.shot import Tick

RATE = 48_000


@dataclass(frozen=True, slots=True)
class Reel:
    """A picture track on its way to disk: `size` is (width, height) in pixels."""

    pictures: Iterable[Picture]
    size: tuple[int, int]
    fps: Fraction
    count: int

    @property
    def seconds(self) -> Fraction:
        """The exact length."""
        return self.count / self.fps


def reel_of(source: Path) -> Reel | None:
    """Open the picture of an existing video to copy it as it is; None when it has none."""
    track: VideoTrack | None = probe(source).video
    if track is None:
        return None
    pictures = (frame.rgb for frame in read.frames(source))
    return Reel(pictures, (track.width, track.height), track.fps, track.frames)


def fitted(samples: npt.NDArray[np.floating[Any]], rate: int, seconds: Fraction) -> Sound:
    """Resample (n, 1 or 2) to 48 kHz stereo and pad with silence or trim to `seconds`."""
    divisor = int(np.gcd(rate, RATE))
    if rate != RATE:
        samples = resample_poly(samples, RATE // divisor, rate // divisor, axis=0)
    count = round(seconds * RATE)
    padded = np.pad(samples[:count], ((0, max(0, count - len(samples))), (0, 0)))
    stereo = np.broadcast_to(padded, (count, 2))
    return np.asarray(np.clip(stereo, -1, 1), np.float32)


def write(into: Path, reel: Reel | None, sound: Sound | None, tick: Tick, begin: float = 0.0) -> None:
    """Stream a reel, its sound, or both into a mezzanine; `tick` moves from `begin` to 1."""

    def note(share: float) -> None:
        tick(min(1.0, begin + (1 - begin) * share))

    if reel is not None:
        _write_film(into, reel, sound, note)
    elif sound is not None:
        _write_tape(into, sound, note)


def _write_film(into: Path, reel: Reel, sound: Sound | None, note: Tick) -> None:
    rate, channels = (None, None) if sound is None else (RATE, 2)
    width, height = reel.size
    with Mezzanine(into, width=width, height=height, fps=reel.fps, rate=rate, channels=channels) as film:
        written = 0
        for index, picture in enumerate(reel.pictures):
            film.frame(picture)
            if sound is not None:
                until = round((index + 1) / reel.fps * RATE)
                film.sound(sound[written:until])
                written = until
            note((index + 1) / reel.count)


def _write_tape(into: Path, sound: Sound, note: Tick) -> None:
    with Mezzanine(into, rate=RATE, channels=2) as tape:
        for start in range(0, len(sound), RATE):
            tape.sound(sound[start : start + RATE])
            note((start + RATE) / len(sound))
