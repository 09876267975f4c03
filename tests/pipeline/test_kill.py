"""Kill -9 a worker in the middle of every step; another one finishes the request, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from core.clock import SystemClock
from core.state import State
from core.tables import AuditEvent, Job
from pipeline import steps
from pipeline.intake import Ask, submit
from pipeline.run import advance
from pipeline.tools import Tools
from tests.doubles import add_partner, make_tools

ROOT = Path(__file__).resolve().parents[2]
LEASE = 1.5


def tools_in(folder: Path) -> Tools:
    tools = make_tools(folder, SystemClock())
    return replace(tools, settings=tools.settings.model_copy(update={"lease_seconds": LEASE}))


def die_in(folder: str, step: str, job_id: str) -> None:
    """Be a worker that reaches the end of a step, says so, and never commits it."""
    tools = tools_in(Path(folder))
    plain = steps.STEPS[State(step)]

    def stall(job: Job, tools: Tools, tick: Any) -> Any:
        plain(job, tools, tick)
        sys.stdout.write("in the step\n")
        sys.stdout.flush()
        time.sleep(600)

    steps.STEPS[State(step)] = stall
    while advance(tools, "victim", job_id) is not None:
        pass


@pytest.mark.parametrize("step", list(steps.STEPS))
def test_a_killed_worker_loses_nothing_and_doubles_nothing(tmp_path: Path, step: State) -> None:
    tools = tools_in(tmp_path)
    add_partner(tools.store)
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()
    code = (
        f"from tests.pipeline.test_kill import die_in; die_in({str(tmp_path)!r}, {step.value!r}, {job.id!r})"
    )
    victim = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    assert "in the step" in victim.stdout.readline()
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    _finish(tools, job.id)
    with tools.store.reading() as session:
        ended = session.get_one(Job, job.id)
        tags = list(
            session.exec(select(AuditEvent.tag).where(AuditEvent.job == job.id).order_by(col(AuditEvent.id)))
        )
    assert ended.state == State.RELEASED
    for once in (
        "clip:generated",
        "clip:cleared",
        "clip:marked",
        "clip:signed",
        "clip:recorded",
        "clip:released",
    ):
        assert tags.count(once) == 1, tags
    assert "job:reclaimed" in tags
    tools.store.close()


def _finish(tools: Tools, job_id: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if advance(tools, "heir", job_id) is None:
            with tools.store.reading() as session:
                if session.get_one(Job, job_id).state == State.RELEASED:
                    return
            time.sleep(0.1)
    pytest.fail("the request was never finished")
