from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from audits.preemptive import fuzz
from audits.preemptive.fuzz import Tally, Task
from audits.preemptive.mutate import Lure
from audits.preemptive.suites import run


@pytest.mark.slow
def test_every_broken_file_gets_a_verdict(clock: Any) -> None:
    result = run("fuzz", quick=True, clock=clock)
    assert result.passed, result.markdown()
    assert {row["verdict"] for row in result.rows if "verdict" in row} >= {"malformed", "tampered"}


def faulty(task: Task) -> Tally:
    """A reader with two bugs."""
    for number in range(task.first, task.first + task.count):
        if number == 7:
            os.abort()
        if number == 55:
            time.sleep(60)
    tally = Tally()
    tally.verdicts["unknown"] += task.count
    return tally


def test_a_reader_that_dies_or_hangs_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The control: the suite can fail."""
    monkeypatch.setattr(fuzz, "_HANGING_SECONDS", 1.0)
    monkeypatch.setattr(fuzz, "_BATCH", 4)
    kept: list[int] = []
    monkeypatch.setattr(fuzz, "_keep", lambda task: kept.append(task.first))
    whole = Task(tmp_path, (), "", Lure("", ""), 0, 0, 60)
    tally, dead, slow = fuzz.run(faulty, whole)
    assert (dead, slow, kept) == (1, 1, [7, 55])
    assert tally.verdicts["unknown"] == 58


def test_a_reader_that_follows_a_reference_is_noticed(tmp_path: Path) -> None:
    """The control of the lures."""
    canary = fuzz._canary(tmp_path)
    assert not fuzz._was_read(canary)
    canary.read_text()
    assert fuzz._was_read(canary)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not fuzz._was_called(server)
        with socket.create_connection(server.getsockname()):
            time.sleep(0.05)
            assert fuzz._was_called(server)
