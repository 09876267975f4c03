"""Deadlines: what is deleted how long after it has served its purpose, and the job that does it and says so.

Every class of data goes in transactions of its own: the rows, what is left to destroy elsewhere, and the event
`retention:enforced` with the count commit together. If we crash, whatever was not committed is still due, and
whatever was is still written down as left over; the next run goes on with both. Exempt are requests that are
not over, clips that were withdrawn, and whatever a legal hold keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlmodel import Session, col, select

from audits.erasure import Holdings, Why, clear_files, drop_upload, erase_request, finish
from audits.holds import free
from core.clock import Clock, milliseconds
from core.events import Event, Tag, record
from core.settings import Settings
from core.state import FINAL, State
from core.tables import IdempotencyKey, Job, Leftover, Outbox, Strike, Upload

ACTOR = "system"
_DAY_MS = 86_400_000
_BATCH = 200
_KEPT_OUT = (State.REFUSED, State.REJECTED, State.FAILED, State.CANCELLED)
_NOTES = ("policy", "audit")

Due = Callable[[Session, Holdings, int, int], Sequence[Any]]
"""List what is due: (session, holdings, before_ms, limit)."""
Drop = Callable[[Session, Sequence[Any], Clock], None]
"""Delete what was listed, in the caller's transaction."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A class of data: how it is called, when it goes (days after its last use), how it is found and deleted."""

    kind: str
    days: Callable[[Settings], int]
    due: Due
    drop: Drop


@dataclass(frozen=True, slots=True)
class Enforced:
    """How much of a class was, or with a dry run would be, deleted, and of before when."""

    kind: str
    count: int
    before_ms: int


def enforce(home: Holdings, settings: Settings) -> list[Enforced]:
    """Delete everything that is due, and answer what that was. Any number of callers may do this at once."""
    done = [_enforced(home, settings, deadline) for deadline in DEADLINES]
    finish(home)
    return [one for one in done if one.count]


def due(home: Holdings, settings: Settings) -> list[Enforced]:
    """Answer what is due, and delete nothing."""
    found = []
    with home.store.reading() as session:
        for deadline in DEADLINES:
            before_ms = _before(home, settings, deadline)
            items = deadline.due(session, home, before_ms, 1_000_000)
            found.append(Enforced(deadline.kind, len(items), before_ms))
    return found


def _before(home: Holdings, settings: Settings, deadline: Deadline) -> int:
    return max(milliseconds(home.clock.now()) - deadline.days(settings) * _DAY_MS, 0)


def _enforced(home: Holdings, settings: Settings, deadline: Deadline) -> Enforced:
    before_ms, total = _before(home, settings, deadline), 0
    while True:
        with home.store.session() as session:
            items = deadline.due(session, home, before_ms, _BATCH)
            if not items:
                return Enforced(deadline.kind, total, before_ms)
            deadline.drop(session, items, home.clock)
            facts = {"class": deadline.kind, "count": len(items), "before": before_ms}
            record(session, Event(tag=Tag.RETENTION_ENFORCED, actor=ACTOR, facts=facts), home.clock)
            session.commit()
        total += len(items)


def _ended(
    states: Sequence[State], mark: Any, session: Session, _home: Holdings, before_ms: int, limit: int
) -> Sequence[Job]:
    """List requests that ended in one of the states and are not marked as done with."""
    wanted = select(Job).where(
        col(Job.state).in_([str(state) for state in states]),
        col(Job.updated_ms) < before_ms,
        mark.is_(None),
        free(col(Job.id), col(Job.partner)),
    )
    return _locked(session, wanted.order_by(col(Job.updated_ms)).limit(limit))


def _forgotten(session: Session, _home: Holdings, _before_ms: int, limit: int) -> Sequence[Job]:
    """List requests that were to be erased as soon as they ended, and have."""
    wanted = select(Job).where(
        col(Job.forget).is_(True),
        col(Job.state).in_([str(state) for state in FINAL]),
        free(col(Job.id), col(Job.partner)),
    )
    return _locked(session, wanted.limit(limit))


