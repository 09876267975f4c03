"""The sequencer: audit events become leaves, leaves become signed checkpoints and public files.

The database decides. `integrate` is three steps, and a crash between any two is mended by the next call:

1. publish what the database committed earlier; after it the folder shows the newest checkpoint;
2. in one transaction give the next events their indexes and insert the checkpoint over them;
   the commit is the log's commit point: the tree head exists from here on, signed, and never changes;
3. publish again, which is when the witnesses see it.

If we crash in step 2, nothing happened; in step 3, step 1 of the next call finishes it. Nothing new is signed
before the checkpoint in front of it is public with a quorum of cosignatures, nor where a witness remembers
more than the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from audits.log.cosign import Quorum, check_memory
from audits.log.format import Checkpoint, read_tile
from audits.log.keys import log_key
from audits.log.publish import BATCH, grown_root, publish
from audits.log.signing import LogKey
from audits.log.tree import EMPTY_ROOT, grow, leaf_hash, over_tiles
from audits.log.witness import Seen
from core.clock import Clock, milliseconds
from core.errors import LogCorrupt
from core.store import Store
from core.tables import AuditEvent, LogCheckpoint, LogEntry

__all__ = ["index_of", "integrate", "log_key"]


def integrate(store: Store, folder: Path, key: LogKey, clock: Clock, quorum: Quorum | None = None) -> int:
    """Append every committed event to the log, publish it in `folder`, and return how many were appended.

    Any number of callers may do this at once, in threads or processes of one machine. A folder or a witness
    that disagrees with the database raises LogCorrupt, and nothing is signed or overwritten; where no
    quorum of witnesses answers, Unavailable.
    """
    quorum = quorum or Quorum()
    total = 0
    size = publish(store, folder, key, quorum)
    while (added := _sequence(store, folder, key, clock, size, quorum.memory(key.name))) != 0:
        before, size = size, publish(store, folder, key, quorum)
        if added is None and size == before:
            raise LogCorrupt("the database holds log entries that no checkpoint covers")
        total += added or 0
    if size == 0:
        # A new log begins with the signed empty tree, so that it can be checked from its first moment.
        publish(store, folder, key, quorum)
    return total


def index_of(session: Session, event_id: int) -> int | None:
    """Give the log index of an event, or None while it has not been integrated."""
    return session.exec(select(LogEntry.index).where(LogEntry.event_id == event_id)).one_or_none()


def _sequence(
    store: Store, folder: Path, key: LogKey, clock: Clock, size: int, memory: Mapping[str, Seen]
) -> int | None:
    """Append one batch to a log of `size` entries and return its length, or None when somebody was faster.

    `memory` is what the witnesses had seen before the database is asked.
    """
    with store.session() as session:
        last = _newest(session)
        if (last.size if last else 0) != size:
            return None
        events = _unlogged(session)
        if not events and last:
            return 0
        check_memory(memory, size, last.root if last else EMPTY_ROOT)
        hashes = [leaf_hash(leaf) for _, leaf in events]
        head = Checkpoint(key.name, size + len(events), _next_root(folder, last, hashes))
        entries = [
            {"index": index, "event_id": event_id, "leaf_hash": hash_}
            for index, ((event_id, _), hash_) in enumerate(zip(events, hashes, strict=True), start=size)
        ]
        try:
            # Index `size` can be inserted once: that is the compare-and-swap on the previous size. On
            # PostgreSQL the loser of a race meets the winner's row here; on SQLite it waited at BEGIN.
            if entries:
                session.execute(sa.insert(LogEntry), entries)
            # Checkpoints keep the order of their times even where the clock has jumped back.
            at_ms = max(milliseconds(clock.now()), last.at_ms if last else 0)
            note = key.sign(head.text, at_ms // 1000)
            session.add(LogCheckpoint(size=head.size, root=head.root, note=note, at_ms=at_ms))
            session.commit()
        except IntegrityError:
            return None
        return len(events)


def _newest(session: Session) -> LogCheckpoint | None:
    return session.exec(select(LogCheckpoint).order_by(col(LogCheckpoint.size).desc()).limit(1)).first()


def _unlogged(session: Session) -> list[tuple[int, bytes]]:
    """Take the next events in the order of their ids.

    SQLite has one writer at a time and AUTOINCREMENT, so ids are committed in order and a cursor is enough.
    On PostgreSQL a low id may be committed late: there everything without an entry is taken, so that a late
    event comes later and is never passed over (at about 1 us for every event ever logged, each time).
    """
    wanted = sa.select(col(AuditEvent.id), col(AuditEvent.leaf)).order_by(col(AuditEvent.id)).limit(BATCH)
    if session.get_bind().dialect.name == "sqlite":
        newest = sa.select(sa.func.coalesce(sa.func.max(LogEntry.event_id), 0)).scalar_subquery()
        wanted = wanted.where(col(AuditEvent.id) > newest)
    else:
        wanted = wanted.where(~sa.exists().where(col(LogEntry.event_id) == col(AuditEvent.id)))
    return [(event_id, leaf) for event_id, leaf in session.execute(wanted)]


def _next_root(folder: Path, last: LogCheckpoint | None, added: Sequence[bytes]) -> bytes:
    """Give the root of the published tree with `added` leaf hashes behind it.

    The published tiles must first lead to the root that was signed over them: a log whose files were
    altered is never extended.
    """
    size = last.size if last else 0
    held = cache(partial(read_tile, folder))
    if last and over_tiles(size, held)(0, size) != last.root:
        raise LogCorrupt(f"the published tiles do not lead to the root that was signed at size {size}")
    return grown_root(size + len(added), grow(size, added, held), held)
