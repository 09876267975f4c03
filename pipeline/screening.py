"""Run the detectors where they can neither hang nor crash a worker: in child processes under a deadline."""

from __future__ import annotations

import atexit
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from pebble import ProcessExpired, ProcessPool

from core.errors import GreenlightError, ModelMissing, NotFound, TimedOut, Unavailable
from core.finding import Comparison, Screening
from core.media.clip import Clip
from pipeline.consents import Kind
from pipeline.shelf import Shelf
from safety.gallery import Enrolment, Gallery

OPENING_SECONDS = 900.0
Status = Literal["ok", "missing", "failed", "timed_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """How one detector fared; `screening` is there exactly when the status is ok."""

    detector: Kind
    tier: str
    status: Status
    detail: str = ""
    screening: Screening | None = None


class Detector(Protocol):
    """A detector as the screen step sees it; `look` starts it and returns at once."""

    @property
    def name(self) -> Kind:
        """What it looks for."""
        ...

    @property
    def tier(self) -> str:
        """The models it looks with."""
        ...

    def look(self, clip: Clip) -> Future[Screening]:
        """Start looking in a clip for everybody who is enrolled."""
        ...

    def compare(self, recording: Path, identity: str) -> Future[Comparison]:
        """Start comparing a recording with one enrolled person alone; only voices are compared so."""
        ...

    def enrol(self, references: Sequence[Path]) -> Enrolment:
        """Make templates of a person's references; raises `BadEnrolment` when none is good enough."""
        ...


@dataclass(frozen=True, slots=True)
class ChildDetector:
    """A detector of `safety`, loaded once in each child process; a child that hangs is killed."""

    name: Kind
    tier: str
    target: str
    """`module:class` with a `load(models_dir, tier)` class method and a `screen` method."""
    models_dir: Path
    pool: ProcessPool
    seconds: float
    shelf: Shelf | None = None
    """Where the children find everybody who is enrolled; None: nobody is."""

    def look(self, clip: Clip) -> Future[Screening]:
        """Start looking in a clip for everybody who is enrolled."""
        if self.shelf is not None:
            # A gallery of a million takes longer to open than a clip to screen; afterwards this costs nothing.
            self.pool.schedule(_opened, args=(self.shelf,), timeout=OPENING_SECONDS)
        work = (self.target, self.models_dir, self.tier, clip, self.shelf)
        future: Future[Screening] = self.pool.schedule(_look, args=work, timeout=self.seconds)
        return future

    def compare(self, recording: Path, identity: str) -> Future[Comparison]:
        """Start comparing a recording with one enrolled person alone; only voices are compared so."""
        work = (self.target, self.models_dir, self.tier, recording, self.shelf, identity)
        future: Future[Comparison] = self.pool.schedule(_compare, args=work, timeout=self.seconds)
        return future

    def enrol(self, references: Sequence[Path]) -> Enrolment:
        """Make templates of a person's references; raises `BadEnrolment` when none is good enough."""
        work = (self.target, self.models_dir, self.tier, list(references))
        future: Future[Enrolment] = self.pool.schedule(_enrol, args=work, timeout=self.seconds)
        try:
            return future.result()
        except (FutureTimeout, TimeoutError) as error:
            raise TimedOut(f"The {self.name} detector did not answer within {self.seconds:.0f} s.") from error
        except ProcessExpired as error:
            raise Unavailable(f"The {self.name} detector's process ended with {error.exitcode}.") from error


def child_pool() -> ProcessPool:
    """Make the pool of a detector: one child, which holds its models and its gallery, started when first needed."""
    pool = ProcessPool(max_workers=1, context=multiprocessing.get_context("spawn"))
    # At exit multiprocessing waits for children that the pool would keep alive: the pool must go first.
    atexit.register(_end, pool)
    return pool


def _end(pool: Any) -> None:
    pool.stop()
    pool.join()


def sightings(
    detectors: Sequence[Detector],
    clip: Clip,
    seconds: float,
) -> list[Sighting]:
    """Look for everybody who is enrolled; whatever goes wrong becomes a status, never an exception."""
    started = [(detector, _started(detector, clip)) for detector in detectors]
    return [_awaited(detector, future, seconds) for detector, future in started]


def _started(detector: Detector, clip: Clip) -> Future[Screening] | Exception:
    try:
        return detector.look(clip)
    except Exception as error:  # noqa: BLE001  # a broken detector holds the clip, whatever broke it
        return error


def _awaited(detector: Detector, future: Future[Screening] | Exception, seconds: float) -> Sighting:
    if isinstance(future, Exception):
        return _failed(detector, future)
    try:
        # The pool kills a child at its own deadline; the margin covers one that cannot even be started.
        screening = future.result(timeout=OPENING_SECONDS + seconds + 30)
    except (FutureTimeout, TimeoutError):
        return Sighting(
            detector=detector.name,
            tier=detector.tier,
            status="timed_out",
            detail=f"The {detector.name} detector did not answer within {seconds:.0f} s.",
        )
    except ProcessExpired as error:
        return _failed(detector, error, f"Its process ended with {error.exitcode}.")
    except Exception as error:  # noqa: BLE001  # a broken detector holds the clip, whatever broke it
        return _failed(detector, error)
    return Sighting(detector=detector.name, tier=detector.tier, status="ok", screening=screening)


def _failed(detector: Detector, error: Exception, detail: str = "") -> Sighting:
    status: Status = "missing" if isinstance(error, ModelMissing) else "failed"
    return Sighting(
        detector=detector.name,
        tier=detector.tier,
        status=status,
        detail=detail or f"{type(error).__name__}: {error}",
    )


def needed_detectors(clip: Clip) -> set[Kind]:
    """Name the detectors without which a clip cannot be cleared."""
    kinds: set[Kind] = set()
    if clip.video is not None:
        kinds.add("likeness")
    if clip.audio is not None:
        kinds.add("voice")
    return kinds


@cache
def _loaded(target: str, models_dir: Path, tier: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name).load(models_dir, tier)


def _opened(shelf: Shelf) -> None:
    # What goes wrong here goes wrong again when it is needed, and is told then.
    with suppress(GreenlightError):
        shelf.follow()
        with shelf.lent():
            pass


def _look(target: str, models_dir: Path, tier: str, clip: Clip, shelf: Shelf | None) -> Screening:
    detector = _loaded(target, models_dir, tier)
    with shelf.lent() if shelf else nullcontext(Gallery()) as gallery:
        screening: Screening = detector.screen(clip, gallery)
    return screening


def _compare(
    target: str, models_dir: Path, tier: str, recording: Path, shelf: Shelf | None, identity: str
) -> Comparison:
    if shelf is None:
        raise NotFound("Nobody is enrolled.")
    (template,) = shelf.one(identity)
    comparison: Comparison = _loaded(target, models_dir, tier).compare(template, recording)
    return comparison


def _enrol(target: str, models_dir: Path, tier: str, references: list[Path]) -> Enrolment:
    enrolment: Enrolment = _loaded(target, models_dir, tier).enrol(references)
    return enrolment
