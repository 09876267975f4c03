"""The kinds of facts that a leaf of the audit log may hold, and the check of given facts against them.

None of them can hold a sentence or a name: digests, ids, words of our own, counts, times and scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Integers that every JSON reader keeps exact (I-JSON, RFC 7493).
MAX_INTEGER = 2**53 - 1
_MAX_ITEMS = 1000


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
KINDS = (ACTOR, DIGEST, ID, WORD, LABEL, PLACE, LINE, MARK, COUNT, FLAG, SCORE, TIME, SPAN)
"""Every kind there is."""


def departures(fields: Mapping[str, Fact], given: Any, at: str = "") -> Iterator[str]:
    """Say which facts are not declared, are missing, or have another form; `at` is where they stand."""
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
        yield from departures(fact.fields, value, f"{at}.")
    elif isinstance(fact, Many):
        if not isinstance(value, list | tuple) or len(value) > _MAX_ITEMS:
            yield f"{at} is no list of up to {_MAX_ITEMS}"
            return
        for index, item in enumerate(value):
            yield from _problems(fact.of, item, f"{at}[{index}]")
    elif not fits(fact, value):
        yield f"{at} is no {fact.name}"


def fits(fact: Text | Number, value: Any) -> bool:
    """Tell whether a string or an integer is of this kind."""
    if isinstance(fact, Text):
        return isinstance(value, str) and fact.pattern.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and fact.low <= value <= fact.high


def form(fact: Text | Number) -> dict[str, Any]:
    """Give the pattern or the bounds of a kind."""
    if isinstance(fact, Text):
        return {"pattern": fact.pattern.pattern}
    return {"low": fact.low, "high": fact.high}


def shape(fact: Fact) -> Any:
    """Give a kind, an object or a list as JSON."""
    if isinstance(fact, Record):
        return {name: shape(inner) for name, inner in fact.fields.items()}
    if isinstance(fact, Many):
        return [shape(fact.of)]
    return fact.name
