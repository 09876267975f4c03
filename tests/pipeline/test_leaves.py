from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decision import CATEGORIES, Decision, RuleHit
from core.errors import BadInput
from core.events import Leaf, Tag, parse, render
from core.schema import VERSION, problems
from pipeline import leaves
from tests.doubles import pack, reading

COLUMNS = {"partner": "p", "job": "j"}
REQUEST = {"modality": "video", "partner": "p", "project": "", "territory": "", "sandbox": True}
FLOATS = st.floats(0, 1)


def match_of(score: float, threshold: float, consent: str) -> dict[str, Any]:
    return {
        "kind": "likeness", "identity": "person_1", "score": score, "threshold": threshold, "start": 0.0,
        "end": 1.0, "box": [], "frame": -1, "track": "video", "consent": consent,
    }  # fmt: skip


def screened(matches: list[dict[str, Any]], status: str = "ok") -> dict[str, Any]:
    models = [{"name": "dlib resnet", "sha256": "ab" * 32}]
    detectors = [
        {"name": name, "status": status, "detail": "", "tier": "embedded", "models": models}
        for name in ("likeness", "voice")
    ]
    media = {"seconds": 1.0, "picture": True, "sound": True}
    return {
        "detectors": detectors,
        "matches": matches,
        "unassessable": [],
        "transcript": {"status": "none", "outcome": "allow", "reasons": []},
        "request": REQUEST,
        "media": media,
    }


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from(CATEGORIES), FLOATS), st.lists(st.sampled_from(CATEGORIES), max_size=3)
)
def test_every_decision_on_a_prompt_has_a_leaf_without_its_words(
    scores: dict[str, float], about: list[str]
) -> None:
    text = "a heron in Zurich"
    hits = [
        {"category": one, "term": text, "span": [0, 2], "view": text, "intent": "depict"} for one in about
    ]
    facts = reading(text, hits=hits, request=REQUEST, identities=[])
    facts["scores"] |= scores
    decision = pack().decide("prompt", facts)
    told = leaves.decided(decision)
    assert problems(VERSION, Tag.POLICY_DECIDED, COLUMNS, told) == []
    assert problems(VERSION, Tag.CLIP_HELD, COLUMNS, leaves.why(decision)) == []
    leaf = Leaf(v=VERSION, at_ms=1, tag="policy:decided", actor="system", facts=told, **COLUMNS)
    assert parse(render(leaf)) == leaf
    assert b"heron" not in render(leaf)
    # Exact scores would tell a guesser whether his guess at the prompt is right.
    assert all(rule.get("score", 0) % 100 == 0 for rule in told["rules"])


@settings(max_examples=40)
@given(
    st.lists(st.builds(match_of, FLOATS, FLOATS, st.sampled_from(["", "consent_1"])), max_size=3),
    st.sampled_from(["ok", "missing", "timed_out"]),
)
def test_every_decision_on_a_clip_has_a_leaf(matches: list[dict[str, Any]], status: str) -> None:
    decision = pack().decide("screen", screened(matches, status))
    told = leaves.decided(decision)
    assert problems(VERSION, Tag.POLICY_DECIDED, COLUMNS, told) == []
    assert told["matched"] == len(matches)
    assert [model["sha256"] for model in told["models"]] == ["ab" * 32] * 2


def test_thousands_of_matches_fit_the_leaf_and_the_strongest_are_kept() -> None:
    matches = [match_of(n / 5000, 0.5, "") for n in range(5000)]
    told = leaves.decided(pack().decide("screen", screened(matches)))
    assert told["matched"] == 5000
    assert told["matches"][0]["score"] == 9998
    assert len(told["matches"]) == 100
    render(Leaf(v=VERSION, at_ms=1, tag="policy:decided", actor="system", facts=told, **COLUMNS))
    # The control: all of them do not fit.
    all_of_them = told | {"matches": told["matches"] * 50}
    with pytest.raises(BadInput, match="larger"):
        render(Leaf(v=VERSION, at_ms=1, tag="policy:decided", actor="system", facts=all_of_them, **COLUMNS))


def test_incomplete_facts_still_give_a_leaf() -> None:
    decision = pack().decide("screen", {"matches": [{"kind": 3}], "detectors": [{}]})
    assert decision.outcome == "hold"
    assert problems(VERSION, Tag.POLICY_DECIDED, COLUMNS, leaves.decided(decision)) == []


def test_a_territory_that_is_free_text_is_other() -> None:
    assert leaves.place("") == {}
    assert leaves.place("DE") == {"territory": "DE"}
    assert leaves.place("Ana Ünal") == {"territory": "other"}


def test_a_fault_has_a_leaf() -> None:
    hit = RuleHit(
        id="gate_fault", outcome="hold", reason_code="gate_fault", category="gate", message="m", advice="a"
    )
    decision = Decision(
        stage="prompt", outcome="hold", rules=(hit, hit), pack="default", version="1", pack_sha256="00" * 32,
        facts={"fault": "x"},
    )  # fmt: skip
    assert leaves.why(decision) == {"stage": "prompt", "rules": ["gate_fault"], "categories": ["gate"]}
    assert problems(VERSION, Tag.POLICY_DECIDED, COLUMNS, leaves.decided(decision)) == []
