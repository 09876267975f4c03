"""What an entry of the log can be searched by: a pure function of its public leaf.

The searcher's index and the auditor's check of an answer both ask this function, so that "nothing was left
out" means the same to both. A request's territory stands in the leaf of its `request:received` only, so it is
handed in for the other entries of that request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from core.events import Tag
from core.state import State


class Field(StrEnum):
    """The names under which a leaf's values are searched."""

    PARTNER = "partner"
    TAG = "tag"
    STATE = "state"
    """The state that the event brought its request into."""
    RULE = "rule"
    CATEGORY = "category"
    IDENTITY = "identity"
    REVIEWER = "reviewer"
    MODEL = "model"
    """SHA-256 of a detector's or a generator's weights."""
    POLICY = "policy"
    """SHA-256 of the policy pack."""
    JOB = "job"
    ACTOR = "actor"
    TERRITORY = "territory"


Term = tuple[Field, str]
_COLUMNS = (Field.PARTNER, Field.TAG, Field.RULE, Field.IDENTITY, Field.JOB, Field.ACTOR)


def read_leaf(leaf: bytes) -> dict[str, Any]:
    """Read a leaf's JSON; bytes that are none give an empty object, which has no terms and matches nothing."""
    try:
        said = json.loads(leaf)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def terms(said: Mapping[str, Any], territory: str | None = None) -> frozenset[Term]:
    """Give every value that an entry is found by; `territory` is that of its request."""
    facts = said.get("facts", {})
    found = {(name, said[name]) for name in _COLUMNS if name in said}
    found |= {(Field.RULE, rule) for rule in _rules(facts)}
    found |= {(Field.CATEGORY, category) for category in _categories(facts)}
    found |= {(Field.MODEL, digest) for digest in _models(facts)}
    found |= {(Field.IDENTITY, identity) for identity in _identities(facts)}
    if "pack" in facts:
        found.add((Field.POLICY, facts["pack"]))
    if said.get("actor", "").startswith("reviewer:"):
        found.add((Field.REVIEWER, said["actor"].removeprefix("reviewer:")))
    if (state := state_of(said)) is not None:
        found.add((Field.STATE, state))
    if place := territory or territory_of(said):
        found.add((Field.TERRITORY, place))
    return frozenset(found)


def state_of(said: Mapping[str, Any]) -> str | None:
    """Name the state that an event brought its request into, if it did."""
    tag, facts = said.get("tag", ""), said.get("facts", {})
    noun, _, verb = tag.partition(":")
    if noun in {"clip", "request"} and verb in set(State):
        return str(verb)
    by_policy = tag == Tag.POLICY_DECIDED and facts.get("outcome") == "allow"
    by_people = tag == Tag.REVIEW_DECIDED and facts.get("verdict") == "approve" and facts.get("final") == 1
    return str(State.ADMITTED) if facts.get("stage") == "prompt" and (by_policy or by_people) else None


def territory_of(said: Mapping[str, Any]) -> str | None:
    """Give the territory that a request was made for, which its first event alone tells."""
    named = said.get("facts", {}).get("territory")
    return str(named) if said.get("tag") == Tag.REQUEST_RECEIVED and named else None


def _rules(facts: Mapping[str, Any]) -> Iterator[str]:
    # Version 1 of the events listed the ids alone.
    for rule in facts.get("rules", ()):
        yield rule if isinstance(rule, str) else rule["id"]


def _categories(facts: Mapping[str, Any]) -> Iterator[str]:
    yield from facts.get("categories", ())
    for rule in facts.get("rules", ()):
        if not isinstance(rule, str):
            yield rule["category"]


def _models(facts: Mapping[str, Any]) -> Iterator[str]:
    for model in facts.get("models", ()):
        yield model["sha256"]
    if "checkpoint" in facts:
        yield facts["checkpoint"]


def _identities(facts: Mapping[str, Any]) -> Iterator[str]:
    yield from facts.get("identities", ())
    for match in facts.get("matches", ()):
        yield match["identity"]
