"""Engines: a shot goes in, a clip comes out. Heavy libraries are loaded only by the engine that needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from core.errors import BadInput
from core.media.clip import Clip
from core.shot import Checkpoint, Limits, Shot, Tick

DOUBLES = {"sandbox": "procedural pictures and sounds, no generative model"}
"""Engines that stand in for a model, and what they are; the receipt says so."""
ENGINES = ("sandbox", "diffusion_video", "diffusion_audio")


class Engine(Protocol):
    """Renders shots into lossless clips."""

    @property
    def name(self) -> str:
        """The name in settings and receipts."""

    @property
    def limits(self) -> Limits:
        """What may be asked for; `generation.grid.snap` moves a shot into it."""

    def identity(self) -> Checkpoint:
        """Name what renders, with the digest of its weights or code."""

    def render(self, shot: Shot, into: Path, tick: Tick) -> Clip:
        """Render a snapped shot to a mezzanine at `into`.

        `tick` is called with the fraction done; what it raises (`Cancelled`) stops the work at once and no
        file is left.
        """


def open_engine(name: str, checkpoints: Path) -> Engine:
    """Open an engine by name; an unknown one raises `BadInput`, missing weights `ModelMissing`.

    `diffusion_video` and `diffusion_audio` load `checkpoints / <name>`; after a colon another folder there
    or a hub id already in the local cache may be named, as in `diffusion_video:Lightricks/LTX-2`.
    """
    kind, _, checkpoint = name.partition(":")
    if kind == "sandbox" and not checkpoint:
        from generation.engines.sandbox import Sandbox

        return Sandbox()
    if kind == "diffusion_video":
        from generation.engines.diffusion_video import DiffusionVideo

        return DiffusionVideo(_located(checkpoint or kind, checkpoints))
    if kind == "diffusion_audio":
        from generation.engines.diffusion_audio import DiffusionAudio

        return DiffusionAudio(_located(checkpoint or kind, checkpoints))
    raise BadInput(f"There is no engine {name!r}; there are {', '.join(ENGINES)}.")


def _located(checkpoint: str, checkpoints: Path) -> str:
    folder = checkpoints / checkpoint
    return str(folder) if folder.is_dir() else checkpoint
