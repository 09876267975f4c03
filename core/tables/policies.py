"""The life of a policy."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from core.tables.columns import bytes_column, milliseconds_column


class PolicyFile(SQLModel, table=True):
    """A policy pack, an overlay or an election as it was written: added by one admin, made active by another.

    A row stays for ever, so that every decision can be made again under what made it.
    """

    __table_args__ = (
        CheckConstraint("approved_by <> added_by", name="policyfile_two_people"),
        CheckConstraint(
            "state IN ('kept', 'draft', 'shadow', 'withdrawn') OR approved_by IS NOT NULL",
            name="policyfile_approved",
        ),
        CheckConstraint("ended_by IS NULL OR ended_by <> ending_by", name="policyfile_two_people_end"),
        Index(
            "policyfile_one_active",
            "kind",
            "slot",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
        Index(
            "policyfile_one_shadow",
            "kind",
            unique=True,
            sqlite_where=text("state = 'shadow'"),
            postgresql_where=text("state = 'shadow'"),
        ),
    )

    sha256: str = Field(primary_key=True)
    kind: str
    """pack, overlay or election"""
    name: str
    version: str
    slot: str = ""
    """Of which only one can be active: "" for packs, the name for the others."""
    content: bytes = Field(sa_column=bytes_column())
    state: str = Field(index=True)
    """kept (of the installation's own file), draft, shadow, active, retired, withdrawn"""
    starts_ms: int | None = Field(default=None, sa_type=BigInteger)
    ends_ms: int | None = Field(default=None, sa_type=BigInteger)
    announced: str = ""
    """Of an election: "", started or ended."""
    added_by: str
    approved_by: str | None = None
    ending_by: str | None = None
    """Who proposed that an overlay or election ends before its time."""
    ended_by: str | None = None
    before: str | None = None
    """The pack that was active until this one was."""
    created_ms: int = milliseconds_column()
    active_ms: int | None = Field(default=None, sa_type=BigInteger)
