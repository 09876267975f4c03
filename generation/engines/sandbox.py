"""The sandbox engine: a procedural film without weights, into which supplied references are composed.

It lets tests, the demo and the partners' test mode send real faces and voices past the real detectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np

from core.media import read
from core.media.clip import Clip, Picture, Sound
from core.media.probe import probe
from core.shot import Checkpoint, Limits, Shot, Tick
from generation.engines import ambience, scenery
from generation.engines import reel as reel_module
from generation.engines.reel import RATE, Reel, reel_of, write
from generation.grid import frame_count

_FPS = (8, 12, 15, 16, 24, 25, 30, 48, 50, 60)
_LIMITS = Limits(max_seconds=45.0, picture=True, sound=True, fps=_FPS)
_VERSION = "1"
_INSET = 0.62
"""Height of a reference picture, as a share of the frame."""
_MIDDLE = (0.15, 0.85)
"""The part of the clip, as shares of its length, in which references are shown."""
_GAP = 0.4
_SPOKEN = 0.1
_DUCKED = 0.16


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Renders the same frames and samples for the same shot, on any machine of the same kind."""

    name: str = "sandbox"
    limits: Limits = _LIMITS

    def identity(self) -> Checkpoint:
        """Name the engine by the digest of its source files."""
        digest = hashlib.sha256()
        for module in (__file__, scenery.__file__, ambience.__file__, reel_module.__file__):
            digest.update(Path(module).read_bytes())
        return Checkpoint(self.name, _VERSION, digest.hexdigest(), "Apache-2.0")

    def render(self, shot: Shot, into: Path, tick: Tick) -> Clip:
        """Render a snapped shot; see `Engine.render`."""
        tick(0.0)
        reel = _reel(shot)
        length = reel.seconds if reel else Fraction(shot.seconds)
        write(into, reel, soundtrack(shot, length) if shot.sound else None, tick)
        tick(1.0)
        return probe(into)


def _reel(shot: Shot) -> Reel | None:
    """Film the scene, or keep the picture of an existing video as it is."""
    if shot.source is not None:
        return reel_of(shot.source)
    if not shot.picture:
        return None
    count = frame_count(shot)
    return Reel(_film(shot, count), (shot.width, shot.height), Fraction(shot.fps), count)


def _film(shot: Shot, count: int) -> Iterator[Picture]:
    scene = scenery.scene(shot.prompt, shot.seed, shot.width, shot.height, count, shot.fps)
    pictures = [read.picture(r.path) for r in shot.references if r.kind == "picture"]
    if not pictures:
        yield from scene
        return
    first, last = (round(share * count) for share in _MIDDLE)
    turns = max(1, (last - first) // len(pictures))
    for index, frame in enumerate(scene):
        turn, within = divmod(index - first, turns)
        if 0 <= turn < len(pictures):
            _show(frame, pictures[turn], within / turns, index / shot.fps)
        yield frame


def _show(frame: Picture, picture: Picture, through: float, time: float) -> None:
    """Compose a reference into a frame, in place: drifting, slightly scaled, slightly lit."""
    height, width = frame.shape[:2]
    fit = min(_INSET * height / picture.shape[0], 0.9 * width / picture.shape[1])
    scale = fit * (0.96 + 0.06 * through)
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = cv2.resize(picture, size, interpolation=method)
    shown = cv2.convertScaleAbs(shown, alpha=1 + 0.05 * np.sin(2.1 * time), beta=3 * np.sin(1.3 * time))
    drift = 0.5 + 0.20 * np.sin(0.8 * time)
    left = int(np.clip((width - size[0]) * drift, 0, width - size[0]))
    top = int(np.clip((height - size[1]) * (0.45 + 0.10 * np.cos(0.6 * time)), 0, height - size[1]))
    frame[top : top + size[1], left : left + size[0]] = shown


def soundtrack(shot: Shot, seconds: Fraction) -> Sound:
    """Mix ambience and the supplied voices, (n, 2) float32 at 48 kHz; the ambience gives way to voices."""
    count = round(seconds * RATE)
    bed = ambience.ambience(scenery.kind_of(shot.prompt, shot.seed), shot.seed, float(seconds))[:count]
    dialogue = _dialogue([r.path for r in shot.references if r.kind == "voice"], count)
    if dialogue is None:
        return bed
    spoken = (np.abs(dialogue) > 0).astype(np.float32)
    ramp = round(0.25 * RATE) | 1
    near = cv2.blur(spoken[:, None], (1, ramp), borderType=cv2.BORDER_REPLICATE).reshape(-1, 1)
    mixed = bed * (1 - (1 - _DUCKED) * near) + dialogue[:, None]
    return np.asarray(np.clip(mixed, -1, 1), np.float32)


def _dialogue(paths: list[Path], count: int) -> Sound | None:
    """Lay voices one after the other in the middle of `count` samples, mono, at one loudness."""
    voices = [voice for path in paths if len(voice := read.whole_sound(path, rate=RATE, mono=True))]
    if not voices:
        return None
    gap = np.zeros(round(_GAP * RATE), np.float32)
    parts = [part for voice, pause in zip(voices, repeat(gap)) for part in (_levelled(voice), pause)]
    said = np.concatenate(parts[:-1])[:count]
    start = (count - len(said)) // 2
    return np.pad(said, (start, count - start - len(said)))


def _levelled(voice: Sound) -> Sound:
    level = float(np.sqrt(np.mean(np.square(voice))))
    # A floor under the quiet samples keeps the whole recording, pauses included, marked as spoken.
    audible = np.where(voice[:, 0] == 0, np.float32(1e-7), voice[:, 0])
    return np.asarray(np.clip(audible * (_SPOKEN / max(level, 1e-4)), -1, 1), np.float32)
