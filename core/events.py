"""What happened: an event becomes a row in the business transaction, and later a public leaf of the log.

The leaf is canonical JSON, built once, here; everybody else hashes the stored bytes. It says what happened
to which ids and digests. What says who a person is (names, prompts, reasons) is sealed under the subject's key,
and the leaf carries only a commitment to it: HMAC-SHA256 under 32 random bytes that are sealed with it.
Destroying the key makes both unreadable and the commitment meaningless, while every proof still verifies.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from core.clock import Clock, milliseconds, new_id
from core.errors import BadInput, KeyMissing, LogCorrupt, NotFound
from core.facts import MAX_INTEGER
from core.schema import COLUMNS, VERSION, VERSIONS, Tag, problems
from core.tables import AuditEvent, Pseudonym
from core.vault import Vault

__all__ = [
    "MAX_LEAF",
    "Event",
    "Leaf",
    "Tag",
    "canonical",
    "commitment",
    "opened",
    "parse",
    "pseudonym",
    "record",
    "render",
]
MAX_LEAF = 65_535
_PEOPLE = frozenset({"reviewer", "auditor", "regulator", "admin"})
_SALT_BYTES = 32
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    `actor` is who did it: `partner:ID`, `worker:ID`, `operator`, `system`, or a person of the house by role and
    name, such as `reviewer:NAME`: the log shows the name's pseudonym (see `pseudonym`).
    `facts` become public, and are exactly those that `core.schema` declares for the tag; anything else raises
    BadInput when it is recorded. `private` (names, prompts, reasons) is sealed under its subject's key.
    """

    tag: Tag
    actor: str
    partner: str | None = None
    job: str | None = None
    identity: str | None = None
    rule: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    private: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What a leaf says; `v` is the version of the schema that it was written under."""

    v: int
    at_ms: int
    tag: str
    actor: str
    partner: str | None = None
    job: str | None = None
    identity: str | None = None
    rule: str | None = None
    commit: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def record(session: Session, event: Event, clock: Clock, vault: Vault | None = None) -> AuditEvent:
    """Add the event to the caller's transaction and return its row, with its id, without committing.

    An event with a private part needs the vault. Raises BadInput when the leaf is not what `core.schema`
    declares or is too large; the caller's transaction then rolls back, so that nothing happens which the log
    cannot hold.
    """
    at_ms = milliseconds(clock.now())
    columns = {name: getattr(event, name) for name in ("partner", "job", "identity", "rule")}
    columns["actor"] = _actor(session, event.actor)
    payload = _payload(event.private) if event.private else None
    leaf = Leaf(
        v=VERSION,
        at_ms=at_ms,
        tag=Tag(event.tag).value,
        commit=commitment(payload) if payload else None,
        facts=event.facts,
        **columns,
    )
    _refuse_undeclared(leaf)
    row = AuditEvent(at_ms=at_ms, tag=leaf.tag, leaf=render(leaf), **columns)
    if payload:
        row.subject, kind = _subject(event)
        row.sealed = _needed(vault).seal(row.subject, payload, about=_about(leaf), kind=kind, now_ms=at_ms)
    session.add(row)
    session.flush()
    return row


def opened(row: AuditEvent, vault: Vault) -> dict[str, Any]:
    """Decrypt an event's private part and check it against the commitment in its leaf.

    NotFound when it never had one, KeyMissing when its subject was erased, LogCorrupt when they disagree.
    """
    leaf = parse(row.leaf)
    if row.subject is None or row.sealed is None:
        raise NotFound("This event has no private part.")
    payload = vault.open(row.subject, row.sealed, about=_about(leaf))
    if commitment(payload) != leaf.commit:
        raise LogCorrupt("The private part is not the one that the log was given a commitment to.")
    private: dict[str, Any] = json.loads(payload)["private"]
    return private


def commitment(payload: bytes) -> str:
    """Give the commitment (hex) to a payload: HMAC-SHA256 of its private part under its salt."""
    said = json.loads(payload)
    return hmac.new(bytes.fromhex(said["salt"]), canonical(said["private"]), hashlib.sha256).hexdigest()


def pseudonym(session: Session, name: str) -> str | None:
    """Give the id under which a person of the house stands in the log, or None before their first event."""
    known = session.get(Pseudonym, name)
    return known.id if known else None


def _actor(session: Session, actor: str) -> str:
    """Give the actor as the log shows them: a person of the house by pseudonym, made at their first event.

    It is random: whoever deletes the row makes them anonymous in every entry there is.
    """
    role, _, name = actor.partition(":")
    if role not in _PEOPLE or not name:
        return actor
    return f"{role}:{pseudonym(session, name) or _named(session, name)}"


def _named(session: Session, name: str) -> str:
    try:
        with session.begin_nested():
            session.add(made := Pseudonym(name=name, id=new_id("staff")))
    except IntegrityError:
        # Their first two events came at once; the other one's id counts.
        return session.get_one(Pseudonym, name, populate_existing=True).id
    return made.id


def _payload(private: Mapping[str, Any]) -> bytes:
    return canonical({"private": dict(private), "salt": secrets.token_hex(_SALT_BYTES)})


def _subject(event: Event) -> tuple[str, str]:
    """Name whose key the private part is under: the person's, else the request's, else the event's own."""
    if event.identity:
        return event.identity, "person"
    if event.job:
        return event.job, "request"
    noun = event.tag.partition(":")[0]
    return new_id(noun), noun


def _about(leaf: Leaf) -> str:
    """Say what a sealed payload is bound to beside its subject: the purpose, the schema's version, the tenant."""
    return f"event|{leaf.v}|{leaf.partner or ''}"


def _needed(vault: Vault | None) -> Vault:
    if vault is None:
        raise KeyMissing("An event with a private part cannot be recorded without the vault.")
    return vault


def render(leaf: Leaf) -> bytes:
    """Write a leaf as canonical JSON; what is empty is left out."""
    said = {name: value for name in Leaf.__slots__ if (value := getattr(leaf, name)) not in (None, {})}
    data = canonical(said)
    if len(data) > MAX_LEAF:
        raise BadInput(f"an event of {len(data)} bytes is larger than a leaf may be ({MAX_LEAF})")
    return data


def parse(data: bytes) -> Leaf:
    """Read what `render` wrote, under whichever version of the schema; anything else is BadInput."""
    try:
        said = json.loads(data)
        leaf = Leaf(**said)
        if leaf.v not in VERSIONS or render(leaf) != data:
            raise BadInput("these bytes are no leaf of a known version")
        _refuse_undeclared(leaf)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInput("these bytes are no leaf") from error
    return leaf


def _refuse_undeclared(leaf: Leaf) -> None:
    columns = {name: getattr(leaf, name) for name in COLUMNS}
    found = problems(leaf.v, leaf.tag, columns, leaf.facts)
    if found:
        raise BadInput(f"{leaf.tag}: {'; '.join(found[:_SHOWN])}")


def canonical(value: Any) -> bytes:
    """Write JSON with sorted keys, no spaces and UTF-8; anything but strings, integers, lists and objects is BadInput."""
    _refuse_inexact(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadInput("an event holds text that is not Unicode") from error


def _refuse_inexact(value: Any) -> None:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise BadInput("an event's keys are strings")
        for item in value.values():
            _refuse_inexact(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_inexact(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > MAX_INTEGER:
            raise BadInput("an event's integers stay within 2^53")
    elif not isinstance(value, str):
        raise BadInput(f"an event holds strings and integers only, not {type(value).__name__}")
