"""Time and ids are passed in, so that tests can hold them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Protocol

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Clock(Protocol):
    """Tell the time, aware, in UTC."""

    def now(self) -> datetime:
        """Return the present moment."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the present moment."""
        return datetime.now(UTC)


def milliseconds(moment: datetime) -> int:
    """Count milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def iso(ms: int) -> str:
    """Write milliseconds since 1970 as an ISO 8601 time in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id(prefix: str) -> str:
    """Make an unguessable id such as `clip_3f9k…` (100 random bits, Crockford base 32)."""
    return prefix + "_" + "".join(secrets.choice(_ALPHABET) for _ in range(20))
