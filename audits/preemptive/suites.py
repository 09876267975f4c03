"""Preemptive audits: attack ourselves on named data, before somebody else does, and date the result."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from audits.preemptive.audio_mark import audio_mark
from audits.preemptive.erasure import erasure
from audits.preemptive.fuzz import fuzz
from audits.preemptive.labels import labels
from audits.preemptive.likeness import likeness
from audits.preemptive.log_kill import log_kill
from audits.preemptive.log_tamper import log_tamper
from audits.preemptive.pieces import Pieces, code
from audits.preemptive.prompts import prompts
from audits.preemptive.proofs import proofs
from audits.preemptive.recovery import recovery
from audits.preemptive.result import Row, SuiteResult
from audits.preemptive.tamper import tamper
from audits.preemptive.video_mark import video_mark
from audits.preemptive.voice import voice
from core.clock import Clock, SystemClock
from core.errors import BadInput, NotFound
from core.models import file_sha256, registry

_PACKAGES = (
    "greenlight",
    "av",
    "c2pa-python",
    "cryptography",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "torch",
)


class Suite(Protocol):
    """A reproducible attack: the same seed, code and data give the same rows."""

    def __call__(self, seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:
        """Run and return one row per attack; `data` is a folder of clips or other named data, where one is given."""
        ...


class LongSuite(Protocol):
    """A suite that may take hours: it asks `pieces` for what an earlier run, which was cut short, has found."""

    def __call__(self, seed: int, *, quick: bool, data: Path | None, pieces: Pieces) -> tuple[Row, ...]:
        """Run as a `Suite` does."""
        ...


_SUITES: Mapping[str, Suite] = {
    "log-tamper": log_tamper,
    "log-kill": log_kill,
    "proofs": proofs,
    "labels": labels,
    "fuzz": fuzz,
    "erasure": erasure,
    "tamper": tamper,
    "recovery": recovery,
    "voice": voice,
    "prompts": prompts,
    "likeness": likeness,
}
_LONG_SUITES: Mapping[str, LongSuite] = {
    "video-mark": video_mark,
    "audio-mark": audio_mark,
}
SUITES = (*_SUITES, *_LONG_SUITES)
"""The names of all suites."""


def run(
    name: str,
    *,
    quick: bool = False,
    seed: int = 0,
    data: Path | None = None,
    clock: Clock | None = None,
    keep: Path | None = None,
) -> SuiteResult:
    """Run a suite by name; `quick` takes seconds.

    Long suites keep what they have found in the folder `keep` and go on from there after a run that was cut short,
    as long as code, models, data and seed are the same; `settle` once the result is kept. NotFound when there is
    no such suite, BadInput when `data` is no folder with files.
    """
    if name not in SUITES:
        raise NotFound(f"There is no suite {name}; there are: {', '.join(SUITES)}.")
    named = {} if data is None else _digests(data)
    start = time.perf_counter()
    if name in _SUITES:
        rows = _SUITES[name](seed, quick=quick, data=data)
    else:
        rows = _resumed(name, seed, quick=quick, data=data, named=named, keep=keep)
    return SuiteResult(
        name=name,
        dated=(clock or SystemClock()).now().isoformat(timespec="seconds"),
        quick=quick,
        seed=seed,
        environment=_environment(),
        rows=rows,
        data=named,
        elapsed_s=round(time.perf_counter() - start, 1),
    )


def _resumed(
    name: str, seed: int, *, quick: bool, data: Path | None, named: Mapping[str, str], keep: Path | None
) -> tuple[Row, ...]:
    """Run a long suite from where it stopped."""
    about = {"seed": seed, "quick": quick, "data": named, "code": code(), **_environment()}
    models = {model: source.sha256 for model, source in registry().items()}
    path = _pieces(keep, name, quick=quick) if keep else None
    pieces = Pieces(path, json.dumps(about | {"models": models}, sort_keys=True))
    return _LONG_SUITES[name](seed, quick=quick, data=data, pieces=pieces)


def settle(result: SuiteResult, keep: Path) -> None:
    """Forget the pieces of a run whose result is kept: the next one begins anew.

    A crash before this costs nothing: the run is made again from its pieces.
    """
    _pieces(keep, result.name, quick=result.quick).unlink(missing_ok=True)


def _pieces(keep: Path, name: str, *, quick: bool) -> Path:
    return keep / f"{name}{'-quick' if quick else ''}.pieces"


def _environment() -> dict[str, str]:
    about = {"python": platform.python_version(), "machine": platform.machine()}
    return about | {package: version(package) for package in _PACKAGES}


def _digests(folder: Path) -> dict[str, str]:
    """Name the data by one SHA-256 over the names and digests of its files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if not files:
        raise BadInput(f"There is no data in {folder}.")
    listed = "".join(f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    return {f"{folder.name} ({len(files)} files)": hashlib.sha256(listed.encode()).hexdigest()}
