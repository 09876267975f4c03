"""Requests on their way: what was asked, decided and made, and what is still to be done."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.tables.columns import ROW_ID, json_column, milliseconds_column


class Job(SQLModel, table=True):
    """One request on its way. Every change of `state` is guarded by `state` and `fence`."""

    __table_args__ = (
        Index("job_runnable", "state", "lease_until_ms"),
        Index("job_user", "partner", "user", "created_ms"),
    )

    id: str = Field(primary_key=True)
    partner: str = Field(foreign_key="partner.id", index=True)
    kind: str
    """generation or soundtrack"""
    project: str = ""
    territory: str = ""
    prompt: str
    user: str | None = None
    """For which of the partner's users, as a keyed digest of the id that the partner gave."""
    ask: dict[str, Any] = Field(sa_column=json_column())
    """What was asked: seconds, size, fps, picture, sound, engine, seed, identities, references."""
    state: str = Field(index=True)
    held_at: str | None = None
    """The step that held it: admit or screen."""
    payload: str = Field(unique=True)
    """The 64-bit watermark id, 16 hex digits."""
    fence: int = 0
    lease_until_ms: int = Field(default=0, sa_type=BigInteger)
    holder: str | None = None
    attempts: int = 0
    """Claims of the present step; back to 0 with every step done."""
    cancel: bool = False
    progress: float = 0.0
    problem: str | None = None
    got: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    """What was made: engine identity, snapped sizes, mark notes, sandboxing, development doubles."""
    mezzanine: str | None = None
    marked: str | None = None
    signed: str | None = None
    public: str | None = None
    manifest_label: str | None = Field(default=None, index=True)
    record_event: int | None = Field(default=None, sa_type=BigInteger)
    created_ms: int = milliseconds_column()
    updated_ms: int = milliseconds_column()
    released_ms: int | None = Field(default=None, sa_type=BigInteger)
    forget: bool = False
    """To be erased as soon as it has ended: it names somebody who was erased."""
    cleared_ms: int | None = Field(default=None, sa_type=BigInteger)
    """When its working files were given up."""
    erased_ms: int | None = Field(default=None, sa_type=BigInteger)
    """When its words were erased: the prompt, the facts of its decisions, the reasons of its reviewers."""


class Upload(SQLModel, table=True):
    """A reference or a source video, already decoded once in the sandbox and stored in our own form."""

    id: str = Field(primary_key=True)
    partner: str = Field(foreign_key="partner.id", index=True)
    kind: str
    """picture, voice or video"""
    blob: str
    original: str | None = None
    """The bytes as they came, kept only for videos: their manifest becomes an ingredient."""
    mime: str
    sha256: str
    about: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    created_ms: int = milliseconds_column()


class IdempotencyKey(SQLModel, table=True):
    """A request that must not run twice, with the digest of its body."""

    partner: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_sha256: str
    job: str
    created_ms: int = milliseconds_column()


class Ruling(SQLModel, table=True):
    """A decision of the policy engine as it was made, replayable from its facts."""

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True, autoincrement=True))
    job: str = Field(foreign_key="job.id", index=True)
    stage: str
    outcome: str
    decision: dict[str, Any] = Field(sa_column=json_column())
    at_ms: int = milliseconds_column()


class Review(SQLModel, table=True):
    """What one person decided on one hold; the gravest rules need two different people."""

    __table_args__ = (UniqueConstraint("job", "ruling", "reviewer"),)

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True, autoincrement=True))
    job: str = Field(foreign_key="job.id", index=True)
    ruling: int = Field(sa_type=BigInteger)
    reviewer: str
    approve: bool
    reason: str
    at_ms: int = milliseconds_column()


class Outbox(SQLModel, table=True):
    """Hints to be sent to the queue; losing or doubling one is harmless."""

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True, autoincrement=True))
    job: str
    at_ms: int = milliseconds_column()


class Leftover(SQLModel, table=True):
    """What a committed erasure has still to destroy outside this database; gone when no trace is left."""

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True, autoincrement=True))
    kind: str
    """key, or the room of a file or folder: private or public"""
    name: str


class LegalHold(SQLModel, table=True):
    """A named reason to keep what concerns a request, a partner or a person, whatever the deadlines say."""

    name: str = Field(primary_key=True)
    subject: str = Field(primary_key=True, index=True)
    at_ms: int = milliseconds_column()
