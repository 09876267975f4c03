"""Voice likeness: does an enrolled person's voice speak in a clip?"""

from __future__ import annotations

from pathlib import Path

from core.finding import Model
from safety.gallery import Enrolment, Template
from safety.voice import encoder, enhance
from safety.voice.screen import Voice

__all__ = ["Enrolment", "Template", "Voice", "build"]


def build(models_dir: Path) -> tuple[Model, ...]:
    """Convert the encoder and the enhancer to ONNX in `models_dir`, unless that was done, and return them."""
    return (*encoder.build(models_dir), enhance.build(models_dir))
