"""What is asked of an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Tick = Callable[[float], None]
"""Called by an engine with the fraction done, 0-1, at least once a second; raises `Cancelled` to stop it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture or a voice recording supplied with the request; already probed when an engine sees it."""

    kind: Literal["picture", "voice"]
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One rendering task.

    Lengths are seconds, sizes pixels, `fps` frames per second. `picture=False` asks for sound alone.
    `source` is an existing video that is to get sound; its picture is then kept as it is.
    """

    prompt: str
    seconds: float
    width: int = 704
    height: int = 480
    fps: int = 24
    picture: bool = True
    sound: bool = True
    seed: int = 0
    references: tuple[Reference, ...] = ()
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What rendered a clip: `sha256` is the digest of the checkpoint folder (or of the engine's code)."""

    name: str
    version: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an engine can do; requests outside are snapped or refused before anything runs."""

    max_seconds: float
    picture: bool
    sound: bool
    size_step: int = 2
    frame_step: int = 1
    max_pixels: int = 1920 * 1088
    fps: tuple[int, ...] = (24,)
