"""The facts that policies may speak of, by stage: their names, their types, and a check of given facts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.decision import CATEGORIES, Stage


@dataclass(frozen=True, slots=True)
class Record:
    """An object with exactly these fields known to policies; further fields are kept but not visible."""

    name: str
    fields: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Many:
    """A list of one shape."""

    of: Shape


Shape = type[str] | type[int] | type[float] | type[bool] | Record | Many

_REQUEST = Record(
    "Request",
    {"modality": str, "partner": str, "project": str, "territory": str, "sandbox": bool},
)
_SCORE = Record("Score", {"category": str, "score": float})

STAGES: Mapping[Stage, Mapping[str, Shape]] = {
    "prompt": {
        "text": Record("Text", {"length": int, "obfuscated": bool, "views": Many(str)}),
        "language": Record("Language", {"code": str, "scored": bool}),
        "scores": Record("Scores", dict.fromkeys(CATEGORIES, float)),
        "hits": Many(
            Record("Hit", {"category": str, "term": str, "span": Many(int), "view": str, "intent": str})
        ),
        "entities": Many(
            Record(
                "Entity",
                {
                    "text": str,
                    "kind": str,
                    "id": str,
                    "start": int,
                    "end": int,
                    "view": str,
                    "consent": str,
                    "office": str,
                    "jurisdiction": str,
                    "match": str,
                    "asked": Many(str),
                },
            )
        ),
        "guards": Many(Record("Guard", {"name": str, "status": str, "category": str, "score": float})),
        "request": _REQUEST,
        "user": Record("User", {"level": str, "strikes": int}),
        "elections": Many(Record("Election", {"name": str, "jurisdiction": str})),
        "identities": Many(
            Record("Identity", {"id": str, "scope_likeness": bool, "scope_voice": bool, "consent": str})
        ),
    },
    "screen": {
        "detectors": Many(Record("Detector", {"name": str, "status": str, "detail": str, "tier": str})),
        "matches": Many(
            Record(
                "Match",
                {
                    "kind": str,
                    "identity": str,
                    "score": float,
                    "threshold": float,
                    "start": float,
                    "end": float,
                    "box": Many(int),
                    "frame": int,
                    "track": str,
                    "consent": str,
                },
            )
        ),
        "unassessable": Many(Record("Unassessable", {"kind": str, "why": str, "start": float, "end": float})),
        "transcript": Record("Transcript", {"status": str, "outcome": str, "reasons": Many(str)}),
        "request": _REQUEST,
        "media": Record("Media", {"seconds": float, "picture": bool, "sound": bool}),
    },
}
"""Every declared fact. A `span` is [start, end) in characters; screen times are seconds, `frame` is -1 if none.

An entity's `office` is a word such as "head_of_government" ("" for none), `jurisdiction` an ISO 3166 code, `match`
"exact" or "fuzzy", and `asked` the categories of what is asked of it near its name: sexual, violence_gore, political,
voice, style, deception. A `user` is the partner's, by an opaque id: `level` is "" where none was named, "none", "slow",
"hold" or "suspend" (pipeline/strikes.py). `elections` are those in force where the clip will be shown; their candidates
are entities of the kind "candidate". A guard's `status` is "ok", or says why it gave no scores (then `category` is "").
A transcript's `status` is "none" where no speech recogniser is configured, else "read"; `outcome` and `reasons` are
what the rules for prompts say of the words.
"""


FIGURES = ("public_figure", "protected", "living_artist", "candidate", "performer")
"""Kinds of entities that are real people."""

WORDS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "Hit": {
        "category": frozenset((*CATEGORIES, "minor")),
    },
    "Entity": {
        "kind": frozenset((*FIGURES, "franchise", "character", "brand")),
        "match": frozenset(("exact", "fuzzy")),
        "asked": frozenset(("sexual", "violence_gore", "political", "voice", "style", "deception")),
    },
    "Score": {"category": frozenset(CATEGORIES)},
    "Guard": {"category": frozenset(("", *CATEGORIES))},
    "Request": {"modality": frozenset(("video", "audio", "soundtrack", "edit"))},
    "User": {"level": frozenset(("", "none", "slow", "hold", "suspend"))},
    "Match": {"kind": frozenset(("likeness", "voice")), "track": frozenset(("video", "audio"))},
    "Unassessable": {"kind": frozenset(("likeness", "voice"))},
    "Transcript": {
        "status": frozenset(("", "none", "read")),
        "outcome": frozenset(("", "allow", "hold", "refuse")),
    },
}
"""The words that a field can ever hold, where there is a list of them: a rule that waits for another never fires."""


def evidence_shapes(stage: Stage) -> dict[str, Record]:
    """Name the facts that a rule can go through item by item, with the shape of an item."""
    lists = {
        name: shape.of
        for name, shape in STAGES[stage].items()
        if isinstance(shape, Many) and isinstance(shape.of, Record)
    }
    return lists | ({"scores": _SCORE} if "scores" in STAGES[stage] else {})


def items(facts: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """List the items of a fact; the score map is read as {category, score} pairs."""
    if name == "scores":
        return [{"category": category, "score": facts[name][category]} for category in CATEGORIES]
    return list(facts[name])


def problems(stage: Stage, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what is missing from the facts of a stage or has the wrong type."""
    return tuple(_problems(Record("", STAGES[stage]), facts, ""))


def _problems(shape: Shape, value: Any, at: str) -> Iterator[str]:
    if isinstance(shape, Record):
        yield from _record_problems(shape, value, at)
    elif isinstance(shape, Many):
        if not isinstance(value, list):
            yield f"{at} is not a list"
            return
        for index, item in enumerate(value):
            yield from _problems(shape.of, item, f"{at}[{index}]")
    elif not _is(shape, value):
        yield f"{at} is not {shape.__name__}"


def _record_problems(record: Record, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{at} is not an object"
        return
    for name, shape in record.fields.items():
        path = f"{at}.{name}" if at else name
        if name in value:
            yield from _problems(shape, value[name], path)
        else:
            yield f"{path} is missing"


def _is(shape: type, value: Any) -> bool:
    if shape is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if shape is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53
    return isinstance(value, shape)


def completed(stage: Stage, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Add to the facts of an old decision those that were declared since: empty, zero, false, as nobody looked."""
    whole: dict[str, Any] = _filled(Record("", STAGES[stage]), stored)
    return whole


def filled(stage: Stage, given: Mapping[str, Any]) -> dict[str, Any]:
    """Complete given facts with those of a harmless request; inline tests state only what matters."""
    quiet = {"text": {"length": 1}, "language": {"code": "en", "scored": True}}
    request = {"modality": "video", "territory": "us"}
    media = {"seconds": 1.0, "picture": True, "sound": True}
    detectors = [{"name": name, "status": "ok"} for name in ("likeness", "voice")]
    known = quiet | {"request": request, "media": media, "detectors": detectors}
    start = {name: value for name, value in known.items() if name in STAGES[stage]}
    whole: dict[str, Any] = _filled(Record("", STAGES[stage]), _merged(start, given))
    return whole


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(below[key], value)
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        else value
        for key, value in above.items()
    }
    return {**below, **both}


def _filled(shape: Shape, value: Any) -> Any:
    if isinstance(shape, Record):
        given: Mapping[str, Any] = {} if value is None else value
        return {**given, **{name: _filled(field, given.get(name)) for name, field in shape.fields.items()}}
    if isinstance(shape, Many):
        return [_filled(shape.of, item) for item in value or ()]
    return shape() if value is None else value
