"""Music and effects through diffusers' Stable Audio pipeline, alone or for an existing video."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import BadInput, Unavailable
from core.media.clip import Clip, Sound
from core.media.probe import probe
from core.shot import Checkpoint, Limits, Shot, Tick
from generation.engines import checkpoint as checkpoints
from generation.engines.reel import fitted, reel_of, write

_LIMITS = Limits(max_seconds=45.0, picture=False, sound=True)
_SAMPLED = 0.8
"""The share of the work that is done when the last denoising step is."""


@dataclass(slots=True)
class DiffusionAudio:
    """Renders text to sound; the pipeline is loaded by the first shot and kept."""

    checkpoint: str
    steps: int = 50
    name: str = "diffusion_audio"
    limits: Limits = _LIMITS
    _pipeline: Any = field(default=None, repr=False)

    def identity(self) -> Checkpoint:
        """Name the checkpoint by the digest of its folder."""
        return checkpoints.identity(self.checkpoint)

    def render(self, shot: Shot, into: Path, tick: Tick) -> Clip:
        """Render a snapped shot; see `Engine.render`. A source's frames are copied as they are."""
        if (shot.picture and shot.source is None) or not shot.sound or shot.references:
            raise BadInput("This engine renders text to sound; it makes no picture and takes no references.")
        tick(0.0)
        pipeline = self._loaded()
        reel = reel_of(shot.source) if shot.source is not None else None
        seconds = reel.seconds if reel else Fraction(shot.seconds)
        if seconds > self.limits.max_seconds:
            raise BadInput(f"At most {self.limits.max_seconds:g} s of sound can be rendered.")
        with checkpoints.sampling():
            sound = self._sampled(pipeline, shot, float(seconds), tick)
        tick(_SAMPLED)
        write(into, reel, fitted(sound, int(pipeline.vae.config.sampling_rate), seconds), tick, _SAMPLED)
        return probe(into)

    def _loaded(self) -> Any:
        if self._pipeline is None:
            pipeline = checkpoints.load(self.checkpoint)
            if type(pipeline).__name__ != "StableAudioPipeline":
                raise Unavailable(f"{self.checkpoint} is a {type(pipeline).__name__}, not Stable Audio.")
            self._pipeline = pipeline
        return self._pipeline

    def _sampled(self, pipeline: Any, shot: Shot, seconds: float, tick: Tick) -> Sound:
        import torch

        def step(index: int, _: Any, __: Any) -> None:
            tick(_SAMPLED * (index + 1) / (self.steps + 1))

        made = pipeline(
            prompt=shot.prompt,
            audio_end_in_s=seconds,
            num_inference_steps=self.steps,
            generator=torch.Generator().manual_seed(shot.seed),
            callback=step,
            callback_steps=1,
            output_type="np",
        )
        return np.asarray(made.audios[0].T, np.float32)
