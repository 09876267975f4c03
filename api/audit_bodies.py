"""What comes in and goes out where the audit log is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import Moment, Name
from audits.filters import MAX_VALUES, Filter, make_filter, render_cursor
from audits.queries import MAX_LIMIT, Entry, Page
from core.clock import iso
from core.events import Tag
from core.state import State
from core.tables import AuditGrant, SavedQuery

Value = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Values = Annotated[list[Value], Field(max_length=MAX_VALUES)]


class FilterIn(BaseModel):
    """Which entries are meant: those that have one of the values in every field that is given.

    `since` is included and `until` is not. A field that there is not is an error, never ignored.
    """

    model_config = ConfigDict(extra="forbid")

    partner: Values = []
    tag: Annotated[list[Tag], Field(max_length=MAX_VALUES)] = []
    state: Annotated[list[State], Field(max_length=MAX_VALUES)] = []
    rule: Values = []
    category: Values = []
    identity: Values = []
    reviewer: Values = []
    model: Values = []
    policy: Values = []
    job: Values = []
    actor: Values = []
    territory: Values = []
    since: Moment | None = None
    until: Moment | None = None

    def filter(self) -> Filter:
        """Give it as the log is asked; raises BadInput for a span that ends before it begins."""
        fields = {
            name: getattr(self, name) for name in FilterIn.model_fields if name not in {"since", "until"}
        }
        return make_filter(fields, since=self.since, until=self.until)


class PageIn(BaseModel):
    """Which page of an answer: `next` of the one before goes into `cursor`."""

    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[str, Field(max_length=64)] = ""
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 100
    proofs: bool = False
    """Prove each entry; the limit is then 100."""


class EventsIn(FilterIn, PageIn):
    """A question to the log."""


class ExportIn(FilterIn):
    """A question whose whole answer is taken away."""

    form: Literal["jsonl", "csv", "ocsf"] = "jsonl"


class SavedIn(BaseModel):
    """A question to keep."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(max_length=80)]
    filter: FilterIn


class EntryOut(BaseModel):
    """An entry of the log; `leaf` is the text that was hashed, `proof` a C2SP tlog-proof."""

    index: int
    at: str
    tag: str
    actor: str
    partner: str | None
    job: str | None
    identity: str | None
    rule: str | None
    leaf: str
    proof: str | None = None


class AnswerOut(BaseModel):
    """Every entry among [start, end) that matches both `query` and `within`, under the signed `checkpoint`.

    A page may be short, even empty, before the end: `next` goes on. To see that nothing was left out, fetch
    the entry bundles of the range from `/log/` and ask the same of each leaf.
    """

    entries: list[EntryOut]
    start: int
    end: int
    size: int
    next: str | None
    checkpoint: str
    query: dict[str, Any]
    within: dict[str, Any]


class PrivateOut(BaseModel):
    """What an entry keeps private; `commit` in its leaf is the commitment to it, which has been checked."""

    index: int
    commit: str
    private: dict[str, Any]


class SavedOut(BaseModel):
    """A question that is kept."""

    id: str
    name: str
    filter: dict[str, Any]
    created_at: str


class GrantOut(BaseModel):
    """What lets the caller read the log, and until when."""

    id: str
    person: str
    role: str
    scope: dict[str, Any]
    ends_at: str


def entry_out(entry: Entry, proof: str | None = None) -> EntryOut:
    """Show an entry."""
    columns = ("index", "at", "tag", "actor", "partner", "job", "identity", "rule")
    return EntryOut(**{name: getattr(entry, name) for name in columns}, leaf=entry.leaf.decode(), proof=proof)


def answer_out(page: Page, wanted: Filter, within: Filter, proofs: list[str] | None) -> AnswerOut:
    """Show a page; `proofs` are those of its entries, in order."""
    shown: list[str] | list[None] = proofs or [None] * len(page.entries)
    return AnswerOut(
        entries=[entry_out(entry, proof) for entry, proof in zip(page.entries, shown, strict=True)],
        start=page.start,
        end=page.end,
        size=page.size,
        next=None if page.after is None else render_cursor(page.after, wanted),
        checkpoint=page.note,
        query=wanted.json(),
        within=within.json(),
    )


def saved_out(row: SavedQuery) -> SavedOut:
    """Show a kept question to its owner."""
    return SavedOut(id=row.id, name=row.name, filter=row.filter, created_at=iso(row.created_ms))


def grant_out(row: AuditGrant) -> GrantOut:
    """Show a grant to its holder."""
    return GrantOut(id=row.id, person=row.person, role=row.role, scope=row.scope, ends_at=iso(row.ends_ms))
