"""Legal holds: named reasons to keep what concerns a request, a partner or a person, whatever the deadlines say."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, delete, select

from core.clock import Clock, milliseconds
from core.errors import BadInput, Conflict, NotFound
from core.events import Event, Tag, record
from core.facts import ID
from core.tables import Identity, Job, LegalHold, Partner


def place(session: Session, name: str, subject: str, *, actor: str, clock: Clock) -> None:
    """Keep a request, a partner or a person under a named hold; doing it twice is harmless."""
    if not ID.pattern.fullmatch(name):
        raise BadInput("A hold is named by letters, digits and . _ : / + - only.")
    if not any(session.get(table, subject) for table in (Job, Partner, Identity)):
        raise NotFound(f"There is no request, partner or person {subject}.")
    if session.get(LegalHold, (name, subject)) is None:
        session.add(LegalHold(name=name, subject=subject, at_ms=milliseconds(clock.now())))
        _noted(session, Tag.HOLD_PLACED, name, [subject], actor, clock)


def lift(session: Session, name: str, *, actor: str, clock: Clock) -> list[str]:
    """End a hold and answer what it kept; the deadlines apply again at once."""
    found = session.exec(select(LegalHold.subject).where(LegalHold.name == name)).all()
    if not found:
        raise NotFound(f"There is no hold {name}.")
    session.execute(delete(LegalHold).where(col(LegalHold.name) == name))
    _noted(session, Tag.HOLD_LIFTED, name, found, actor, clock)
    return sorted(found)


def under_hold(session: Session, *subjects: str) -> bool:
    """Tell whether a hold keeps any of these."""
    held = select(LegalHold.name).where(col(LegalHold.subject).in_(subjects))
    return session.exec(held.limit(1)).first() is not None


def refuse_held(session: Session, *subjects: str) -> None:
    """Raise `Conflict` if a hold keeps any of these."""
    if under_hold(session, *subjects):
        raise Conflict("A legal hold keeps this; it can be erased when the hold is lifted.")


def free(*subjects: Any) -> Any:
    """Give the SQL condition that no hold keeps any of these columns."""
    held = select(LegalHold.subject)
    return sa.and_(*(subject.not_in(held) for subject in subjects))


def _noted(session: Session, tag: Tag, name: str, subjects: Any, actor: str, clock: Clock) -> None:
    for subject in subjects:
        facts = {"hold": name, "subject": subject}
        record(session, Event(tag=tag, actor=actor, facts=facts), clock)
