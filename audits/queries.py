"""Ask the log what happened. An answer says which contiguous range of the log it looked through.

A filter cannot be proven complete by proofs of its hits alone; the stated range lets an auditor read the same
entries from the public bundles, where the leaves carry the same columns, and filter them again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from core.clock import iso, milliseconds
from core.errors import BadInput
from core.tables import AuditEvent, Job, LogCheckpoint, LogEntry

MAX_LIMIT = 1000
_COLUMNS = ("index", "at", "tag", "actor", "partner", "job", "identity", "rule")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event in the log: its index, its public columns and the leaf bytes they were taken from."""

    index: int
    at_ms: int
    tag: str
    actor: str
    partner: str | None
    job: str | None
    identity: str | None
    rule: str | None
    leaf: bytes

    @property
    def at(self) -> str:
        """The time in ISO 8601, UTC."""
        return iso(self.at_ms)


@dataclass(frozen=True, slots=True)
class Page:
    """Matching entries among the log indexes [start, end); `after` continues, None when the log is at its end."""

    entries: tuple[Entry, ...]
    start: int
    end: int
    after: int | None


def events(
    session: Session,
    *,
    partner: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    tag: str | None = None,
    state: str | None = None,
    rule: str | None = None,
    identity: str | None = None,
    job: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> Page:
    """Find events in log order, from index `after` on.

    `since` is included and `until` is not, both in UTC when they name no zone; `state` is where the event's request stands today. An event that
    the sequencer has not reached yet is not in the answer, nor in the range.
    """
    if not 1 <= limit <= MAX_LIMIT or after < 0:
        raise BadInput(f"a page has 1 to {MAX_LIMIT} events and starts at an index of 0 or more")
    # Read first: an entry that is appended meanwhile is beyond the stated range, never missing from it.
    size = session.execute(sa.select(sa.func.max(col(LogCheckpoint.size)))).scalar_one() or 0
    equals = {"partner": partner, "tag": tag, "rule": rule, "identity": identity, "job": job}
    wanted = (
        sa.select(col(LogEntry.index), AuditEvent)
        .join(AuditEvent, col(AuditEvent.id) == col(LogEntry.event_id))
        .where(col(LogEntry.index) >= after, col(LogEntry.index) < size)
        .where(*(getattr(AuditEvent, name) == value for name, value in equals.items() if value is not None))
        .order_by(col(LogEntry.index))
        .limit(limit)
    )
    if since is not None:
        wanted = wanted.where(col(AuditEvent.at_ms) >= milliseconds(_utc(since)))
    if until is not None:
        wanted = wanted.where(col(AuditEvent.at_ms) < milliseconds(_utc(until)))
    if state is not None:
        wanted = wanted.join(Job, col(Job.id) == col(AuditEvent.job)).where(col(Job.state) == state)
    found = tuple(_entry(index, row) for index, row in session.execute(wanted))
    end = found[-1].index + 1 if len(found) == limit else size
    return Page(found, min(after, size), end, end if end < size else None)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _entry(index: int, row: AuditEvent) -> Entry:
    return Entry(
        index=index,
        at_ms=row.at_ms,
        tag=row.tag,
        actor=row.actor,
        partner=row.partner,
        job=row.job,
        identity=row.identity,
        rule=row.rule,
        leaf=row.leaf,
    )


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Write one object a line: the index, and the leaf exactly as it was hashed."""
    for entry in entries:
        yield f'{{"index":{entry.index},"leaf":{entry.leaf.decode()}}}\n'


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Write a table with a heading; a cell that a spreadsheet would run as a formula is quoted with '."""
    yield _csv_line(_COLUMNS)
    for entry in entries:
        yield _csv_line([_harmless(getattr(entry, name)) for name in _COLUMNS])


def _harmless(cell: Any) -> str:
    text = "" if cell is None else str(cell)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
