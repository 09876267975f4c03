# mypy: disable-error-code="no-untyped-call"
# diffusers and transformers come without types.
"""Checkpoint folders: load a pipeline from one, name it by its digest, and keep the libraries quiet."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import ModelMissing, Unavailable
from core.models import file_sha256
from core.shot import Checkpoint

_CHATTY = ("diffusers", "transformers", "huggingface_hub")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the notes, warnings and progress bars of diffusers and transformers for a while."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def load(checkpoint: str) -> Any:
    """Load a diffusers pipeline from a folder or from the local hub cache, never from the network.

    Raises `ModelMissing` when it is not there and `Unavailable` when it cannot be loaded. No remote code runs
    and only safetensors are read.
    """
    folder(checkpoint)
    from diffusers import DiffusionPipeline

    with quiet():
        try:
            pipeline = DiffusionPipeline.from_pretrained(
                checkpoint, local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError, ImportError) as error:
            raise Unavailable(f"The checkpoint {checkpoint} cannot be loaded: {error}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@contextmanager
def sampling() -> Iterator[None]:
    """Run a pipeline without gradients and without chatter; its own errors become `Unavailable`."""
    import torch

    with quiet(), torch.inference_mode():
        try:
            yield
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise Unavailable(f"The engine failed: {error}") from error


def folder(checkpoint: str) -> Path:
    """Find the folder of a checkpoint: a path, or a hub id in the local cache; else raise `ModelMissing`."""
    if (Path(checkpoint) / "model_index.json").is_file():
        return Path(checkpoint)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(checkpoint, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ModelMissing(
            f"The checkpoint {checkpoint} is not here; run `greenlight models pull`"
        ) from error


def identity(checkpoint: str) -> Checkpoint:
    """Name a checkpoint by the digest of its folder: every file's path and SHA-256, in order of path."""
    root = folder(checkpoint)
    digest = hashlib.sha256()
    for file in sorted(p for p in root.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(root).as_posix()}\0{file_sha256(file)}\n".encode())
    index = json.loads((root / "model_index.json").read_text())
    licence = _licence(root)
    return Checkpoint(
        f"{Path(checkpoint).name}/{index['_class_name']}",
        index["_diffusers_version"],
        digest.hexdigest(),
        licence,
    )


def _licence(root: Path) -> str:
    """Read the licence from the front matter of the model card; ours have none to read."""
    if (root / "greenlight.json").is_file():
        return "Apache-2.0"
    card = root / "README.md"
    lines = card.read_text(errors="replace").splitlines() if card.is_file() else []
    named = [
        line.split(":", 1)[1].strip() for line in lines[:60] if line.startswith(("license:", "license_name:"))
    ]
    return named[-1] if named else "unknown"
