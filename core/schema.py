"""The closed schema of the audit log: every tag, and the facts that its leaf carries.

A leaf is public for ever, so nothing gets into it that is not declared here, and no declared kind
(`core.facts`) can hold a sentence or a name. What says who a person is goes into an event's `private` part, of
which the leaf holds a salted commitment only.

A new event is a member of `Tag` and a line in `_FACTS`. A version may gain tags and facts that may be missing
(written `name?`); anything else is a new version, and the old one stays in `VERSIONS`, to be read for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from core.facts import (
    ACTOR,
    COUNT,
    DIGEST,
    FLAG,
    ID,
    KINDS,
    LABEL,
    LINE,
    MARK,
    PLACE,
    SCORE,
    SPAN,
    TIME,
    WORD,
    Fact,
    Many,
    Record,
    Text,
    departures,
    fits,
    form,
    shape,
)


class Tag(StrEnum):
    """The closed set of things that happen, as `noun:verb`."""

    REQUEST_RECEIVED = "request:received"
    POLICY_DECIDED = "policy:decided"
    POLICY_PRECHECK = "policy:precheck"
    POLICY_ADDED = "policy:added"
    POLICY_SHADOWED = "policy:shadowed"
    POLICY_DIFFERED = "policy:differed"
    POLICY_ACTIVATED = "policy:activated"
    POLICY_RETIRED = "policy:retired"
    POLICY_REVERTED = "policy:reverted"
    ELECTION_STARTED = "election:started"
    ELECTION_ENDED = "election:ended"
    USER_STRUCK = "user:struck"
    USER_RESTRICTED = "user:restricted"
    USER_APPEALED = "user:appealed"
    USER_RESTORED = "user:restored"
    CLIP_GENERATED = "clip:generated"
    CLIP_HELD = "clip:held"
    CLIP_CLEARED = "clip:cleared"
    CLIP_MARKED = "clip:marked"
    CLIP_SIGNED = "clip:signed"
    CLIP_UNSIGNED = "clip:unsigned"
    CLIP_RECORDED = "clip:recorded"
    CLIP_RELEASED = "clip:released"
    CLIP_STAMPED = "clip:stamped"
    CLIP_REJECTED = "clip:rejected"
    CLIP_REFUSED = "clip:refused"
    CLIP_APPEALED = "clip:appealed"
    CLIP_CANCELLED = "clip:cancelled"
    CLIP_FAILED = "clip:failed"
    CLIP_WITHDRAWN = "clip:withdrawn"
    REVIEW_DECIDED = "review:decided"
    EVIDENCE_SHOWN = "evidence:shown"
    CLIP_UNCONSENTED = "clip:unconsented"
    CONSENT_GRANTED = "consent:granted"
    CONSENT_REVOKED = "consent:revoked"
    IDENTITY_ENROLLED = "identity:enrolled"
    IDENTITY_PROVED = "identity:proved"
    SUBJECT_ERASED = "subject:erased"
    RETENTION_ENFORCED = "retention:enforced"
    HOLD_PLACED = "hold:placed"
    HOLD_LIFTED = "hold:lifted"
    AUDIT_QUERIED = "audit:queried"
    AUDIT_OPENED = "audit:opened"
    AUDIT_RAN = "audit:ran"
    GRANT_PROPOSED = "grant:proposed"
    GRANT_APPROVED = "grant:approved"
    GRANT_REVOKED = "grant:revoked"
    GRANT_EXPIRED = "grant:expired"
    SESSION_OPENED = "session:opened"
    JOB_RECLAIMED = "job:reclaimed"
    KEY_CREATED = "key:created"
    KEY_PROPOSED = "key:proposed"
    KEY_ROTATED = "key:rotated"
    KEY_REVOKED = "key:revoked"
    KEY_EXPIRING = "key:expiring"


_RULE = Record(
    {
        "id": WORD,
        "outcome": WORD,
        "code": WORD,
        "category": WORD,
        "grave": FLAG,
        # In whole percents: exact scores of a prompt would let anybody try guesses at it for ever.
        "score?": SCORE,
        "threshold?": SCORE,
    }
)
_MODEL = Record({"name": LABEL, "sha256": DIGEST})
_MATCH = Record({"kind": WORD, "identity": ID, "score": SCORE, "threshold": SCORE, "consented": FLAG})
_DECISION: Mapping[str, Fact] = {
    "stage": WORD,
    "outcome": WORD,
    "policy": LABEL,
    "version": LABEL,
    "pack": DIGEST,
    "rules": Many(_RULE),
    "consents": Many(ID),
    "models": Many(_MODEL),
    "matched": COUNT,
    "matches": Many(_MATCH),
    "layers?": Many(DIGEST),
}
_FILE: Mapping[str, Fact] = {"file": DIGEST, "kind": WORD, "policy": WORD, "version": LABEL}
_TIGHTER = Record({"rule": WORD, "outcome": WORD, "was": WORD, "threshold?": SCORE, "threshold_was?": SCORE})
_ELECTION: Mapping[str, Fact] = {
    "file": DIGEST,
    "election": WORD,
    "jurisdiction": PLACE,
    "starts": TIME,
    "ends": TIME,
    "candidates": COUNT,
    "tightened": Many(_TIGHTER),
}
_USER: Mapping[str, Fact] = {"user": ID, "level": WORD, "was": WORD, "sum": SCORE}
_RATE = Record({"case": LINE, "hits": COUNT, "trials": COUNT, "better": WORD})
# Why a request came to where it is: the stage, the rules and what they are about.
_WHY: Mapping[str, Fact] = {"stage": WORD, "rules": Many(WORD), "categories": Many(WORD)}


_GRANT: Mapping[str, Fact] = {"grant": ID, "role": WORD, "scope": DIGEST, "ends": TIME}


@dataclass(frozen=True, slots=True)
class Told:
    """What a tag means, which columns its leaf must fill, and its facts."""

    about: str
    columns: tuple[str, ...]
    facts: Mapping[str, Fact] = field(default_factory=dict)


_CLIP = ("partner", "job")
# A duty of a territory's pack, and whether it was met.
_LABEL = Record({"duty": WORD, "result": WORD})
# A claim signer by the SHA-256 of its certificate, a watermark key by its public id.
_KEY: Mapping[str, Fact] = {"key": ID, "kind": WORD}
_FACTS: Mapping[Tag, Told] = {
    Tag.REQUEST_RECEIVED: Told(
        "A partner asked for a clip; the prompt is private.",
        _CLIP,
        {
            "kind": WORD,
            "engine": ID,
            "length": SPAN,
            "picture": FLAG,
            "sound": FLAG,
            "territory?": PLACE,
            "purpose?": WORD,
            "draft?": FLAG,
            "draft_of?": ID,
            "identities": Many(ID),
            "references": Many(ID),
            "source?": ID,
        },
    ),
    Tag.POLICY_DECIDED: Told("The policy decided on a request.", _CLIP, _DECISION),
    Tag.POLICY_PRECHECK: Told(
        "The policy decided on a prompt that nothing was made of; the prompt is private.",
        ("partner",),
        {"kind": WORD, "territory?": PLACE, **_DECISION},
    ),
    Tag.POLICY_ADDED: Told("An admin added a pack, an overlay or an election as a draft.", (), _FILE),
    Tag.POLICY_SHADOWED: Told("A pack decides beside the active one, without effect.", (), _FILE),
    Tag.POLICY_DIFFERED: Told(
        "The pack in the shadow would have decided otherwise.",
        _CLIP,
        {
            "stage": WORD,
            "outcome": WORD,
            "would": WORD,
            "pack": DIGEST,
            "shadow": DIGEST,
            "rules": Many(WORD),
            "would_rules": Many(WORD),
        },
    ),
    Tag.POLICY_ACTIVATED: Told(
        "Another admin made it the active one.", (), {**_FILE, "before?": DIGEST, "changes?": Many(_TIGHTER)}
    ),
    Tag.POLICY_RETIRED: Told(
        "An admin proposed to end an overlay or an election, or another one ended it (`final`).",
        (),
        {**_FILE, "final": FLAG},
    ),
    Tag.POLICY_REVERTED: Told(
        "An admin went back to the pack that was active before `from`; the reason is private.",
        (),
        {**_FILE, "from": DIGEST},
    ),
    Tag.ELECTION_STARTED: Told("An election began: what is tightened until it ends.", (), _ELECTION),
    Tag.ELECTION_ENDED: Told("An election is over: what is no longer tightened.", (), _ELECTION),
    Tag.USER_STRUCK: Told(
        "A refusal counts against the partner's user who asked.",
        _CLIP,
        {**_USER, "category": WORD, "weight": SCORE, "expires": TIME},
    ),
    Tag.USER_RESTRICTED: Told("Their strikes reached a level.", ("partner",), _USER),
    Tag.USER_APPEALED: Told(
        "The partner appealed against a user's restriction; the reason is private.", ("partner",), _USER
    ),
    Tag.USER_RESTORED: Told(
        "Strikes were lifted: `why` is staff, or appeal where a refusal was overturned; the reason is private.",
        ("partner",),
        {**_USER, "why": WORD, "strikes": COUNT},
    ),
    Tag.CLIP_GENERATED: Told(
        "The engine made a lossless clip.",
        _CLIP,
        {"engine": LABEL, "version": LABEL, "checkpoint": DIGEST, "mezzanine": DIGEST, "length": SPAN},
    ),
    Tag.CLIP_HELD: Told("The request waits for a person.", _CLIP, _WHY),
    Tag.CLIP_CLEARED: Told("The clip may be marked.", _CLIP, _WHY),
    Tag.CLIP_REFUSED: Told("The prompt was refused.", _CLIP, _WHY),
    Tag.CLIP_REJECTED: Told("The clip is kept in for good.", _CLIP, _WHY),
    Tag.CLIP_MARKED: Told(
        "Watermarks were embedded in the one delivery file.",
        _CLIP,
        {"file": DIGEST, "video": FLAG, "audio": FLAG, "labels?": Many(_LABEL)},
    ),
    Tag.CLIP_SIGNED: Told(
        "The C2PA manifest was embedded, signed with this key.",
        _CLIP,
        {"file": DIGEST, "manifest": ID, "store": DIGEST, "signer?": ID},
    ),
    Tag.CLIP_UNSIGNED: Told(
        "The key was revoked before the clip was recorded: it is signed again with the one in use.",
        _CLIP,
        {"manifest": ID, "signer": ID},
    ),
    Tag.CLIP_RECORDED: Told(
        "The commit point of a release.",
        _CLIP,
        {
            "file": DIGEST,
            "manifest": ID,
            "store": DIGEST,
            "payload": MARK,
            "mezzanine": DIGEST,
            "checkpoint": DIGEST,
            "pack": DIGEST,
        },
    ),
    Tag.CLIP_RELEASED: Told(
        "Our own verifier agreed and the file is public.",
        _CLIP,
        {"file": DIGEST, "manifest": ID, "verdict": WORD, "took": SPAN},
    ),
    Tag.CLIP_APPEALED: Told(
        "Whoever asked appealed against a refusal; the reason is private.", _CLIP, {"state": WORD}
    ),
    Tag.CLIP_STAMPED: Told(
        "A released file got its time stamp later, by an update of the manifest `before`.",
        _CLIP,
        {"file": DIGEST, "manifest": ID, "store": DIGEST, "before": ID, "signer?": ID},
    ),
    Tag.CLIP_CANCELLED: Told("The request was stopped.", _CLIP, {"state": WORD}),
    Tag.CLIP_FAILED: Told(
        "The gate could not make it.", _CLIP, {"state": WORD, "code": WORD, "verdict?": WORD}
    ),
    Tag.CLIP_WITHDRAWN: Told(
        "A released clip was taken back; the reason is private.", _CLIP, {"file": DIGEST}
    ),
    Tag.REVIEW_DECIDED: Told(
        "A person decided on a hold; the reason is private.",
        _CLIP,
        {
            "verdict": WORD,
            "ruling": COUNT,
            "waited": SPAN,
            "final": FLAG,
            "overturned": FLAG,
            **_WHY,
        },
    ),
    Tag.EVIDENCE_SHOWN: Told(
        "A reviewer looked at, or listened to, a match or a reference of a protected person.",
        (*_CLIP, "identity"),
        {"form": WORD, "kind": WORD, "start": SPAN, "end": SPAN},
    ),
    Tag.CLIP_UNCONSENTED: Told(
        "A consent that a released clip rests on was revoked.", (*_CLIP, "identity"), {"consent": ID}
    ),
    Tag.CONSENT_GRANTED: Told(
        "A person allows a partner something.",
        ("partner", "identity"),
        {"consent": ID, "scope": Many(WORD), "territory?": PLACE, "starts": TIME, "ends": TIME},
    ),
    Tag.CONSENT_REVOKED: Told(
        "A consent ended.",
        ("partner", "identity"),
        {"consent": ID, "stop": COUNT, "stopped": Many(ID), "out": COUNT, "released": Many(ID)},
    ),
    Tag.IDENTITY_ENROLLED: Told(
        "References of a protected person were taken in.",
        ("identity",),
        {"kind": WORD, "tier": WORD, "templates": COUNT},
    ),
    Tag.IDENTITY_PROVED: Told(
        "Somebody said a phrase that was given to them: whether it was their enrolled voice, and the words.",
        ("identity",),
        {"proof": ID, "passed": FLAG, "voice": FLAG, "score?": SCORE, "threshold?": SCORE, "words": WORD},
    ),
    Tag.SUBJECT_ERASED: Told(
        "A subject's key was destroyed and with it everything sealed under it.",
        (),
        {"kind": WORD, "why": WORD, "files": COUNT, "templates?": COUNT},
    ),
    Tag.RETENTION_ENFORCED: Told(
        "Data of one class that had passed their deadline were deleted.",
        (),
        {"class": WORD, "count": COUNT, "before": TIME},
    ),
    Tag.HOLD_PLACED: Told(
        "A request, a partner or a person is kept whatever the deadlines say.",
        (),
        {"hold": ID, "subject": ID},
    ),
    Tag.HOLD_LIFTED: Told("The deadlines apply again.", (), {"hold": ID, "subject": ID}),
    Tag.AUDIT_QUERIED: Told(
        "Somebody of the house, or an auditor, looked.",
        (),
        # A question stands here by its digest alone, since it may name a person; the words are private.
        {"query?": DIGEST, "start?": COUNT, "end?": COUNT, "count?": COUNT, "form?": WORD, "grant?": ID},
    ),
    Tag.AUDIT_OPENED: Told(
        "Somebody read the private part of an entry, which was checked against its commitment.",
        (),
        {"index": COUNT, "tag": WORD},
    ),
    Tag.AUDIT_RAN: Told(
        "A preemptive suite ran.",
        (),
        {
            "run": ID,
            "suite": WORD,
            "subject": DIGEST,
            "quick": FLAG,
            "passed": FLAG,
            "rows": COUNT,
            "worse": COUNT,
            "failed": Many(LINE),
            "rates": Many(_RATE),
            "result": DIGEST,
        },
    ),
    Tag.GRANT_PROPOSED: Told(
        "An admin would let somebody read the log; who, what and why are private.", (), _GRANT
    ),
    Tag.GRANT_APPROVED: Told("Another admin let them.", (), _GRANT),
    Tag.GRANT_REVOKED: Told("An admin ended it; the reason is private.", (), _GRANT),
    Tag.GRANT_EXPIRED: Told("Its term was over.", (), _GRANT),
    Tag.SESSION_OPENED: Told("A person signed in to the console.", (), {"role": WORD}),
    Tag.JOB_RECLAIMED: Told(
        "A step was taken over from a worker that lost it.", _CLIP, {"state": WORD, "attempt": COUNT}
    ),
    Tag.KEY_CREATED: Told("The first start let a key in, with nobody there to approve it.", (), _KEY),
    Tag.KEY_PROPOSED: Told("An admin proposed a key.", (), _KEY),
    Tag.KEY_ROTATED: Told(
        "Another admin approved a key: it signs or marks from now on.", (), {**_KEY, "before?": ID}
    ),
    Tag.KEY_REVOKED: Told(
        "A key ended: what it signed or marked from `since` on does not count; the reason is private.",
        (),
        {**_KEY, "since": TIME},
    ),
    Tag.KEY_EXPIRING: Told("A signing certificate expires soon.", (), {**_KEY, "expires": TIME}),
}

VERSION = 2
VERSIONS: Mapping[int, Mapping[Tag, Told] | None] = {1: None, 2: _FACTS}
"""Every version there was. Version 1, of the walking skeleton, declared no facts: they are read as they are."""

COLUMNS: Mapping[str, Text] = {
    "actor": ACTOR,
    "partner": ID,
    "job": ID,
    "identity": ID,
    "rule": WORD,
    "commit": DIGEST,
}


def problems(version: int, tag: str, columns: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """Say what a leaf of this version has that is not declared, lacks, or has in another form."""
    declared = VERSIONS[version]
    if declared is None:
        return []
    told = declared.get(Tag(tag))
    if told is None:
        return [f"version {version} has no {tag}"]
    given = {name: value for name, value in columns.items() if value is not None}
    found = [f"{name} is missing" for name in told.columns if name not in given]
    found += [f"{name} is no {COLUMNS[name].name}" for name in given if not fits(COLUMNS[name], given[name])]
    return found + list(departures(told.facts, facts))


def described() -> dict[str, Any]:
    """Give the schema as JSON, for auditors and for the page that documents it."""
    return {
        "version": VERSION,
        "versions": sorted(VERSIONS),
        "types": {fact.name: {"about": fact.about} | form(fact) for fact in KINDS},
        "columns": {name: shape(fact) for name, fact in COLUMNS.items()},
        "tags": {
            tag.value: {
                "about": told.about,
                "columns": list(told.columns),
                "facts": shape(Record(told.facts)),
            }
            for tag, told in _FACTS.items()
        },
    }
