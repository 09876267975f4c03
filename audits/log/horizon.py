"""Which events the sequencer may take now, so that none is ever passed over.

SQLite has one writer at a time and AUTOINCREMENT, so ids are committed in order and a cursor over them is
enough. On PostgreSQL a low id may be committed late. There every event carries the number of its
transaction, and only those below the oldest running transaction are taken, in the order of these numbers:
nothing can be committed in front of them any more. The price is that a transaction that writes and stays
open, anywhere in the cluster, holds the log back.
"""

from __future__ import annotations

import sqlalchemy as sa
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


def unlogged(session: Session, limit: int) -> list[tuple[int, bytes]]:
    """Give id and leaf of the next events at most `limit` of them, in the order in which they become entries."""
    if session.get_bind().dialect.name == "postgresql":
        return _below_the_horizon(session, limit)
    newest = sa.select(sa.func.coalesce(sa.func.max(LogEntry.event_id), 0)).scalar_subquery()
    wanted = sa.select(col(AuditEvent.id), col(AuditEvent.leaf)).where(col(AuditEvent.id) > newest)
    rows = session.execute(wanted.order_by(col(AuditEvent.id)).limit(limit))
    return [(event_id, leaf) for event_id, leaf in rows]


def _below_the_horizon(session: Session, limit: int) -> list[tuple[int, bytes]]:
    last = session.execute(_LAST).one_or_none()
    xid, event_id = last or (0, 0)
    # Number 0 is no transaction's: it marks what was logged before its number meant anything here.
    cursor = {"xid": xid, "id": _ALL if xid == 0 else event_id, "limit": limit}
    rows = session.execute(_NEXT, cursor).all()
    if not rows and session.execute(_FOREIGN).scalar_one():
        # These numbers are of another cluster, from which the database was moved here: count on from today's.
        session.execute(_ADOPT)
        session.commit()
    return [(found, leaf) for found, leaf in rows]
