"""The database: opening it, and every guarded change of a request's state.

Nothing here commits. A step or an API call opens one session and commits once, so a change of state, its
audit event and its hints stand or fall together.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlmodel import Session, SQLModel, col, select

from core.errors import NotFound, StaleFence
from core.state import RUNNABLE, TRANSITIONS, State
from core.tables import GalleryChange, GalleryState, Job, Outbox

_PATIENCE_SECONDS = 2.0
_LOOK_SECONDS = 0.1


class Store:
    """A database with one way in for writers and one for readers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._writer = _engine(url, "BEGIN IMMEDIATE")
        self._reader = _engine(url, "BEGIN") if url.startswith("sqlite") else self._writer

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session that may write; the caller commits once, an exception rolls back."""
        with Session(self._writer, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads; on SQLite it never waits for a writer."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    def migrate(self) -> None:
        """Bring the schema up to date."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self._writer.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def make(self, table: type[SQLModel]) -> None:
        """Make one table if it is not there, in a database that holds nothing else."""
        SQLModel.metadata.create_all(self._writer, tables=[_table(table)])

    def scrub(self, *tables: type[SQLModel]) -> bool:
        """Leave no trace of what was deleted from these tables; False while somebody still reads old rows.

        On SQLite the deleted bytes are already zeroed (secure_delete) and the write-ahead log is emptied.
        On PostgreSQL the dead rows are reclaimed; its own write-ahead log is its operator's matter.
        """
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(str(self._writer.url.database), timeout=_PATIENCE_SECONDS)) as raw:
                busy, *_ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not busy
        with self._writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not _all_see(connection):
                return False
            for table in tables:
                connection.execute(sa.text(f'VACUUM "{_table(table).name}"'))
        return True

    def close(self) -> None:
        """Let go of every connection."""
        self._writer.dispose()
        self._reader.dispose()


def open_store(url: str) -> Store:
    """Open the database at a SQLAlchemy address and bring its schema up to date."""
    store = Store(url)
    store.migrate()
    return store


def _all_see(connection: Connection) -> bool:
    """Wait a moment until every transaction on PostgreSQL sees what is committed now, and tell whether it does."""
    now = connection.execute(sa.text("SELECT pg_current_xact_id()::xid::text")).scalar_one()
    older = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND greatest(age(backend_xid), age(backend_xmin)) > age(CAST(:now AS xid))"
    )
    for _ in range(int(_PATIENCE_SECONDS / _LOOK_SECONDS)):
        if not connection.execute(older, {"now": now}).scalar_one():
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def _table(model: type[SQLModel]) -> sa.Table:
    table = sa.inspect(model).local_table
    assert isinstance(table, sa.Table)
    return table


def _engine(url: str, begin: str) -> Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True, hide_parameters=True)
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # An error must not quote the prompt or the name that it could not write.
    engine = sa.create_engine(
        url, connect_args={"timeout": 30, "check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling begins too late to guard a read-then-write.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def job(session: Session, job_id: str) -> Job:
    """Find a request, or raise `NotFound`."""
    found = session.get(Job, job_id)
    if found is None:
        raise NotFound("There is no such request.")
    return found


def owned(fence: int) -> Any:
    """Say who may change a request: only the holder of its newest fencing token."""
    return col(Job.fence) == fence


def claim(
    session: Session, *, holder: str, now_ms: int, lease_ms: int, job_id: str | None = None
) -> Job | None:
    """Take the next runnable request (or this one) under a lease, with a new fencing token."""
    free = sa.and_(col(Job.state).in_([str(state) for state in RUNNABLE]), col(Job.lease_until_ms) < now_ms)
    if job_id is not None:
        free = sa.and_(free, col(Job.id) == job_id)
    wanted = select(Job.id).where(free).order_by(col(Job.created_ms)).limit(1)
    if session.get_bind().dialect.name == "postgresql":
        wanted = wanted.with_for_update(skip_locked=True)
    statement = (
        sa.update(Job)
        .where(col(Job.id) == wanted.scalar_subquery(), free)
        .values(
            fence=Job.fence + 1, attempts=Job.attempts + 1, holder=holder, lease_until_ms=now_ms + lease_ms
        )
        .returning(col(Job.id))
    )
    claimed = session.execute(statement).scalar_one_or_none()
    return None if claimed is None else session.get_one(Job, claimed, populate_existing=True)


def renew(session: Session, job_id: str, fence: int, *, until_ms: int, progress: float) -> bool:
    """Prolong a lease and note the progress; return whether the request was cancelled meanwhile.

    Raises `StaleFence` when the lease has gone to somebody else.
    """
    statement = (
        sa.update(Job)
        .where(col(Job.id) == job_id, owned(fence))
        .values(lease_until_ms=until_ms, progress=progress)
        .returning(col(Job.cancel))
    )
    cancelled = session.execute(statement).scalar_one_or_none()
    if cancelled is None:
        raise StaleFence
    return bool(cancelled)


def postpone(
    session: Session, job_id: str, fence: int, *, until_ms: int, problem: str, counts: bool = True
) -> None:
    """Give a step back for another attempt after `until_ms`; one that does not count uses up no attempt."""
    changed = session.execute(
        sa.update(Job)
        .where(col(Job.id) == job_id, owned(fence))
        .values(
            lease_until_ms=until_ms,
            holder=None,
            problem=problem,
            attempts=Job.attempts - (0 if counts else 1),
        )
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]  # Result of an UPDATE is a CursorResult
        raise StaleFence


def move(
    session: Session,
    job_id: str,
    frm: State,
    to: State,
    *,
    now_ms: int,
    fence: int | None = None,
    **values: Any,
) -> None:
    """Change a request's state in one guarded UPDATE, or raise `StaleFence`.

    A worker passes its fence. A person or the API passes none and is guarded by the state alone; the
    fence then rises, so that a worker still busy with the old state loses.
    """
    if to not in TRANSITIONS[frm]:
        raise StaleFence(f"A request cannot go from {frm} to {to}.")
    guard = sa.and_(col(Job.id) == job_id, col(Job.state) == str(frm))
    if fence is not None:
        guard = sa.and_(guard, owned(fence))
    values |= {"state": str(to), "updated_ms": now_ms, "lease_until_ms": 0, "holder": None, "attempts": 0}
    if fence is None:
        values["fence"] = Job.fence + 1
    changed = session.execute(sa.update(Job).where(guard).values(**values))
    if changed.rowcount != 1:  # type: ignore[attr-defined]  # Result of an UPDATE is a CursorResult
        raise StaleFence
    if to in RUNNABLE:
        session.add(Outbox(job=job_id, at_ms=now_ms))


def change_gallery(session: Session, kind: str, identity: str, *, templates: int) -> None:
    """Note that somebody's templates of a kind changed, by so many rows (less than 0 when they went).

    The counter's row stays locked until the caller commits, so that versions become visible in their order.
    """
    statement = (
        sa.update(GalleryState)
        .where(col(GalleryState.kind) == kind)
        .values(version=GalleryState.version + 1, templates=GalleryState.templates + templates)
        .returning(col(GalleryState.version))
    )
    version = session.execute(statement).scalar_one()
    session.add(GalleryChange(kind=kind, version=version, identity=identity))
