from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from audits.log import writer
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


def test_a_late_committer_leaves_no_gap(log: Log) -> None:
    with log.store.session() as slow:
        late = record(slow, Event(tag=Tag.AUDIT_QUERIED, actor="system"), log.clock).id
        early = log.happen(2)
        assert late is not None
        assert late < min(early)
        assert log.integrate() == 2
        slow.commit()
    # A cursor over ids, which is enough on SQLite, would never see it: the control.
    assert late < max(logged_ids(log))
    assert log.integrate() == 1
    assert logged_ids(log) == [*early, late]


def test_a_rolled_back_event_is_no_entry(log: Log) -> None:
    with log.store.session() as gone:
        record(gone, Event(tag=Tag.AUDIT_QUERIED, actor="system"), log.clock)
        gone.rollback()
    after = log.happen(1)
    assert log.integrate() == 1
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
    log.integrate()
    ids = logged_ids(log)
    assert len(ids) == len(set(ids)) == 135
