"""Studios, their keys, and how their users stand."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from core.tables.columns import milliseconds_column


class Partner(SQLModel, table=True):
    """A studio. Its quota is requests a minute and unfinished requests at once."""

    id: str = Field(primary_key=True)
    name: str
    per_minute: int = 60
    at_once: int = 20
    created_ms: int = milliseconds_column()


class ApiKey(SQLModel, table=True):
    """A partner's key: only its argon2 hash is kept; `id` is the public half that finds it."""

    id: str = Field(primary_key=True)
    partner: str = Field(foreign_key="partner.id", index=True)
    secret_hash: str
    created_ms: int = milliseconds_column()
    revoked: bool = False


class EndUser(SQLModel, table=True):
    """A partner's user who has strikes: what was last announced of them, and their appeal."""

    partner: str = Field(primary_key=True, foreign_key="partner.id")
    user: str = Field(primary_key=True)
    level: str = "none"
    appealed_ms: int | None = Field(default=None, sa_type=BigInteger)
    updated_ms: int = milliseconds_column()


class Strike(SQLModel, table=True):
    """What one refused request of a partner's user costs them; a request gives one at most."""

    __table_args__ = (Index("strike_user", "partner", "user", "expires_ms"),)

    job: str = Field(primary_key=True, foreign_key="job.id")
    partner: str = Field(foreign_key="partner.id")
    user: str
    """A keyed digest of the id that the partner uses."""
    category: str
    weight: int
    """In thousandths."""
    at_ms: int = milliseconds_column()
    expires_ms: int = Field(sa_type=BigInteger, index=True)
    lifted_ms: int | None = Field(default=None, sa_type=BigInteger)
