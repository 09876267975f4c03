"""Which events the sequencer may take now, so that none is ever passed over.

SQLite has one writer at a time and AUTOINCREMENT, so ids are committed in order and a cursor over them is
enough. On PostgreSQL a low id may be committed late. There every event carries the number of its
transaction, and only those below the oldest running transaction are taken, in the order of these numbers:
nothing can be committed in front of them any more. The price is that a transaction that writes and stays
open, anywhere in the cluster, holds the log back.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Result
from sqlmodel import Session, col

from core.tables import AuditEvent, LogEntry

_LAST = sa.text(
    "SELECT e.xid, e.id FROM logentry l JOIN auditevent e ON e.id = l.event_id ORDER BY l.index DESC LIMIT 1"
)
_NEXT = sa.text(
    "SELECT id, leaf FROM auditevent WHERE (xid, id) > (:xid, :id)"
    " AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint ORDER BY xid, id LIMIT :limit"
)
_FOREIGN = sa.text(
    "SELECT EXISTS (SELECT FROM auditevent WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint)"
)
_ADOPT = sa.text(
    "UPDATE auditevent SET xid = CASE WHEN EXISTS (SELECT FROM logentry WHERE event_id = auditevent.id)"
    " THEN 0 ELSE pg_current_xact_id()::text::bigint END"
)
_ALL = 2**63 - 1
_STREAMED = {"yield_per": 256}
BATCH = 4096
BATCH_BYTES = 16 << 20


def unlogged(session: Session) -> list[tuple[int, bytes]]:
    """Give id and leaf of the next events, one batch at most, in the order in which they become entries."""
    if session.get_bind().dialect.name == "postgresql":
        return _below_the_horizon(session)
    newest = sa.select(sa.func.coalesce(sa.func.max(LogEntry.event_id), 0)).scalar_subquery()
    wanted = sa.select(col(AuditEvent.id), col(AuditEvent.leaf)).where(col(AuditEvent.id) > newest)
    return _batch(session.execute(wanted.order_by(col(AuditEvent.id)).limit(BATCH), _STREAMED))


def _below_the_horizon(session: Session) -> list[tuple[int, bytes]]:
    last = session.execute(_LAST).one_or_none()
    xid, event_id = last or (0, 0)
    # Number 0 is no transaction's: it marks what was logged before its number meant anything here.
    cursor = {"xid": xid, "id": _ALL if xid == 0 else event_id, "limit": BATCH}
    events = _batch(session.execute(_NEXT.execution_options(**_STREAMED), cursor))
    if not events and session.execute(_FOREIGN).scalar_one():
        # These numbers are of another cluster, from which the database was moved here: count on from today's.
        session.execute(_ADOPT)
        session.commit()
    return events


def _batch(rows: Result[int, bytes]) -> list[tuple[int, bytes]]:
    """Take rows while their leaves stay within what may be held in memory."""
    events: list[tuple[int, bytes]] = []
    held = 0
    for row in rows:
        held += len(row[1])
        if events and held > BATCH_BYTES:
            break
        events.append((row[0], row[1]))
    rows.close()
    return events
