"""The shortcut and the long way say the same of every rule, and errors are never lost on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decision import CATEGORIES
from policies import fast
from policies.engine import Pack, default_pack, load
from policies.facts import STAGES, WORDS, filled
from tests.policies.floor import FLOOR

RULE = {
    "stage": "prompt",
    "outcome": "hold",
    "category": "gate",
    "reason_code": "trial",
    "message": "This is a trial rule.",
    "advice": "There is nothing to do.",
}
ODD = [
    {"id": "error_in_when", "when": "hits[0].span[0] > 3"},
    {"id": "error_hidden_by_or", "when": "hits[0].span[0] > 3 || true"},
    {
        "id": "error_then_where",
        "when": "1 / text.length > 0",
        "evidence": "hits",
        "where": "it.category == 'x'",
    },
    {"id": "error_in_item", "evidence": "hits", "where": "it.span[0] > 3"},
    {"id": "error_or_true", "evidence": "hits", "where": "it.span[0] > 3 || it.category == 'hate'"},
    {"id": "false_guards_error", "when": "size(hits) > 0 && hits[0].span[0] > 3"},
    {
        "id": "threshold_in_text",
        "when": "'threshold' == language.code || scores.hate > threshold",
        "threshold": 0.5,
    },
    {"id": "negative_threshold", "when": "double(text.length) - 5.0 < threshold", "threshold": -1.5},
    {"id": "a_comment", "when": "text.obfuscated // and threshold && )", "threshold": 1.0},
    {"id": "scores_are_items", "evidence": "scores", "where": "it.score >= threshold", "threshold": 0.9},
    {"id": "own_variable", "when": "hits.exists(threshold, threshold.category == 'hate')"},
    {
        "id": "it_in_macro",
        "evidence": "hits",
        "where": "hits.exists(it, it.category == 'hate') && it.view == 'text'",
    },
]


def long_way(pack: Pack) -> Pack:
    """The same pack, in which every rule is asked by itself."""

    class Everything:
        def __init__(self, count: int) -> None:
            self.count = count

        def look(self, *_: Any) -> fast.Look:
            return fast.Look([None] * self.count, None)

        def passing(self, *_: Any) -> None:
            return None

    ways: Any = {stage: Everything(sum(rule.text.stage == stage for rule in pack.rules)) for stage in STAGES}
    return replace(pack, ways=ways)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Pack, Pack]]:
    path = tmp_path_factory.mktemp("packs") / "odd.yaml"
    rules = [*FLOOR, *({**RULE, **one} for one in ODD)]
    path.write_text(yaml.safe_dump({"name": "odd", "version": "1", "rules": rules}))
    return [(pack, long_way(pack)) for pack in (load(path), load(default_pack()))]


texts = st.sampled_from(["text", "joined", "threshold", "en", ""])
hits = st.fixed_dictionaries(
    {
        "category": st.sampled_from([*CATEGORIES, "minor", "x"]),
        "term": st.text(max_size=4),
        "span": st.lists(st.integers(0, 9), max_size=2),
        "view": texts,
        "intent": st.sampled_from(["", "promote", "real", "nudity"]),
    }
)
entities = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(sorted(WORDS["Entity"]["kind"])),
        "consent": st.sampled_from(["", "grant"]),
        "asked": st.lists(st.sampled_from(sorted(WORDS["Entity"]["asked"])), max_size=2),
        "start": st.integers(0, 9),
        "end": st.integers(0, 9),
    }
)
given_facts = st.fixed_dictionaries(
    {
        "hits": st.lists(hits, max_size=3),
        "entities": st.lists(entities, max_size=3),
        "scores": st.dictionaries(
            st.sampled_from(CATEGORIES), st.sampled_from([0.0, 0.5, 0.75, 0.8, 0.95, 1]), max_size=4
        ),
        "text": st.fixed_dictionaries({"length": st.integers(0, 9), "obfuscated": st.booleans()}),
        "language": st.fixed_dictionaries({"code": texts, "scored": st.booleans()}),
        "user": st.fixed_dictionaries({"level": st.sampled_from(sorted(WORDS["User"]["level"]))}),
    }
)


@settings(max_examples=120)
@given(facts=given_facts)
def test_both_ways_decide_alike(packs: list[tuple[Pack, Pack]], facts: dict[str, Any]) -> None:
    for short, long in packs:
        known = filled("prompt", facts)
        assert short.decide("prompt", known) == long.decide("prompt", known)


def test_an_error_holds_whatever_the_rules_beside_it_say(packs: list[tuple[Pack, Pack]]) -> None:
    pack = packs[0][0]
    broken = {hit.id for hit in pack.decide("prompt", filled("prompt", {"text": {"length": 0}})).rules}
    assert {"error_in_when", "error_then_where"} <= broken
    assert "false_guards_error" not in broken


def test_text_that_no_message_can_hold_is_held(packs: list[tuple[Pack, Pack]]) -> None:
    facts = filled("prompt", {"language": {"code": "\ud800"}})
    for pack, _ in packs:
        decision = pack.decide("prompt", facts)
        assert (decision.outcome, decision.rules[0].reason_code) == ("hold", "facts_incomplete")


def test_only_the_word_itself_becomes_the_number() -> None:
    source = "it.threshold < threshold && x == 'threshold' && r'\\threshold' != y // threshold"
    assert fast._settled(source, 0.5) == source.replace("< threshold", "< (0.5)")


def test_what_a_shortcut_cannot_bundle_is_asked_singly(
    tmp_path: Path, packs: list[tuple[Pack, Pack]]
) -> None:
    # The control: a shortcut that says no to everything is noticed by the comparison above.
    short, long = packs[1]

    class Nothing:
        def look(self, *_: Any) -> fast.Look:
            return fast.Look([False] * sum(rule.text.stage == "prompt" for rule in short.rules), None)

    ways: Any = dict(short.ways) | {"prompt": Nothing()}
    facts = filled("prompt", {"hits": [{"category": "hate"}]})
    assert replace(short, ways=ways).decide("prompt", facts) != long.decide("prompt", facts)
