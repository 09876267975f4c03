from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from audits.log import horizon, writer
from audits.log.check import check
from core.events import Event, Tag, record
from core.store import Store
from core.tables import AuditEvent, LogEntry
from tests.audits.conftest import ORIGIN, Log
from tests.conftest import listening

pytestmark = pytest.mark.services
SCHEMA = "audits_log_test"
URL = f"postgresql+psycopg://root@127.0.0.1/test?options=-csearch_path%3D{SCHEMA}"


@pytest.fixture
def log(tmp_path: Path, clock: Any) -> Iterator[Log]:
    if not listening(5432):
        pytest.skip("PostgreSQL does not listen on localhost")
    admin = sa.create_engine(URL)
    with admin.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
        connection.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
    store = Store(URL)
    for table in (AuditEvent, LogEntry, writer.LogCheckpoint):
        table.__table__.create(admin)  # type: ignore[attr-defined]
    yield Log(store, tmp_path / "log", writer.log_key(tmp_path / "keys" / "log", ORIGIN), clock)
    store.close()
    with admin.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    admin.dispose()


def logged_ids(log: Log) -> list[int]:
    assert check(log.folder, log.key.vkey).problems == ()
    with log.store.reading() as session:
        return list(session.exec(select(LogEntry.event_id).order_by(col(LogEntry.index))))


def settled(log: Log, count: int) -> None:
    """Integrate until `count` more events are in the log: others in this cluster may hold the horizon back."""
    deadline = time.monotonic() + 30
    while (added := log.integrate()) < count:
        count -= added
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert added == count


def while_a_transaction_is_open(log: Log) -> tuple[int, list[int]]:
    """Log what is committed while an older transaction is open, and after; answer its id and the others'."""
    with log.store.session() as slow:
        late = record(slow, Event(tag=Tag.AUDIT_QUERIED, actor="system"), log.clock).id
        early = log.happen(2)
        assert late is not None
        assert late < min(early)
        log.integrate()
        slow.commit()
    return late, early


def test_a_late_committer_leaves_no_gap(log: Log) -> None:
    late, early = while_a_transaction_is_open(log)
    settled(log, 3)
    assert logged_ids(log) == [late, *early]
    assert log.integrate() == 0


def test_a_cursor_over_ids_would_pass_it_over(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what is enough on SQLite."""

    def by_id(session: Session) -> list[tuple[int, bytes]]:
        newest = session.exec(select(sa.func.coalesce(sa.func.max(LogEntry.event_id), 0))).one()
        rows = session.exec(select(AuditEvent).where(col(AuditEvent.id) > newest))
        return [(row.id or 0, row.leaf) for row in rows]

    monkeypatch.setattr(writer, "unlogged", by_id)
    late, early = while_a_transaction_is_open(log)
    log.integrate()
    assert logged_ids(log) == early
    assert late not in logged_ids(log)


def test_a_transaction_that_only_reads_holds_nothing_back(log: Log) -> None:
    with log.store.reading() as session:
        session.exec(select(AuditEvent)).all()
        ids = log.happen(2)
        settled(log, 2)
    assert logged_ids(log) == ids


def test_savepoints_belong_to_their_transaction(log: Log) -> None:
    with log.store.session() as session:
        with session.begin_nested():
            first = record(session, Event(tag=Tag.AUDIT_QUERIED, actor="system"), log.clock).id
        early = log.happen(1)
        assert log.integrate() == 0
        session.commit()
    settled(log, 2)
    assert logged_ids(log) == [first, *early]


def test_a_database_that_was_moved_to_another_cluster_goes_on(log: Log) -> None:
    """A dump brings numbers of transactions along that are still to come here."""
    old = log.happen(3)
    settled(log, 3)
    waiting = log.happen(2)
    with log.store.session() as session:
        session.execute(sa.text("UPDATE auditevent SET xid = xid + 1000000000"))
        session.commit()
    new = log.happen(2)
    settled(log, 4)
    assert sorted(logged_ids(log)) == sorted([*old, *waiting, *new])
    assert logged_ids(log)[:3] == old
    after = log.happen(1)
    settled(log, 1)
    assert logged_ids(log)[-1:] == after


def test_the_cost_does_not_grow_with_the_log(log: Log) -> None:
    log.happen(5)
    settled(log, 5)
    with log.store.session() as session:
        session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        plan = session.execute(
            sa.text(f"EXPLAIN {horizon._NEXT.text}"), {"xid": 1, "id": 1, "limit": 10}
        ).scalars()
        assert "auditevent_horizon" in "\n".join(plan)


def test_a_rolled_back_event_is_no_entry(log: Log) -> None:
    with log.store.session() as gone:
        record(gone, Event(tag=Tag.AUDIT_QUERIED, actor="system"), log.clock)
        gone.rollback()
    after = log.happen(1)
    settled(log, 1)
    assert logged_ids(log) == after


def test_integrators_and_writers_at_once(log: Log) -> None:
    errors: list[Exception] = []

    def guarded(job: Any, times: int) -> None:
        try:
            for _ in range(times):
                job()
        except Exception as error:  # noqa: BLE001 - the threads' errors are what the test is about
            errors.append(error)

    jobs = [(lambda: log.happen(3), 15)] * 3 + [(log.integrate, 10)] * 3
    threads = [threading.Thread(target=guarded, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with log.store.reading() as session:
        logged = session.exec(select(sa.func.count()).select_from(LogEntry)).one()
    if logged < 135:
        settled(log, 135 - logged)
    ids = logged_ids(log)
    assert len(ids) == len(set(ids)) == 135
