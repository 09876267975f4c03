"""Get every model ready: converted from wheels, built locally, or downloaded, each checked by digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx

from core.errors import BadInput, ModelMissing
from core.finding import Model
from core.models import Source, checked, registry, wheel_file

_CHUNK = 1 << 20


def pull(models_dir: Path, checkpoints_dir: Path, tier: str) -> tuple[Model, ...]:
    """Make the models of a tier ready and answer them; what is ready already is only checked."""
    from generation.engines import tiny
    from safety import likeness, voice
    from safety import prompt as prompts

    if tier not in {"embedded", "standard"}:
        raise BadInput("The tiers are embedded and standard.")
    made = [_carried(entry) for entry in registry().values() if entry.origin == "wheel"]
    if tier == "standard":
        made += [
            _downloaded(entry, models_dir) for entry in registry().values() if entry.origin == "download"
        ]
    for room in (likeness, voice, prompts):
        made += room.build(models_dir)
    tiny.build(checkpoints_dir)
    return tuple(made)


def _carried(entry: Source) -> Model:
    wheel_file(entry.name)
    return Model(entry.name, entry.sha256)


def _downloaded(entry: Source, folder: Path) -> Model:
    """Download a model unless it is there; a file with another digest is never kept."""
    target = folder / Path(entry.url).name
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f".{target.name}.part"
        try:
            _fetch(entry, scratch)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
    checked(target, entry.sha256, entry.name)
    return Model(entry.name, entry.sha256)


def _fetch(entry: Source, into: Path) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with (
            httpx.stream("GET", entry.url, follow_redirects=True, timeout=60) as answer,
            into.open("wb") as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_bytes(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > entry.bytes:
                    break
                file.write(chunk)
    except httpx.HTTPError as error:
        raise ModelMissing(f"{entry.name} cannot be downloaded: {error}") from error
    if digest.hexdigest() != entry.sha256:
        raise ModelMissing(f"{entry.name} arrived with the wrong digest and was thrown away.")
