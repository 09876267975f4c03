"""Whatever goes wrong with the log: it stays whole, a release waits and says why, and goes on once it is mended."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from audits.log.check import check
from audits.log.format import MAX_LEAF, read_checkpoint
from audits.log.signing import SigningKey
from audits.log.witness import Answer, Witness
from core.errors import Unavailable
from core.state import State
from core.tables import AuditEvent, LogCheckpoint, LogEntry
from pipeline.ledger import Ledger, open_ledger
from pipeline.tools import Tools
from tests.conftest import ManualClock
from tests.doubles import make_tools
from tests.pipeline.test_run import asked, worked


@dataclass
class Gate:
    """A gate with a real log, and a request that has reached its commit point."""

    tools: Tools
    ledger: Ledger
    clock: ManualClock
    folder: Path
    job: str


Fault = Callable[[Gate], AbstractContextManager[None]]


@pytest.fixture
def gate(tmp_path: Path, clock: ManualClock) -> Iterator[Gate]:
    tools = make_tools(tmp_path, clock)
    ledger = open_ledger(tools.settings, tools.store, clock)
    tools = replace(tools, integrate=ledger.integrate)
    job = asked(tools)
    ledger.integrate()
    shutil.copytree(ledger.folder, tmp_path / "then")
    while (row := worked(tools, job, clock, 1)).state != State.RECORDED:
        assert row.problem is None
    yield Gate(tools, ledger, clock, tmp_path, job)
    tools.store.close()


@contextmanager
def full_disk(_gate: Gate) -> Iterator[None]:
    """No file of the log reaches the disk."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        yield


@contextmanager
def full_database(gate: Gate) -> Iterator[None]:
    """The log's tables cannot grow: SQLite says what it says when the disk is full."""
    engine = gate.tools.store._writer

    def full(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INTO logentry" in statement:
            raise sqlite3.OperationalError("database or disk is full")

    sa.event.listen(engine, "before_cursor_execute", full)
    yield
    sa.event.remove(engine, "before_cursor_execute", full)


@contextmanager
def silent_witness(_gate: Gate) -> Iterator[None]:
    """The witness does not answer."""

    def silent(*_: object) -> Answer:
        raise Unavailable("it does not answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Witness, "add_checkpoint", silent)
        yield


@contextmanager
def foreign_checkpoint(gate: Gate) -> Iterator[None]:
    """Somebody put the checkpoint of another log into the folder."""
    place = gate.ledger.folder / "checkpoint"
    before = place.read_bytes()
    place.write_text(SigningKey("other.test/log", bytes(32)).sign("other.test/log\n0\n" + "A" * 43 + "=\n"))
    yield
    place.write_bytes(before)


@contextmanager
def older_backup(gate: Gate) -> Iterator[None]:
    """Database and public files are those of an earlier hour; the witness remembers."""
    gate.ledger.integrate()
    folder, now = gate.ledger.folder, gate.folder / "now"
    folder.rename(now)
    shutil.copytree(gate.folder / "then", folder)
    size = read_checkpoint(folder, gate.ledger.policy)[0].size
    with gate.tools.store.session() as session:
        entries = session.exec(select(LogEntry).where(col(LogEntry.index) >= size)).all()
        heads = session.exec(select(LogCheckpoint).where(col(LogCheckpoint.size) > size)).all()
        kept = [(type(row), row.model_dump()) for row in (*entries, *heads)]
        for row in (*entries, *heads):
            session.delete(row)
        session.commit()
    yield
    assert read_checkpoint(folder, gate.ledger.policy)[0].size == size
    shutil.rmtree(folder)
    now.rename(folder)
    with gate.tools.store.session() as session:
        session.add_all(kind(**values) for kind, values in kept)
        session.commit()


@contextmanager
def large_leaf(gate: Gate) -> Iterator[None]:
    """A row that no public bundle can hold got past the check at its making."""
    with gate.tools.store.session() as session:
        row = AuditEvent(at_ms=1, tag="clip:held", actor="system", leaf=bytes(MAX_LEAF + 1))
        session.add(row)
        session.commit()
    yield
    with gate.tools.store.session() as session:
        session.delete(session.get_one(AuditEvent, row.id))
        session.commit()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (full_disk, "No space left"),
        (full_database, "database or disk is full"),
        (silent_witness, "0 of the 1 cosignatures it needs"),
        (foreign_checkpoint, "not signed by"),
        (older_backup, "older backup"),
        (large_leaf, "larger than a leaf may be"),
    ],
)
def test_a_release_waits_for_the_log_and_says_why(gate: Gate, fault: Fault, told: str) -> None:
    with fault(gate):
        for _ in range(3):
            job = worked(gate.tools, gate.job, gate.clock, 1)
            assert job.state == State.RECORDED
            assert told in str(job.problem)
        assert not (gate.folder / "blobs" / "public").exists()
    assert worked(gate.tools, gate.job, gate.clock, 1).state == State.RELEASED
    report = check(gate.ledger.folder, gate.ledger.policy)
    assert report.problems == ()
    assert report.size > read_checkpoint(gate.folder / "then", gate.ledger.policy)[0].size


def test_without_a_fault_it_is_released_at_once(gate: Gate) -> None:
    """The control."""
    assert worked(gate.tools, gate.job, gate.clock, 1).state == State.RELEASED


def test_a_clock_that_jumps_back_changes_no_order(gate: Gate) -> None:
    for seconds in (0, -7200, 60):
        gate.clock.advance(seconds)
        with gate.tools.store.session() as session:
            session.add(AuditEvent(at_ms=1, tag="clip:held", actor="system", leaf=b"{}"))
            session.commit()
        gate.ledger.integrate()
    with gate.tools.store.reading() as session:
        times = list(session.exec(select(LogCheckpoint.at_ms).order_by(col(LogCheckpoint.size))))
        logged = list(session.exec(select(LogEntry.event_id).order_by(col(LogEntry.index))))
    assert times == sorted(times)
    assert logged == sorted(logged)
    assert check(gate.ledger.folder, gate.ledger.policy).ok