def _unused(session: Session, _home: Holdings, before_ms: int, limit: int) -> Sequence[Upload]:
    """List uploads that no request under way needs."""
    going = select(Job.ask).where(col(Job.state).not_in([str(state) for state in FINAL]))
    needed = {name for ask in session.exec(going) for name in (*ask["references"], ask.get("source"))}
    wanted = select(Upload).where(
        col(Upload.created_ms) < before_ms,
        col(Upload.id).not_in(needed - {None}),
        free(col(Upload.partner)),
    )
    return _locked(session, wanted.order_by(col(Upload.created_ms)).limit(limit))


def _locked(session: Session, wanted: Any) -> Sequence[Any]:
    # On PostgreSQL two enforcers at once take different rows; on SQLite one waits for the other.
    rows: Sequence[Any] = session.exec(wanted.with_for_update(skip_locked=True)).all()
    return rows


def _notes(session: Session, home: Holdings, before_ms: int, limit: int) -> Sequence[str]:
    """List the subjects of old prechecks and questions to the log whose keys are not already to be destroyed."""
    old = [name for kind in _NOTES for name in home.vault.older(kind, before_ms, limit)]
    going = select(Leftover.name).where(Leftover.kind == "key", col(Leftover.name).in_(old))
    return [name for name in old if name not in set(session.exec(going))][:limit]


def _clear(session: Session, jobs: Sequence[Job], clock: Clock) -> None:
    for job in jobs:
        clear_files(session, job, milliseconds(clock.now()))


def _erase(session: Session, jobs: Sequence[Job], clock: Clock) -> None:
    for job in jobs:
        why: Why = "person" if job.forget else "retention"
        erase_request(session, job.id, actor=ACTOR, why=why, clock=clock)


def _drop_uploads(session: Session, rows: Sequence[Upload], _clock: Clock) -> None:
    for row in rows:
        drop_upload(session, row)


def _drop_keys(session: Session, subjects: Sequence[str], _clock: Clock) -> None:
    session.add_all(Leftover(kind="key", name=subject) for subject in subjects)


def _delete(session: Session, rows: Sequence[Any], _clock: Clock) -> None:
    for row in rows:
        session.delete(row)


def _old(table: Any, made_ms: Any, session: Session, _home: Holdings, before_ms: int, limit: int) -> Any:
    return _locked(session, select(table).where(made_ms < before_ms).order_by(made_ms).limit(limit))


_OVER = tuple(state for state in FINAL if state is not State.WITHDRAWN)
DEADLINES: tuple[Deadline, ...] = (
    Deadline("forgotten", lambda _: 0, _forgotten, _erase),
    Deadline("media", lambda keep: keep.keep_media_days, partial(_ended, _OVER, col(Job.cleared_ms)), _clear),
    Deadline("uploads", lambda keep: keep.keep_uploads_days, _unused, _drop_uploads),
    Deadline(
        "refused", lambda keep: keep.keep_refused_days, partial(_ended, _KEPT_OUT, col(Job.erased_ms)), _erase
    ),
    Deadline(
        "requests",
        lambda keep: keep.keep_requests_days,
        partial(_ended, (State.RELEASED,), col(Job.erased_ms)),
        _erase,
    ),
    Deadline(
        "strikes", lambda keep: keep.keep_refused_days, partial(_old, Strike, col(Strike.expires_ms)), _delete
    ),
    Deadline("notes", lambda keep: keep.keep_notes_days, _notes, _drop_keys),
    Deadline(
        "idempotency",
        lambda keep: keep.keep_idempotency_days,
        partial(_old, IdempotencyKey, col(IdempotencyKey.created_ms)),
        _delete,
    ),
    Deadline("hints", lambda keep: keep.keep_hints_days, partial(_old, Outbox, col(Outbox.at_ms)), _delete),
)
"""Every class of data with a deadline, in the order in which they are enforced."""
