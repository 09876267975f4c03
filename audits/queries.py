"""Ask the log what happened. An answer says which contiguous range of the log it looked through.

A filter cannot be proven complete by proofs of its hits alone; the stated range lets an auditor read the same
entries from the public bundles, where the leaves carry the same values, and filter them again: that is
`audits/answer.py`. The work of a page is bounded, so a page may end before it is full, even empty. Its range
says so, and `after` goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from audits.filters import EVERYTHING, Filter
from audits.index import entry_rows, indexed, span_bounds, term_name, territories
from audits.terms import Field, read_leaf, terms
from core.clock import iso
from core.errors import BadInput
from core.tables import AuditEvent, AuditPosting, LogCheckpoint, LogEntry

MAX_LIMIT = 1000
SCAN = 2048
"""Entries of the rarest value that one round looks at; then the next round, then the next page."""
_ROUNDS = 4
_AT_LEAST = 64
_UNINDEXED = 1024


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
class Head:
    """The signed checkpoint `note` over the first `size` entries, under which a question is answered."""

    size: int
    note: str


@dataclass(frozen=True, slots=True)
class Page:
    """All matching entries among the log indexes [start, end), under the signed checkpoint `note`.

    `after` is where the next page starts, None when this one reaches the end of what the checkpoint covers.
    `note` is empty while nothing has been signed.
    """

    entries: tuple[Entry, ...]
    start: int
    end: int
    after: int | None
    size: int
    note: str


def events(
    session: Session,
    wanted: Filter,
    *,
    within: Filter = EVERYTHING,
    after: int = 0,
    limit: int = 100,
    head: Head | None = None,
) -> Page:
    """Find the entries that `wanted` and `within` both let through, in log order, from index `after` on.

    `within` is what the asker may see at all, `head` a public checkpoint, or else the database's newest. An
    event that it does not cover yet is neither in the answer nor in the range.
    """
    if not 1 <= limit <= MAX_LIMIT or after < 0:
        raise BadInput(f"a page has 1 to {MAX_LIMIT} events and starts at an index of 0 or more")
    # Read first: an entry that is appended meanwhile is beyond the stated range, never missing from it.
    head = head or _newest(session)
    search = _Search(session, (wanted, within), limit, head.size)
    start = min(after, head.size)
    end = search.through_index(start)
    if end is None:
        end = search.through_rest(start)
    return Page(tuple(search.found), start, end, end if end < head.size else None, head.size, head.note)


def _newest(session: Session) -> Head:
    row = session.exec(select(LogCheckpoint).order_by(col(LogCheckpoint.size).desc()).limit(1)).first()
    return Head(row.size, row.note) if row else Head(0, "")


def all_events(session: Session, wanted: Filter, *, within: Filter = EVERYTHING) -> Iterator[Entry]:
    """Give every entry that matches, page by page, up to the newest checkpoint."""
    after: int | None = 0
    while after is not None:
        page = events(session, wanted, within=within, after=after, limit=MAX_LIMIT)
        yield from page.entries
        after = page.after


class _Search:
    """One page in the making: what was found, and how far."""

    def __init__(self, session: Session, filters: Sequence[Filter], limit: int, size: int) -> None:
        self.session, self.filters, self.limit, self.size = session, filters, limit, size
        self.indexed = min(indexed(session), size)
        self.clauses = [_Clause(name, values) for wanted in filters for name, values in wanted.values.items()]
        self.found: list[Entry] = []

    def through_index(self, start: int) -> int | None:
        """Look through the indexed entries and return where the page ends, or None for "go on behind them"."""
        low, high = start, self.indexed
        for wanted in self.filters:
            first, last = span_bounds(self.session, wanted.since_ms, wanted.until_ms, self.indexed)
            low, high = max(low, first), min(high, last)
        for _ in range(_ROUNDS):
            if low >= high:
                return None
            picked, low = self._pick(low, high)
            if self._take(_rows(self.session, picked)):
                return self.found[-1].index + 1
        return None if low >= high else low

    def through_rest(self, start: int) -> int:
        """Look through the entries that the index has not reached, and return where the page ends."""
        start = max(start, self.indexed)
        end = min(self.size, start + _UNINDEXED)
        full = self._take(entry_rows(self.session, start, end))
        return self.found[-1].index + 1 if full else end

    def _pick(self, low: int, high: int) -> tuple[list[int], int]:
        """Choose the next entries that can match, and say up to where they are all there are."""
        many = max(self.limit - len(self.found), _AT_LEAST)
        if not self.clauses:
            end = min(low + many, high)
            return list(range(low, end)), end
        rarest, horizon = self._rarest(low, high)
        others = [clause for n, clause in enumerate(self.clauses) if n != rarest]
        wanted = self.clauses[rarest].entries(low, horizon)
        at = wanted.selected_columns[0]
        wanted = wanted.where(*(clause.holds(at) for clause in others)).distinct().order_by(at).limit(many)
        picked = list(self.session.execute(wanted).scalars())
        return picked, picked[-1] + 1 if len(picked) == many else horizon

    def _rarest(self, low: int, high: int) -> tuple[int, int]:
        """Choose the clause that the fewest entries have from here on, and up to where to follow it."""
        if len(self.clauses) == 1 and self.clauses[0].is_ordered:
            return 0, high
        reaches = [clause.reach(self.session, low, high) for clause in self.clauses]
        rarest = max(range(len(reaches)), key=lambda n: (reaches[n][0], -reaches[n][1]))
        return rarest, reaches[rarest][0]

    def _take(self, rows: Sequence[tuple[int, AuditEvent]]) -> bool:
        """Keep the rows that match, up to a full page; answer whether it is full."""
        by_place = any(Field.TERRITORY in wanted.values for wanted in self.filters)
        places = territories(self.session, [row.job for _, row in rows]) if by_place else {}
        for index, row in rows:
            said = terms(read_leaf(row.leaf), places.get(row.job or ""))
            if all(wanted.matches(row.at_ms, said) for wanted in self.filters):
                self.found.append(_entry(index, row))
                if len(self.found) == self.limit:
                    return True
        return False


class _Clause:
    """One field of a filter: an entry must have one of its values."""

    def __init__(self, name: Field, values: Sequence[str]) -> None:
        self.values = list(values)
        self.names = None if name is Field.JOB else [term_name((name, value)) for value in values]

    @property
    def is_ordered(self) -> bool:
        """Whether the index gives its entries in order, so that a limit bounds the work."""
        return self.names is not None and len(self.names) == 1

    def entries(self, low: int, high: int) -> Any:
        """Select the indexes within [low, high) of entries that have it."""
        if self.names is None:
            at, has = col(LogEntry.index), col(AuditEvent.job).in_(self.values)
            wanted = sa.select(at).join(AuditEvent, col(AuditEvent.id) == col(LogEntry.event_id)).where(has)
        else:
            at, has = col(AuditPosting.index), col(AuditPosting.term).in_(self.names)
            wanted = sa.select(at).where(has)
        return wanted.where(at >= low, at < high)

    def holds(self, at: Any) -> Any:
        """Say that the entry with the index `at` has it."""
        if self.names is None:
            entry, event = aliased(LogEntry), aliased(AuditEvent)
            joined = sa.select(sa.literal(1)).join_from(entry, event, col(event.id) == col(entry.event_id))
            return joined.where(col(entry.index) == at, col(event.job).in_(self.values)).exists()
        posting = aliased(AuditPosting)
        has = col(posting.term).in_(self.names)
        return sa.select(sa.literal(1)).where(has, col(posting.index) == at).exists()

    def reach(self, session: Session, low: int, high: int) -> tuple[int, int]:
        """Say how far the next entries with it go, and how many those are: about `SCAN` or all up to `high`."""
        if self.names is None:
            return high, session.execute(
                sa.select(sa.func.count()).select_from(self.entries(low, high).subquery())
            ).scalar_one()
        each = max(SCAN // len(self.names), _AT_LEAST)
        parts = [_first(name, low, high, each) for name in self.names]
        counts = session.execute(sa.union_all(*parts)).all()
        ends = [last + 1 for count, last in counts if count == each]
        return min([high, *ends]), sum(count for count, _ in counts)


def _first(name: int, low: int, high: int, many: int) -> Any:
    at = col(AuditPosting.index)
    listed = (
        sa.select(at).where(col(AuditPosting.term) == name, at >= low, at < high).order_by(at).limit(many)
    )
    part = listed.subquery()
    return sa.select(sa.func.count(), sa.func.max(part.c["index"])).select_from(part)


def _rows(session: Session, picked: Iterable[int]) -> list[tuple[int, AuditEvent]]:
    wanted = (
        sa.select(col(LogEntry.index), AuditEvent)
        .join(AuditEvent, col(AuditEvent.id) == col(LogEntry.event_id))
        .where(col(LogEntry.index).in_(list(picked)))
        .order_by(col(LogEntry.index))
    )
    return [(index, row) for index, row in session.execute(wanted)]


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
