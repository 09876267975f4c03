"""Preemptive audits: attack ourselves on named data, before somebody else does, and date the result."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Protocol

from audits.preemptive.log_tamper import log_tamper
from audits.preemptive.result import Cell, SuiteResult
from core.clock import Clock, SystemClock
from core.errors import NotFound


class Suite(Protocol):
    """A reproducible attack: the same seed gives the same rows."""

    def __call__(self, seed: int, *, quick: bool) -> tuple[Mapping[str, Cell], ...]:
        """Run and return one row per attack."""
        ...


SUITES: Mapping[str, Suite] = {"log-tamper": log_tamper}


def run(name: str, *, quick: bool = False, seed: int = 0, clock: Clock | None = None) -> SuiteResult:
    """Run a suite by name; `quick` takes seconds. NotFound when there is no such suite."""
    if name not in SUITES:
        raise NotFound(f"There is no suite {name}; there are: {', '.join(SUITES)}.")
    rows = SUITES[name](seed, quick=quick)
    now = (clock or SystemClock()).now()
    environment = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cryptography": version("cryptography"),
        "seed": str(seed),
        "quick": str(quick),
    }
    return SuiteResult(name=name, dated=now.isoformat(timespec="seconds"), environment=environment, rows=rows)
