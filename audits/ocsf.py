"""Events of the log in the Open Cybersecurity Schema Framework 1.8, for the tools that collect security events.

What happens to a request, and every reading of the log, is API Activity (6003); what happens to a thing that is
managed (a consent, an identity, a key, a grant) is Entity Management (3004); who signs in is Authentication
(3002). Nothing is lost: `raw_data` is the leaf as it was hashed, `metadata.sequence` its index in the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from audits.queries import Entry
from audits.terms import read_leaf
from core.clock import iso
from core.events import Tag

VERSION = "1.8.0"
_API, _ENTITY, _SIGN_IN = 6003, 3004, 3002
_CREATE, _READ, _UPDATE, _DELETE = 1, 2, 3, 4
_ENROLL, _ENABLE, _ACTIVATE, _DEACTIVATE = 6, 8, 10, 11
_LOGON = 1
_CATEGORIES = {_API: 6, _ENTITY: 3, _SIGN_IN: 3}
_SUCCESS, _FAILURE = 1, 2


@dataclass(frozen=True, slots=True)
class _As:
    """What a tag is in OCSF: the class, the activity within it, how severe (1 informational to 4 high), its end."""

    kind: int
    activity: int
    severity: int = 1
    status: int = _SUCCESS


_MEANING: Mapping[Tag, _As] = {
    Tag.REQUEST_RECEIVED: _As(_API, _CREATE),
    Tag.POLICY_DECIDED: _As(_API, _READ),
    Tag.POLICY_PRECHECK: _As(_API, _READ),
    Tag.POLICY_ADDED: _As(_ENTITY, _CREATE),
    Tag.POLICY_SHADOWED: _As(_ENTITY, _UPDATE),
    Tag.POLICY_DIFFERED: _As(_API, _READ),
    Tag.POLICY_ACTIVATED: _As(_ENTITY, _ACTIVATE, severity=3),
    Tag.POLICY_RETIRED: _As(_ENTITY, _DEACTIVATE, severity=3),
    Tag.POLICY_REVERTED: _As(_ENTITY, _ACTIVATE, severity=3),
    Tag.ELECTION_STARTED: _As(_ENTITY, _ACTIVATE, severity=2),
    Tag.ELECTION_ENDED: _As(_ENTITY, _DEACTIVATE, severity=2),
    Tag.USER_STRUCK: _As(_API, _UPDATE, severity=2),
    Tag.USER_RESTRICTED: _As(_ENTITY, _DEACTIVATE, severity=2),
    Tag.USER_APPEALED: _As(_ENTITY, _UPDATE, severity=2),
    Tag.USER_RESTORED: _As(_ENTITY, _ENABLE, severity=2),
    Tag.CLIP_GENERATED: _As(_API, _UPDATE),
    Tag.CLIP_HELD: _As(_API, _UPDATE, severity=2),
    Tag.CLIP_CLEARED: _As(_API, _UPDATE),
    Tag.CLIP_MARKED: _As(_API, _UPDATE),
    Tag.CLIP_SIGNED: _As(_API, _UPDATE),
    Tag.CLIP_UNSIGNED: _As(_API, _UPDATE, severity=3),
    Tag.CLIP_RECORDED: _As(_API, _UPDATE),
    Tag.CLIP_RELEASED: _As(_API, _UPDATE),
    Tag.CLIP_REJECTED: _As(_API, _UPDATE, severity=2, status=_FAILURE),
    Tag.CLIP_REFUSED: _As(_API, _UPDATE, severity=2, status=_FAILURE),
    Tag.CLIP_CANCELLED: _As(_API, _UPDATE),
    Tag.CLIP_FAILED: _As(_API, _UPDATE, severity=3, status=_FAILURE),
    Tag.CLIP_WITHDRAWN: _As(_API, _DELETE, severity=3),
    Tag.CLIP_STAMPED: _As(_API, _UPDATE),
    Tag.CLIP_APPEALED: _As(_API, _UPDATE, severity=2),
    Tag.REVIEW_DECIDED: _As(_API, _UPDATE),
    Tag.EVIDENCE_SHOWN: _As(_API, _READ, severity=2),
    Tag.CLIP_UNCONSENTED: _As(_API, _UPDATE, severity=2),
    Tag.CONSENT_GRANTED: _As(_ENTITY, _CREATE),
    Tag.CONSENT_REVOKED: _As(_ENTITY, _DEACTIVATE, severity=2),
    Tag.IDENTITY_ENROLLED: _As(_ENTITY, _ENROLL),
    Tag.IDENTITY_PROVED: _As(_ENTITY, _UPDATE),
    Tag.SUBJECT_ERASED: _As(_ENTITY, _DELETE),
    Tag.RETENTION_ENFORCED: _As(_API, _DELETE),
    Tag.HOLD_PLACED: _As(_ENTITY, _CREATE, severity=2),
    Tag.HOLD_LIFTED: _As(_ENTITY, _DEACTIVATE, severity=2),
    Tag.AUDIT_QUERIED: _As(_API, _READ),
    Tag.AUDIT_OPENED: _As(_API, _READ, severity=2),
    Tag.AUDIT_RAN: _As(_API, _READ),
    Tag.GRANT_PROPOSED: _As(_ENTITY, _CREATE),
    Tag.GRANT_APPROVED: _As(_ENTITY, _ENABLE, severity=2),
    Tag.GRANT_REVOKED: _As(_ENTITY, _DEACTIVATE, severity=2),
    Tag.GRANT_EXPIRED: _As(_ENTITY, _DEACTIVATE),
    Tag.SESSION_OPENED: _As(_SIGN_IN, _LOGON),
    Tag.JOB_RECLAIMED: _As(_API, _UPDATE, severity=2),
    Tag.KEY_CREATED: _As(_ENTITY, _CREATE),
    Tag.KEY_PROPOSED: _As(_ENTITY, _CREATE),
    Tag.KEY_ROTATED: _As(_ENTITY, _ACTIVATE, severity=3),
    Tag.KEY_REVOKED: _As(_ENTITY, _DEACTIVATE, severity=3),
    Tag.KEY_EXPIRING: _As(_ENTITY, _UPDATE, severity=3),
}
# The fact that names the managed thing; an identity stands in the leaf's own column.
_ENTITY_ID = {
    "consent": "consent",
    "grant": "grant",
    "key": "key",
    "policy": "file",
    "election": "file",
    "user": "user",
}


def ocsf_lines(entries: Iterable[Entry], version: str) -> Iterator[str]:
    """Write one OCSF event a line; `version` is that of Greenlight."""
    for entry in entries:
        yield json.dumps(to_ocsf(entry, version), ensure_ascii=False, separators=(",", ":")) + "\n"


def to_ocsf(entry: Entry, version: str) -> dict[str, Any]:
    """Map one entry."""
    said = read_leaf(entry.leaf)
    meaning = _MEANING[Tag(entry.tag)]
    event: dict[str, Any] = {
        "class_uid": meaning.kind,
        "category_uid": _CATEGORIES[meaning.kind],
        "activity_id": meaning.activity,
        "type_uid": meaning.kind * 100 + meaning.activity,
        "severity_id": meaning.severity,
        "status_id": meaning.status,
        "time": entry.at_ms,
        "message": entry.tag,
        "metadata": _metadata(entry, version),
        "raw_data": entry.leaf.decode(),
    }
    return event | _of_class(meaning, entry, said.get("facts", {}))


def _metadata(entry: Entry, version: str) -> dict[str, Any]:
    about: dict[str, Any] = {
        "version": VERSION,
        "product": {"name": "Greenlight", "vendor_name": "Greenlight", "version": version},
        "event_code": entry.tag,
        "log_name": "audit",
        "original_time": iso(entry.at_ms),
        "sequence": entry.index,
    }
    told = {"tenant_uid": entry.partner, "correlation_uid": entry.job}
    return about | {name: value for name, value in told.items() if value is not None}


def _of_class(meaning: _As, entry: Entry, facts: Mapping[str, Any]) -> dict[str, Any]:
    actor = {"user": {"uid": entry.actor}} if _is_person(entry.actor) else {"app_uid": entry.actor}
    noun, _, verb = entry.tag.partition(":")
    if meaning.kind == _API:
        source = {"svc_name": "greenlight", "uid": entry.actor}
        resources = [{"uid": uid} for uid in (entry.job, entry.identity) if uid]
        told = {"api": {"operation": verb, "service": {"name": noun}}, "actor": actor, "src_endpoint": source}
        return told | ({"resources": resources} if resources else {})
    if meaning.kind == _SIGN_IN:
        return {"user": {"uid": entry.actor}, "service": {"name": "console"}}
    name = _ENTITY_ID.get(noun)
    uid = facts.get(name) if name else None
    return {"entity": {"type": noun, "uid": str(uid or entry.identity or entry.index)}, "actor": actor}


def _is_person(actor: str) -> bool:
    return actor.partition(":")[0] in {"partner", "reviewer", "auditor", "regulator", "operator"}
