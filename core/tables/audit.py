"""The audit log, who may read it, and what the preemptive suites found."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.tables.columns import ROW_ID, bytes_column, json_column, milliseconds_column, transaction


class AuditEvent(SQLModel, table=True):
    """What happened, written in the transaction that made it happen. `leaf` goes into the log as it is."""

    __table_args__ = (
        Index("auditevent_horizon", "xid", "id").ddl_if(dialect="postgresql"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True, autoincrement=True))
    xid: int | None = Field(
        default=None, sa_column=Column(BigInteger, nullable=False, server_default=transaction())
    )
    """On PostgreSQL the number of the transaction that wrote it; see audits/log/horizon.py."""
    at_ms: int = milliseconds_column()
    tag: str
    partner: str | None = None
    job: str | None = Field(default=None, index=True)
    identity: str | None = None
    rule: str | None = None
    actor: str
    leaf: bytes = Field(sa_column=bytes_column())
    subject: str | None = None
    """Under whose key `sealed` is."""
    sealed: bytes | None = None
    """The private part with its salt, encrypted; the leaf holds a commitment to it."""


class AuditPosting(SQLModel, table=True):
    """That the log entry `index` has a searched value, whose 64-bit name is `term`; see audits/index.py."""

    __table_args__ = ({"sqlite_with_rowid": False},)

    term: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    index: int = Field(sa_column=Column("index", BigInteger, primary_key=True, autoincrement=False))


class AuditBlock(SQLModel, table=True):
    """The earliest and the latest time among 1,024 log entries, of which `count` are searchable so far."""

    __table_args__ = (Index("audit_block_span", "high_ms", "low_ms", "number"),)

    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    count: int
    low_ms: int = milliseconds_column()
    high_ms: int = milliseconds_column()


class AuditGrant(SQLModel, table=True):
    """What an auditor or a regulator may read, until when, and which two admins let them.

    The constraints are the four eyes: nobody approves what they proposed, and nobody lets themselves in.
    """

    __table_args__ = (
        CheckConstraint("approved_by <> proposed_by", name="auditgrant_two_people"),
        CheckConstraint("person <> proposed_by AND person <> approved_by", name="auditgrant_not_oneself"),
        CheckConstraint("state <> 'active' OR approved_by IS NOT NULL", name="auditgrant_approved"),
        Index(
            "auditgrant_one_a_person",
            "person",
            unique=True,
            sqlite_where=text("state IN ('proposed', 'active')"),
            postgresql_where=text("state IN ('proposed', 'active')"),
        ),
    )

    id: str = Field(primary_key=True)
    person: str = Field(foreign_key="reviewer.name")
    role: str
    """auditor: everything; regulator: what `scope` lets through"""
    scope: dict[str, Any] = Field(sa_column=json_column())
    ends_ms: int = milliseconds_column()
    state: str = "proposed"
    """proposed, active, revoked or expired"""
    reason: str
    proposed_by: str = Field(foreign_key="reviewer.name")
    approved_by: str | None = Field(default=None, foreign_key="reviewer.name")
    created_ms: int = milliseconds_column()
    secret_hash: str | None = None
    """argon2 of the bearer token that its holder made last"""


class SavedQuery(SQLModel, table=True):
    """A question that somebody wants to ask again; `owner` is an actor."""

    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: str = Field(primary_key=True)
    owner: str
    name: str
    filter: dict[str, Any] = Field(sa_column=json_column())
    created_ms: int = milliseconds_column()


class LogEntry(SQLModel, table=True):
    """Which event is which leaf of the log."""

    index: int = Field(sa_column=Column("index", BigInteger, primary_key=True, autoincrement=False))
    event_id: int = Field(sa_type=BigInteger, unique=True)
    leaf_hash: bytes = Field(sa_column=bytes_column())


class LogCheckpoint(SQLModel, table=True):
    """A signed tree head; inserting the row is the log's commit point."""

    size: int = Field(sa_column=Column("size", BigInteger, primary_key=True, autoincrement=False))
    root: bytes = Field(sa_column=bytes_column())
    note: str
    at_ms: int = milliseconds_column()


class AuditRun(SQLModel, table=True):
    """One run of a preemptive suite; `subject` is the digest of the code, pack and models that it tested."""

    __table_args__ = (Index("auditrun_newest", "suite", "at_ms"),)

    id: str = Field(primary_key=True)
    suite: str
    quick: bool
    subject: str
    passed: bool
    result: str
    """As `audits.preemptive.result.SuiteResult.json` wrote it."""
    at_ms: int = milliseconds_column()
