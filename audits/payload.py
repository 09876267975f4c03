"""Open the private part of a log entry to somebody who may see it; the look is an event itself."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, select

from core.clock import Clock
from core.errors import NotFound
from core.events import Event, Leaf, Tag, opened, parse, record
from core.tables import AuditEvent, LogEntry
from core.vault import Vault


def open_payload(
    session: Session, vault: Vault, index: int, *, actor: str, clock: Clock
) -> tuple[Leaf, dict[str, Any]]:
    """Give an entry's leaf and its private part, checked against the commitment, and record that it was read.

    The caller commits before anything is shown. Raises NotFound when there is no such entry or it has no
    private part, KeyMissing when its subject was erased, LogCorrupt when it is not what was committed to.
    """
    event_id = session.exec(select(LogEntry.event_id).where(LogEntry.index == index)).one_or_none()
    row = session.get(AuditEvent, event_id) if event_id is not None else None
    if row is None:
        raise NotFound(f"The log has no entry {index}.")
    private = opened(row, vault)
    facts = {"index": index, "tag": row.tag}
    event = Event(
        tag=Tag.AUDIT_OPENED,
        actor=actor,
        partner=row.partner,
        job=row.job,
        identity=row.identity,
        facts=facts,
    )
    record(session, event, clock)
    return parse(row.leaf), private
