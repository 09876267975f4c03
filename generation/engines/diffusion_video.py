"""Picture and sound together through diffusers' LTX-2 pipeline, from any checkpoint folder of that family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import BadInput, Unavailable
from core.media.clip import Clip, Picture, Sound
from core.media.probe import probe
from core.shot import Checkpoint, Limits, Shot, Tick
from generation.engines import checkpoint as checkpoints
from generation.engines.reel import Reel, fitted, write
from generation.grid import frame_count

_LIMITS = Limits(
    max_seconds=16.0,
    picture=True,
    sound=True,
    size_step=32,
    frame_step=8,
    max_pixels=1280 * 736,
    fps=(24, 25),
)
_GRID = (32, 8)
"""Pixels and frames per latent cell; a checkpoint with another grid would be cut short in silence."""
_SAMPLED = 0.8
"""The share of the work that is done when the last denoising step is."""


@dataclass(slots=True)
class DiffusionVideo:
    """Renders text to joint picture and sound; the pipeline is loaded by the first shot and kept."""

    checkpoint: str
    steps: int = 30
    name: str = "diffusion_video"
    limits: Limits = _LIMITS
    _pipeline: Any = field(default=None, repr=False)

    def identity(self) -> Checkpoint:
        """Name the checkpoint by the digest of its folder."""
        return checkpoints.identity(self.checkpoint)

    def render(self, shot: Shot, into: Path, tick: Tick) -> Clip:
        """Render a snapped shot; see `Engine.render`. The sound is padded or trimmed to the picture."""
        if not shot.picture or shot.source is not None or shot.references:
            raise BadInput(
                "This engine renders text to picture and sound; it takes no source and no references."
            )
        tick(0.0)
        pipeline = self._loaded()
        count, fps = frame_count(shot), Fraction(shot.fps)
        with checkpoints.sampling():
            picture, sound = self._sampled(pipeline, shot, count, tick)
        reel = Reel(_frames(picture), (shot.width, shot.height), fps, count)
        if picture.shape[2:] != (count, shot.height, shot.width):
            raise Unavailable(f"The engine gave {tuple(picture.shape[2:])} instead of the size asked for.")
        tick(_SAMPLED)
        rate = int(pipeline.vocoder.config.output_sampling_rate)
        write(into, reel, fitted(sound, rate, reel.seconds) if shot.sound else None, tick, _SAMPLED)
        return probe(into)

    def _loaded(self) -> Any:
        if self._pipeline is None:
            pipeline = checkpoints.load(self.checkpoint)
            if not type(pipeline).__name__.startswith("LTX2"):
                raise Unavailable(f"{self.checkpoint} is a {type(pipeline).__name__}, not an LTX-2 pipeline.")
            grid = (pipeline.vae_spatial_compression_ratio, pipeline.vae_temporal_compression_ratio)
            if grid != _GRID:
                raise Unavailable(f"{self.checkpoint} has the grid {grid}, not {_GRID}.")
            pipeline.vae.enable_tiling()
            self._pipeline = pipeline
        return self._pipeline

    def _sampled(self, pipeline: Any, shot: Shot, count: int, tick: Tick) -> tuple[Any, Sound]:
        import torch

        def step(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            # Raising is the only honest way to stop: the pipeline's own interrupt flag decodes what is half done.
            tick(_SAMPLED * (index + 1) / (self.steps + 1))
            return tensors

        latents = pipeline(
            prompt=shot.prompt,
            width=shot.width,
            height=shot.height,
            num_frames=count,
            frame_rate=float(shot.fps),
            num_inference_steps=self.steps,
            generator=torch.Generator().manual_seed(shot.seed),
            output_type="latent",
            callback_on_step_end=step,
        )
        return _decoded(pipeline, latents.frames), _heard(pipeline, latents.audio)


def _decoded(pipeline: Any, latents: Any) -> Any:
    """Decode in tiles and stay in the checkpoint's precision, (1, 3, frames, height, width) in -1..1."""
    import torch

    noise_free = torch.zeros(1, device=latents.device, dtype=pipeline.vae.dtype)
    when = noise_free if pipeline.vae.config.timestep_conditioning else None
    return pipeline.vae.decode(latents.to(pipeline.vae.dtype), when, return_dict=False)[0]


def _heard(pipeline: Any, latents: Any) -> Sound:
    spectrograms = pipeline.audio_vae.decode(latents.to(pipeline.audio_vae.dtype), return_dict=False)[0]
    return np.asarray(pipeline.vocoder(spectrograms)[0].float().cpu().numpy().T, np.float32)


def _frames(picture: Any) -> Iterator[Picture]:
    """Turn one frame after the other into uint8: the whole clip never exists as float32."""
    for index in range(picture.shape[2]):
        scaled = (picture[0, :, index].float() * 127.5 + 128.0).clamp(0, 255)
        yield np.ascontiguousarray(scaled.byte().permute(1, 2, 0).cpu().numpy())
