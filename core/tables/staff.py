"""The people of the house."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class Reviewer(SQLModel, table=True):
    """A person with a place in the console; `role` is reviewer, auditor, regulator or admin."""

    name: str = Field(primary_key=True)
    password_hash: str
    role: str = "reviewer"


class Pseudonym(SQLModel, table=True):
    """Under which id a person of the house stands in the public log; without the row nobody can tell who it was."""

    name: str = Field(primary_key=True)
    id: str = Field(unique=True)
