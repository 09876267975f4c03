from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings

from core.journal import start_journal

ROOT = Path(__file__).resolve().parent.parent

# How long an example takes says how busy the machine is; time is measured by `make bench`.
settings.register_profile("greenlight", settings(), deadline=None)
settings.load_profile("greenlight")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of third-party data beside the project; tests that need it skip without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not here")
    return folder


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Where `make models` keeps converted models."""
    return ROOT / "var" / "models"


@pytest.fixture(autouse=True, scope="session")
def _journal() -> None:
    start_journal()


class ManualClock:
    """A clock that only moves when told to."""

    def __init__(self, start: datetime = datetime(2026, 11, 23, tzinfo=UTC)) -> None:
        self.at = start

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def listening(port: int) -> bool:
    """Whether a service answers on localhost; in CI a missing service is a failure, not a skip."""
    with socket.socket() as probe:
        probe.settimeout(1)
        up = probe.connect_ex(("127.0.0.1", port)) == 0
    if not up and os.environ.get("CI") == "true":
        pytest.fail(f"CI must run with a service on port {port}")
    return up


_LONGEST = ("test_demo.py", "test_bench.py", "test_gate.py", "test_voice_screen.py", "test_bench_binding.py")
"""Files that take minutes: begun last, they would leave one core waiting for the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)
