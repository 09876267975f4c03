from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlmodel import select

from audits.log.writer import integrate, log_key
from core.clock import SystemClock
from core.errors import LogCorrupt
from core.state import State
from core.tables import Job, Outbox
from pipeline import run
from pipeline.intake import Ask, submit
from pipeline.sweep import SCRATCH_SECONDS, send_hints, stuck, sweep
from pipeline.tools import Tools
from pipeline.worker import drain, work
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools


def submitted(tools: Tools, count: int = 1) -> list[str]:
    with tools.store.session() as session:
        jobs = [submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))[0] for _ in range(count)]
        session.commit()
    return [job.id for job in jobs]


def job_of(tools: Tools, job_id: str) -> Job:
    with tools.store.reading() as session:
        return session.get_one(Job, job_id)


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    made = make_tools(tmp_path, SystemClock())
    add_partner(made.store)
    return made


def test_drain_works_until_nothing_is_runnable(tools: Tools) -> None:
    jobs = submitted(tools, 2)
    assert drain(tools, "w") == 14
    assert {job_of(tools, job).state for job in jobs} == {State.RELEASED}
    assert drain(tools, "w") == 0


def test_a_stopped_worker_finishes_its_step_and_no_more(tools: Tools) -> None:
    stop = threading.Event()

    class Stopping:
        limits, name = tools.engine("tiny").limits, "tiny"

        def __getattr__(self, name: str) -> object:
            stop.set()
            return getattr(tools.engine("tiny"), name)

    jobs = submitted(tools, 3)
    work(replace(tools, engine=lambda _name: Stopping()), stop)
    states = sorted(job_of(tools, job).state for job in jobs)
    assert states.count(State.RELEASED) == 0
    assert State.GENERATED in states


def test_a_corrupt_log_keeps_releases_back_and_the_worker_lives(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_BACKOFF_MS", 1)
    folder = tmp_path / "log"
    key = log_key(tmp_path / "keys" / "log", "greenlight.invalid/log")
    refused: list[LogCorrupt] = []

    def logged() -> int:
        try:
            return integrate(tools.store, folder, key, tools.clock)
        except LogCorrupt as error:
            refused.append(error)
            raise

    settings = tools.settings.model_copy(update={"max_attempts": 10_000})
    tools = replace(tools, integrate=logged, settings=settings)
    logged()
    whole = (folder / "checkpoint").read_bytes()
    (folder / "checkpoint").write_bytes(whole[:-4] + bytes([whole[-4] ^ 1]) + whole[-3:])
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(tools, stop))
    thread.start()
    try:
        (job,) = submitted(tools)
        eventually(lambda: job_of(tools, job).state == State.RECORDED and len(refused) > 3)
        assert thread.is_alive()
        assert not list((tmp_path / "blobs" / "public").rglob("*.mp4"))
        (folder / "checkpoint").write_bytes(whole)
        eventually(lambda: job_of(tools, job).state == State.RELEASED)
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_sweep_removes_only_what_is_stale(tools: Tools, tmp_path: Path) -> None:
    old, busy, fresh = (tmp_path / "scratch" / name for name in ("old", "busy", "fresh"))
    for folder in (old, busy, fresh):
        folder.mkdir(parents=True)
        (folder / "work").write_bytes(b"x")
    long_ago = time.time() - SCRATCH_SECONDS - 60
    for path in (old, old / "work", busy):
        os.utime(path, (long_ago, long_ago))
    submitted(tools)
    sweep(tools)
    assert not old.exists()
    # Written to lately, though nothing was added to the folder itself for hours.
    assert busy.exists()
    assert fresh.exists()
    with tools.store.reading() as session:
        assert session.exec(select(Outbox)).all() == []


def test_hints_that_could_not_be_sent_wait(tools: Tools) -> None:
    jobs = submitted(tools, 3)
    sent: list[str] = []

    def broken(job_id: str) -> None:
        if sent:
            raise ConnectionError
        sent.append(job_id)

    with pytest.raises(ConnectionError):
        send_hints(tools, broken)
    again: list[str] = []
    assert send_hints(tools, again.append) == 2
    assert sorted(sent + again) == sorted(jobs)
    assert send_hints(tools, again.append) == 0


def test_two_relays_at_once_send_each_hint_once(tools: Tools) -> None:
    jobs = submitted(tools, 2)
    sent: list[str] = []

    def meanwhile(job_id: str) -> None:
        send_hints(tools, sent.append)
        sent.append(job_id)

    send_hints(tools, meanwhile)
    assert sorted(sent) == sorted(jobs)


def test_only_what_nobody_holds_is_stuck(tmp_path: Path, clock: ManualClock) -> None:
    tools = make_tools(tmp_path, clock)
    add_partner(tools.store)
    held, free = submitted(tools, 2)
    assert run._claimed(tools, "w", held) is not None
    assert stuck(tools) == [free]
    clock.advance(tools.settings.lease_seconds + 1)
    assert sorted(stuck(tools)) == sorted([held, free])
