"""What happened: an event becomes a row in the business transaction, and later a public leaf of the log.

The leaf is canonical JSON, built once, here; everybody else hashes the stored bytes. It says what happened
to which ids and digests. What says who a person is goes to the row's private `detail`, and the leaf carries
only a commitment to it: HMAC-SHA256 under 32 random bytes that are kept with the detail. Deleting both makes
the commitment meaningless while every proof still verifies.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlmodel import Session

from core.clock import Clock, milliseconds
from core.errors import BadInput
from core.tables import AuditEvent

VERSION = 1
MAX_LEAF = 65_535
# Integers that every JSON reader keeps exact (I-JSON, RFC 7493).
_MAX_INTEGER = 2**53 - 1


class Tag(StrEnum):
    """The closed set of things that happen, as `noun:verb`."""

    REQUEST_RECEIVED = "request:received"
    POLICY_DECIDED = "policy:decided"
    POLICY_PRECHECK = "policy:precheck"
    CLIP_GENERATED = "clip:generated"
    CLIP_HELD = "clip:held"
    CLIP_CLEARED = "clip:cleared"
    CLIP_MARKED = "clip:marked"
    CLIP_SIGNED = "clip:signed"
    CLIP_RECORDED = "clip:recorded"
    CLIP_RELEASED = "clip:released"
    CLIP_REJECTED = "clip:rejected"
    CLIP_REFUSED = "clip:refused"
    CLIP_CANCELLED = "clip:cancelled"
    CLIP_FAILED = "clip:failed"
    CLIP_WITHDRAWN = "clip:withdrawn"
    REVIEW_DECIDED = "review:decided"
    CONSENT_GRANTED = "consent:granted"
    CONSENT_REVOKED = "consent:revoked"
    IDENTITY_ENROLLED = "identity:enrolled"
    IDENTITY_ERASED = "identity:erased"
    AUDIT_QUERIED = "audit:queried"
    AUDIT_RAN = "audit:ran"
    KEY_CREATED = "key:created"
    JOB_RECLAIMED = "job:reclaimed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    `actor` is who did it: `partner:ID`, `reviewer:ID`, `worker:ID` or `system`, an id and never a name.
    `facts` become public: ids, digests, tags, rule ids and integers (scores in parts per 10,000), in objects
    and lists; a float raises BadInput when it is recorded. `private` never leaves the database: names, prompts, reasons.
    """

    tag: Tag
    actor: str
    partner: str | None = None
    job: str | None = None
    identity: str | None = None
    rule: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    private: Mapping[str, Any] = field(default_factory=dict)


def record(session: Session, event: Event, clock: Clock) -> AuditEvent:
    """Add the event to the caller's transaction and return its row, with its id, without committing."""
    at_ms = milliseconds(clock.now())
    detail = _detail(event.private, secrets.token_bytes(32)) if event.private else "{}"
    row = AuditEvent(
        at_ms=at_ms,
        tag=Tag(event.tag).value,
        actor=event.actor,
        partner=event.partner,
        job=event.job,
        identity=event.identity,
        rule=event.rule,
        leaf=_leaf(event, at_ms, commitment(detail) if event.private else None),
        detail=detail,
    )
    session.add(row)
    session.flush()
    return row


def _detail(private: Mapping[str, Any], salt: bytes) -> str:
    return canonical({"private": dict(private), "salt": salt.hex()}).decode()


def commitment(detail: str) -> str:
    """Give the commitment (hex) that the leaf carries for a row's `detail`, to open it to an auditor."""
    try:
        opened = json.loads(detail)
        salt, private = bytes.fromhex(opened["salt"]), opened["private"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("this event has no private detail") from error
    return hmac.new(salt, canonical(private), hashlib.sha256).hexdigest()


def _leaf(event: Event, at_ms: int, commit: str | None) -> bytes:
    columns = {
        "actor": event.actor,
        "partner": event.partner,
        "job": event.job,
        "identity": event.identity,
        "rule": event.rule,
        "commit": commit,
        "facts": dict(event.facts) or None,
    }
    present = {name: value for name, value in columns.items() if value is not None}
    leaf = canonical({"v": VERSION, "at_ms": at_ms, "tag": Tag(event.tag).value, **present})
    if len(leaf) > MAX_LEAF:
        raise BadInput(f"an event of {len(leaf)} bytes is larger than a leaf may be ({MAX_LEAF})")
    return leaf


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
        if abs(value) > _MAX_INTEGER:
            raise BadInput("an event's integers stay within 2^53")
    elif not isinstance(value, str):
        raise BadInput(f"an event holds strings and integers only, not {type(value).__name__}")
