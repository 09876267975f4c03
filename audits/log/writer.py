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
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import Session, col, select

from audits.log.cosign import Quorum, check_memory
from audits.log.format import MAX_LEAF, Checkpoint, read_tile
from audits.log.horizon import unlogged
from audits.log.keys import log_key
from audits.log.publish import grown_root, publish
from audits.log.signing import LogKey
from audits.log.tree import EMPTY_ROOT, grow, leaf_hash, over_tiles
from audits.log.witness import Seen
from core.clock import Clock, milliseconds
from core.errors import LogCorrupt, Unavailable
from core.store import Store
from core.tables import LogCheckpoint, LogEntry

__all__ = ["index_of", "integrate", "log_key"]


def integrate(store: Store, folder: Path, key: LogKey, clock: Clock, quorum: Quorum | None = None) -> int:
    """Append every committed event to the log, publish it in `folder`, and return how many were appended.

    Any number of callers may do this at once, in threads or processes of one machine. A folder or a witness
    that disagrees with the database raises LogCorrupt, and nothing is signed or overwritten; where no
    quorum of witnesses answers, Unavailable.
    """
    try:
        return _integrated(store, folder, key, clock, quorum or Quorum())
    except DBAPIError as error:
        raise Unavailable(f"the log's database cannot be used: {error.orig}") from error


def _integrated(store: Store, folder: Path, key: LogKey, clock: Clock, quorum: Quorum) -> int:
    total = 0
    size = publish(store, folder, key, quorum)
    while (added := _sequence(store, folder, key, clock, size, quorum.memory(key.name))) != 0:
        before, size = size, publish(store, folder, key, quorum)
        if added is None and size == before:
            raise LogCorrupt("the database holds log entries that no checkpoint covers")
        total += added or 0
    if size is None:
        # A new log begins with the signed empty tree, so that it can be checked from its first moment.
        publish(store, folder, key, quorum)
    return total


def index_of(session: Session, event_id: int) -> int | None:
    """Give the log index of an event, or None while it has not been integrated."""
    return session.exec(select(LogEntry.index).where(LogEntry.event_id == event_id)).one_or_none()


def _sequence(
    store: Store, folder: Path, key: LogKey, clock: Clock, size: int | None, memory: Mapping[str, Seen]
) -> int | None:
    """Append one batch to the log of the public `size` and return its length, or None when somebody was faster.

    `memory` is what the witnesses had seen before the database is asked.
    """
    with store.reading() as session:
        last = _newest(session)
        if (last.size if last else None) != size:
            return None
        events = unlogged(session)
    if not events and last:
        return 0
    start = size or 0
    check_memory(memory, start, last.root if last else EMPTY_ROOT)
    for event_id, leaf in events:
        if len(leaf) > MAX_LEAF:
            raise LogCorrupt(
                f"event {event_id} has {len(leaf)} bytes, larger than a leaf may be ({MAX_LEAF})"
            )
    hashes = [leaf_hash(leaf) for _, leaf in events]
    head = Checkpoint(key.name, start + len(events), _next_root(folder, last, hashes))
    # Checkpoints keep the order of their times even where the clock has jumped back.
    at_ms = max(milliseconds(clock.now()), last.at_ms if last else 0)
    note = key.sign(head.text, at_ms // 1000)
    entries = [
        {"index": index, "event_id": event_id, "leaf_hash": hash_}
        for index, ((event_id, _), hash_) in enumerate(zip(events, hashes, strict=True), start=start)
    ]
    row = LogCheckpoint(size=head.size, root=head.root, note=note, at_ms=at_ms)
    return len(events) if _committed(store, entries, row) else None


def _committed(store: Store, entries: Sequence[Mapping[str, object]], checkpoint: LogCheckpoint) -> bool:
    """Insert the entries and the checkpoint over them, unless somebody was faster.

    Other writers are kept waiting from here on only. Whoever else reads the same log signs the same tree,
    since the order of its events is decided.
    """
    with store.session() as session:
        try:
            # An index and a size can be inserted once: that is the compare-and-swap on the previous size.
            # The loser of a race meets the winner's rows here.
            if entries:
                session.connection().execute(sa.insert(LogEntry), entries)
            session.add(checkpoint)
            session.commit()
        except IntegrityError:
            return False
    return True


def _newest(session: Session) -> LogCheckpoint | None:
    return session.exec(select(LogCheckpoint).order_by(col(LogCheckpoint.size).desc()).limit(1)).first()


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
