from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.terms import Field, read_leaf, state_of, terms
from core.state import State
from tests.audits.searched import CHECKPOINT, DECIDED, MODEL, PACK


def test_a_decision_is_found_by_everything_in_it() -> None:
    facts = DECIDED | {"matches": [{"kind": "likeness", "identity": "person_1", "score": 1, "threshold": 0}]}
    leaf = {
        "tag": "policy:decided",
        "actor": "worker:w",
        "partner": "p",
        "job": "j",
        "rule": "hate",
        "facts": facts,
    }
    assert terms(leaf, "EU") == {
        (Field.TAG, "policy:decided"),
        (Field.ACTOR, "worker:w"),
        (Field.PARTNER, "p"),
        (Field.JOB, "j"),
        (Field.RULE, "hate"),
        (Field.RULE, "slur"),
        (Field.CATEGORY, "hate"),
        (Field.CATEGORY, "hate_speech"),
        (Field.MODEL, MODEL),
        (Field.POLICY, PACK),
        (Field.IDENTITY, "person_1"),
        (Field.TERRITORY, "EU"),
    }  # fmt: skip


def test_a_leaf_of_the_first_version_names_its_rules_alone() -> None:
    found = terms({"v": 1, "tag": "policy:decided", "actor": "system", "facts": {"rules": ["hate", "slur"]}})
    assert {term for term in found if term[0] is Field.RULE} == {(Field.RULE, "hate"), (Field.RULE, "slur")}


def test_who_reviewed_and_what_generated() -> None:
    assert (Field.REVIEWER, "ann") in terms({"tag": "review:decided", "actor": "reviewer:ann"})
    assert (Field.MODEL, CHECKPOINT) in terms({"tag": "clip:generated", "facts": {"checkpoint": CHECKPOINT}})


STATES = {
    "request:received": "received",
    "clip:generated": "generated",
    "clip:held": "held",
    "clip:withdrawn": "withdrawn",
    "review:decided": None,
    "policy:decided": None,
    "audit:queried": None,
    "clip:unheard": None,
}


@pytest.mark.parametrize(("tag", "state"), STATES.items())
def test_the_state_an_event_brings_about(tag: str, state: str | None) -> None:
    assert state_of({"tag": tag}) == state


@pytest.mark.parametrize(
    ("tag", "facts", "admits"),
    [
        ("policy:decided", {"stage": "prompt", "outcome": "allow"}, True),
        ("policy:decided", {"stage": "screen", "outcome": "allow"}, False),
        ("policy:decided", {"stage": "prompt", "outcome": "hold"}, False),
        ("review:decided", {"stage": "prompt", "verdict": "approve", "final": 1}, True),
        ("review:decided", {"stage": "prompt", "verdict": "approve", "final": 0}, False),
    ],
)
def test_who_admits_a_request(tag: str, facts: dict[str, object], admits: bool) -> None:
    assert (state_of({"tag": tag, "facts": facts}) == State.ADMITTED) is admits


@given(st.binary(max_size=40))
def test_bytes_that_are_no_leaf_have_no_terms(data: bytes) -> None:
    assert isinstance(read_leaf(data), dict)


@pytest.mark.parametrize("data", [b"[1]", b"1", b"\xff", b"{", b""])
def test_what_is_no_object_is_empty(data: bytes) -> None:
    assert terms(read_leaf(data)) == frozenset()
