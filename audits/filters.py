"""A question to the log, as a value that can be checked, stored, hashed and asked again of any leaf."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from audits.terms import Field, Term
from core.clock import milliseconds
from core.errors import BadInput
from core.events import Tag, canonical
from core.state import State

MAX_VALUES = 64
_MAX_MS = 2**53 - 1
_VALUE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_CLOSED: Mapping[Field, frozenset[str]] = {
    Field.TAG: frozenset(Tag),
    Field.STATE: frozenset(State),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Entries whose every named field has one of its values, from `since_ms` (included) to `until_ms` (not).

    Times are milliseconds since 1970, UTC. The empty filter lets everything through. Raises BadInput on a
    value that no leaf can have, too many of them, or a span that ends before it begins.
    """

    values: Mapping[Field, tuple[str, ...]] = field(default_factory=dict)
    since_ms: int | None = None
    until_ms: int | None = None

    def __post_init__(self) -> None:
        for name, values in self.values.items():
            _check_values(name, values)
        for moment in (self.since_ms, self.until_ms):
            if moment is not None and not 0 <= moment <= _MAX_MS:
                raise BadInput("a time lies between 1970 and the year 285,000")
        if self.since_ms is not None and self.until_ms is not None and self.since_ms >= self.until_ms:
            raise BadInput("the span ends before it begins")
        ordered = {name: tuple(sorted(set(self.values[name]))) for name in sorted(self.values)}
        object.__setattr__(self, "values", MappingProxyType(ordered))

    def matches(self, at_ms: int, terms: frozenset[Term]) -> bool:
        """Tell whether an entry of this time and with these terms is asked for."""
        if self.since_ms is not None and at_ms < self.since_ms:
            return False
        if self.until_ms is not None and at_ms >= self.until_ms:
            return False
        return all(any((name, value) in terms for value in self.values[name]) for name in self.values)

    def json(self) -> dict[str, Any]:
        """Give the filter as the JSON object that `parse_filter` reads."""
        said: dict[str, Any] = {str(name): list(values) for name, values in self.values.items()}
        span = {"since_ms": self.since_ms, "until_ms": self.until_ms}
        return said | {name: moment for name, moment in span.items() if moment is not None}

    @property
    def sha256(self) -> str:
        """The digest under which a question stands in the log without saying what was asked."""
        return hashlib.sha256(canonical(self.json())).hexdigest()


EVERYTHING = Filter()


def _check_values(name: Field, values: Sequence[str]) -> None:
    if not 1 <= len(values) <= MAX_VALUES:
        raise BadInput(f"{name} takes 1 to {MAX_VALUES} values")
    for value in values:
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise BadInput(f"{name} is plain text of up to 255 characters")
        if name in _CLOSED and value not in _CLOSED[name]:
            raise BadInput(f"there is no {name} {value!r}")


def make_filter(
    fields: Mapping[str, Iterable[str] | None],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Filter:
    """Make a filter of what came with a request: fields that name nothing are left out; a time without a zone is UTC."""
    return parse_filter(
        {name: list(values) for name, values in fields.items() if values}
        | {name: _ms(at) for name, at in (("since_ms", since), ("until_ms", until)) if at is not None}
    )


def parse_filter(said: Any) -> Filter:
    """Read what `Filter.json` gave; anything else is BadInput."""
    if not isinstance(said, dict):
        raise BadInput("a filter is an object")
    span = {name: said[name] for name in ("since_ms", "until_ms") if name in said}
    fields = {name: values for name, values in said.items() if name not in span}
    if not all(type(moment) is int for moment in span.values()):
        raise BadInput("a time is a whole number of milliseconds")
    if unknown := sorted(set(fields) - set(Field)):
        raise BadInput(f"the log is not searched by {unknown[0][:40]!r}")
    if not all(isinstance(values, list) for values in fields.values()):
        raise BadInput("a field of a filter is a list of values")
    return Filter(values={Field(name): tuple(values) for name, values in fields.items()}, **span)


def _ms(moment: datetime) -> int:
    return milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def render_cursor(after: int, wanted: Filter) -> str:
    """Write where a question goes on.

    A cursor opens nothing: what its bearer may see is looked up anew with every page, and each page says which
    range it covers. So it needs no secret, only a seal that tells a damaged or a foreign one.
    """
    return base64.urlsafe_b64encode(after.to_bytes(8, "big") + _seal(after, wanted)).decode().rstrip("=")


def parse_cursor(cursor: str, wanted: Filter) -> int:
    """Read where a question goes on; BadInput when the cursor is damaged or belongs to another question."""
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    after = int.from_bytes(data[:8], "big")
    if len(data) != 24 or data[8:] != _seal(after, wanted) or render_cursor(after, wanted) != cursor:
        raise BadInput("this cursor does not belong to this question")
    return after


def _seal(after: int, wanted: Filter) -> bytes:
    return hashlib.sha256(f"cursor/v1\n{after}\n{wanted.sha256}".encode()).digest()[:16]
