"""The closed schema of the audit log: every tag, and the facts that its leaf carries.

A leaf is public for ever, so nothing gets into it that is not declared here, and no declared type can hold a
sentence or a name: digests, ids, words of our own, counts, times and scores (parts per 10,000). What says who
a person is goes into an event's `private` part, of which the leaf holds a salted commitment only.

A new event is a member of `Tag` and a line in `_FACTS`. A version may gain tags and facts that may be missing
(written `name?`); anything else is a new version, and the old one stays in `VERSIONS`, to be read for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Integers that every JSON reader keeps exact (I-JSON, RFC 7493).
MAX_INTEGER = 2**53 - 1
_MAX_ITEMS = 1000


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
    CLIP_STAMPED = "clip:stamped"
    CLIP_REJECTED = "clip:rejected"
    CLIP_REFUSED = "clip:refused"
    CLIP_APPEALED = "clip:appealed"
    CLIP_CANCELLED = "clip:cancelled"
    CLIP_FAILED = "clip:failed"
    CLIP_WITHDRAWN = "clip:withdrawn"
    REVIEW_DECIDED = "review:decided"
    CONSENT_GRANTED = "consent:granted"
    CONSENT_REVOKED = "consent:revoked"
    IDENTITY_ENROLLED = "identity:enrolled"
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


@dataclass(frozen=True, slots=True)
class Text:
    """A string of one form."""

    name: str
    about: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Number:
    """An integer within bounds."""

    name: str
    about: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Record:
    """An object with these fields and no other; a field whose name ends in `?` may be missing."""

    fields: Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class Many:
    """A list of up to 1,000 of one kind."""

    of: Fact


Fact = Text | Number | Record | Many

DIGEST = Text("digest", "SHA-256, 64 hex digits", re.compile(r"[0-9a-f]{64}"))
ACTOR = Text(
    "actor",
    "who did it: system, operator, or a role and an id",
    re.compile(
        r"(system|operator|(partner|worker|reviewer|auditor|regulator|admin):[A-Za-z0-9][A-Za-z0-9._:/+-]{0,254})"
    ),
)
ID = Text("id", "an id of ours or a manifest label", re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,254}"))
WORD = Text("word", "a word of the code or of a policy pack", re.compile(r"[a-z][a-z0-9_.:-]{0,63}"))
LABEL = Text("label", "a version or a model's name", re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/+()-]{0,127}"))
PLACE = Text("place", "a territory's code, or `other`", re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}"))
LINE = Text("line", "the name of a case, from the code of a suite", re.compile(r"[ -~]{1,200}"))
MARK = Text("mark", "a watermark id, 16 hex digits", re.compile(r"[0-9a-f]{16}"))
COUNT = Number("count", "how many", 0, MAX_INTEGER)
FLAG = Number("flag", "0 no, 1 yes", 0, 1)
SCORE = Number("score", "parts per 10,000, in the scale of its detector", -(10**8), 10**8)
TIME = Number("time", "milliseconds since 1970, UTC", 0, MAX_INTEGER)
SPAN = Number("span", "milliseconds", 0, MAX_INTEGER)

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
}
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
        "The C2PA manifest was embedded.", _CLIP, {"file": DIGEST, "manifest": ID, "store": DIGEST}
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
        {"file": DIGEST, "manifest": ID, "store": DIGEST, "before": ID},
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
    found += [f"{name} is no {COLUMNS[name].name}" for name in given if not _fits(COLUMNS[name], given[name])]
    return found + list(_record(told.facts, facts, ""))


def _record(fields: Mapping[str, Fact], given: Any, at: str) -> Iterator[str]:
    if not isinstance(given, Mapping):
        yield f"{at.rstrip('.')} is no object"
        return
    declared = {name.rstrip("?"): fact for name, fact in fields.items()}
    yield from (f"{at}{name} is not declared" for name in given if name not in declared)
    for name, fact in declared.items():
        if name in given:
            yield from _problems(fact, given[name], f"{at}{name}")
        elif name in fields:
            yield f"{at}{name} is missing"


def _problems(fact: Fact, value: Any, at: str) -> Iterator[str]:
    if isinstance(fact, Record):
        yield from _record(fact.fields, value, f"{at}.")
    elif isinstance(fact, Many):
        if not isinstance(value, list | tuple) or len(value) > _MAX_ITEMS:
            yield f"{at} is no list of up to {_MAX_ITEMS}"
            return
        for index, item in enumerate(value):
            yield from _problems(fact.of, item, f"{at}[{index}]")
    elif not _fits(fact, value):
        yield f"{at} is no {fact.name}"


def _fits(fact: Text | Number, value: Any) -> bool:
    if isinstance(fact, Text):
        return isinstance(value, str) and fact.pattern.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and fact.low <= value <= fact.high


def described() -> dict[str, Any]:
    """Give the schema as JSON, for auditors and for the page that documents it."""
    types = (ACTOR, DIGEST, ID, WORD, LABEL, PLACE, LINE, MARK, COUNT, FLAG, SCORE, TIME, SPAN)
    return {
        "version": VERSION,
        "versions": sorted(VERSIONS),
        "types": {fact.name: {"about": fact.about} | _form(fact) for fact in types},
        "columns": {name: _shape(fact) for name, fact in COLUMNS.items()},
        "tags": {
            tag.value: {
                "about": told.about,
                "columns": list(told.columns),
                "facts": _shape(Record(told.facts)),
            }
            for tag, told in _FACTS.items()
        },
    }


def _form(fact: Text | Number) -> dict[str, Any]:
    if isinstance(fact, Text):
        return {"pattern": fact.pattern.pattern}
    return {"low": fact.low, "high": fact.high}


def _shape(fact: Fact) -> Any:
    if isinstance(fact, Record):
        return {name: _shape(inner) for name, inner in fact.fields.items()}
    if isinstance(fact, Many):
        return [_shape(fact.of)]
    return fact.name
