"""Protected people: their templates, sealed, and what they consented to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from core.tables.columns import ROW_ID, bytes_column, json_column, milliseconds_column


class Identity(SQLModel, table=True):
    """A protected person, known by an id; the name is for people, never for files."""

    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    aliases: list[str] = Field(default_factory=list, sa_column=json_column())
    registered_by: str = ""
    """The partner who registered them and may grant itself consents; empty: the operator alone grants."""
    created_ms: int = milliseconds_column()
    erased: bool = False


class SubjectKey(SQLModel, table=True):
    """A subject's own key, wrapped by the installation's; deleting this row erases the subject.

    On the embedded default the rows are in a database file of their own.
    """

    subject: str = Field(primary_key=True)
    kind: str
    """person, request, or for an event about neither the noun of its tag"""
    wrapped: bytes = Field(sa_column=bytes_column())
    created_ms: int = milliseconds_column()


class Template(SQLModel, table=True):
    """Biometric vectors of one person and kind, encrypted under that person's key."""

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True, autoincrement=True))
    identity: str = Field(foreign_key="identity.id", index=True)
    kind: str
    """likeness or voice"""
    tier: str
    sealed: bytes = Field(sa_column=bytes_column())
    uploads: list[str] = Field(default_factory=list, sa_column=json_column())
    """The references it was made of, where an older version left them; they go when the person is erased."""
    created_ms: int = milliseconds_column()


class KeptReference(SQLModel, table=True):
    """A reference that was kept on purpose, so that reviewers can compare: reduced, and sealed under the person's key."""

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True, autoincrement=True))
    identity: str = Field(foreign_key="identity.id", index=True)
    kind: str
    """likeness (a JPEG) or voice (a WAV)"""
    sealed: bytes = Field(sa_column=bytes_column())
    created_ms: int = milliseconds_column()


class VoiceProof(SQLModel, table=True):
    """A phrase that somebody was to say so as to prove that a voice is their own, and what came of it."""

    id: str = Field(primary_key=True)
    identity: str = Field(foreign_key="identity.id", index=True)
    phrase: str
    issued_ms: int = milliseconds_column()
    expires_ms: int = milliseconds_column()
    used_ms: int | None = Field(default=None, sa_type=BigInteger)
    """When a recording was given for it; there is one chance."""
    passed: bool | None = None
    result: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())


class GalleryState(SQLModel, table=True):
    """How often the templates of one kind have changed, and how many there are; workers compare both with theirs."""

    kind: str = Field(primary_key=True)
    """likeness or voice"""
    version: int = Field(sa_type=BigInteger)
    templates: int = Field(sa_type=BigInteger)


class GalleryChange(SQLModel, table=True):
    """Whose templates a version changed: a worker that knows an older one reads these people again."""

    kind: str = Field(primary_key=True)
    version: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    identity: str


class Consent(SQLModel, table=True):
    """A grant: who may show or voice whom, for what, where, until when. Empty `project` or `territory` = any."""

    id: str = Field(primary_key=True)
    identity: str = Field(foreign_key="identity.id", index=True)
    partner: str = Field(foreign_key="partner.id", index=True)
    likeness: bool = False
    voice: bool = False
    project: str = ""
    territory: str = ""
    starts_ms: int = milliseconds_column()
    ends_ms: int = milliseconds_column()
    evidence_sha256: str = ""
    revoked_ms: int | None = Field(default=None, sa_type=BigInteger)


class ConsentUse(SQLModel, table=True):
    """Which request rested on which grant, so that a revocation finds them all."""

    consent: str = Field(primary_key=True, foreign_key="consent.id")
    job: str = Field(primary_key=True, foreign_key="job.id")
