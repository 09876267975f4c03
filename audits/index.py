"""The searcher's index: which entries of the log have which value.

It is written behind the log, from the leaves, and never by the transaction that makes an event: appending
costs nothing for it, the pages come in the order of the log on every database, and it can be thrown away and
written again. What it has not reached yet is read from the entries themselves (audits/queries.py), so that
it decides how fast an answer comes and never what is in it.

A value is named by 64 bits of its SHA-256; a page reads the leaf of every hit and asks it again, so two values
under one name cost time only. Requests are not in here: their ids are random, each would open a page of its
own, and the table of events has an index by request already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from audits.terms import Field, Term, read_leaf, terms, territory_of
from core.events import Tag
from core.store import Store
from core.tables import AuditBlock, AuditEvent, AuditPosting, LogCheckpoint, LogEntry

BLOCK = 1024


def term_name(term: Term) -> int:
    """Name a value by a signed 64-bit number."""
    field, value = term
    return int.from_bytes(hashlib.sha256(f"{field}\0{value}".encode()).digest()[:8], "big", signed=True)


def log_size(session: Session) -> int:
    """Count the entries that the newest checkpoint covers."""
    return session.exec(select(sa.func.max(LogCheckpoint.size))).one() or 0


def indexed(session: Session) -> int:
    """Count the entries that the index has reached, from the first on."""
    newest = session.exec(select(sa.func.max(AuditBlock.number))).one()
    return 0 if newest is None else newest * BLOCK + session.get_one(AuditBlock, newest).count


def catch_up(store: Store, *, at_most: int = 16 * BLOCK) -> int:
    """Bring the index up to the newest checkpoint, or `at_most` entries nearer, and return how many it took in.

    Any number of callers may do this at once. A crash leaves it where the last block was committed.
    """
    with store.reading() as session:
        waiting = min(log_size(session) - indexed(session), at_most)
    done = 0
    while done < waiting and (added := _take_block(store)):
        done += added
    return done


def _take_block(store: Store) -> int:
    """Take in entries up to the end of a block; 0 when there are none or somebody was faster."""
    with store.session() as session:
        start, size = indexed(session), log_size(session)
        rows = entry_rows(session, start, min(size, (start // BLOCK + 1) * BLOCK))
        if not rows:
            return 0
        try:
            session.execute(sa.insert(AuditPosting), _postings(session, rows))
            _note_block(session, start, [row.at_ms for _, row in rows])
            session.commit()
        except IntegrityError:
            # On PostgreSQL the loser of a race meets the winner's rows; on SQLite it waited at BEGIN.
            return 0
    return len(rows)


def entry_rows(session: Session, start: int, end: int) -> list[tuple[int, AuditEvent]]:
    """Read the events that are the entries [start, end), in order."""
    wanted = (
        sa.select(col(LogEntry.index), AuditEvent)
        .join(AuditEvent, col(AuditEvent.id) == col(LogEntry.event_id))
        .where(col(LogEntry.index) >= start, col(LogEntry.index) < end)
        .order_by(col(LogEntry.index))
    )
    return [(index, row) for index, row in session.execute(wanted)]


def territories(session: Session, jobs: Iterable[str | None]) -> dict[str, str]:
    """Look up what the first event of each request said its territory was."""
    wanted = sa.select(col(AuditEvent.job), col(AuditEvent.leaf)).where(
        col(AuditEvent.job).in_({job for job in jobs if job}),
        col(AuditEvent.tag) == Tag.REQUEST_RECEIVED.value,
    )
    found = ((job, territory_of(read_leaf(leaf))) for job, leaf in session.execute(wanted))
    return {job: place for job, place in found if place}


def _postings(session: Session, rows: Sequence[tuple[int, AuditEvent]]) -> list[dict[str, int]]:
    places = territories(session, [row.job for _, row in rows])
    return [
        {"term": name, "index": index}
        for index, row in rows
        for name in {
            term_name(term)
            for term in terms(read_leaf(row.leaf), places.get(row.job or ""))
            if term[0] is not Field.JOB
        }
    ]


def _note_block(session: Session, start: int, times: Sequence[int]) -> None:
    number, held = divmod(start, BLOCK)
    block = session.get(AuditBlock, number) if held else None
    if block is None:
        block = AuditBlock(number=number, count=0, low_ms=times[0], high_ms=times[0])
    block.count = held + len(times)
    block.low_ms, block.high_ms = min(block.low_ms, *times), max(block.high_ms, *times)
    session.add(block)


def span_bounds(session: Session, since_ms: int | None, until_ms: int | None, size: int) -> tuple[int, int]:
    """Give the narrowest range of blocks, among the first `size` entries, that can hold an entry of the span.

    A clock may have jumped back, so times are not in order; a block outside has no entry of the span.
    """
    if since_ms is None and until_ms is None:
        return 0, size
    wanted = sa.select(sa.func.min(AuditBlock.number), sa.func.max(AuditBlock.number))
    # One row in 1,024 entries is read at the worst; the bound of 0 lets the index do it without the table.
    wanted = wanted.where(col(AuditBlock.high_ms) >= (since_ms or 0))
    if until_ms is not None:
        wanted = wanted.where(col(AuditBlock.low_ms) < until_ms)
    first, last = session.execute(wanted).one()
    return (0, 0) if first is None else (first * BLOCK, min((last + 1) * BLOCK, size))
