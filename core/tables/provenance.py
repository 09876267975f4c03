"""What finds a release again, and the keys that sign and mark."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.tables.columns import ROW_ID, bytes_column, json_column, milliseconds_column


class Manifest(SQLModel, table=True):
    """A manifest store of a clip, kept before release; the newest of a request is the one to hand out."""

    label: str = Field(primary_key=True)
    """Of its active manifest."""
    job: str = Field(foreign_key="job.id", index=True)
    store: bytes = Field(sa_column=bytes_column())
    at_ms: int = milliseconds_column()


class Unstamped(SQLModel, table=True):
    """A clip that was signed without a time stamp, which it is to be given once it is released."""

    job: str = Field(primary_key=True, foreign_key="job.id")
    due_ms: int = Field(sa_type=BigInteger, index=True)
    """When to try next; whoever moves it on has taken the clip."""
    tries: int = 0


class SoftBinding(SQLModel, table=True):
    """What leads from a watermark to a clip: an algorithm and a value, as they stand in the manifest."""

    alg: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    """Base64, as in the manifest and in the C2PA Soft Binding Resolution API."""
    job: str = Field(primary_key=True, foreign_key="job.id", index=True)


class Fingerprint(SQLModel, table=True):
    """What a track of a clip looks or sounds like; rows are only added and taken away, never changed."""

    __table_args__ = (UniqueConstraint("job", "alg"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, sa_column=Column(ROW_ID, primary_key=True, autoincrement=True))
    job: str = Field(foreign_key="job.id")
    alg: str
    data: bytes = Field(sa_column=bytes_column())


class GateKey(SQLModel, table=True):
    """A key that signs or marks: proposed by one admin, made active by another, then retired or revoked.

    The private half is never here: `custody` says where a claim signer's is kept, a mark key's is a file.
    """

    __table_args__ = (
        # Two people to change a key: whoever proposed it cannot have approved it, whatever the code does.
        CheckConstraint("approved_by <> proposed_by", name="gatekey_two_people"),
        CheckConstraint(
            "first OR approved_by IS NOT NULL OR state IN ('proposed', 'revoked')", name="gatekey_approved"
        ),
        Index(
            "gatekey_one_active",
            "kind",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    id: str = Field(primary_key=True)
    """Of a claim signer the SHA-256 of its leaf, of a mark key its public id."""
    kind: str
    """claim or mark"""
    state: str
    """proposed, active, retired or revoked"""
    first: bool = False
    """Found at the first start, with nobody there to approve it."""
    development: bool = False
    serial: str = Field(default="", index=True)
    chain_pem: str = ""
    roots_pem: str = ""
    custody: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    expires_ms: int | None = Field(default=None, sa_type=BigInteger)
    warned: bool = False
    """Whether its coming end was announced."""
    proposed_by: str
    approved_by: str | None = None
    created_ms: int = milliseconds_column()
    active_ms: int | None = Field(default=None, sa_type=BigInteger)
    revoked_ms: int | None = Field(default=None, sa_type=BigInteger)
    """From when on it no longer counts, which may lie before the revocation itself."""
