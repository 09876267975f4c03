"""Every expression of the default pack, and some that bite, by two engines that share no code.

Ours is Google's C++ implementation; the other is written in Rust and knows no types. Where both give a truth it is the
same truth; where one of them gives an error, ours holds.
"""

from __future__ import annotations

from typing import Any

import cel
import pytest
from hypothesis import given, settings

from policies import facts as fact
from policies.cel import EvaluationFailed, Messages
from policies.engine import Pack, Rule, default_pack, load
from policies.facts import STAGES, filled
from tests.policies.test_fast import given_facts


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load(default_pack())


def theirs(program: Any, variables: dict[str, Any]) -> bool | None:
    """The other engine's answer; None for an error."""
    try:
        value = program.execute(variables)
    except Exception:  # noqa: BLE001  it has many kinds
        return None
    return value if isinstance(value, bool) else None


def ours(condition: Any, variables: dict[str, Any]) -> bool | None:
    try:
        return bool(condition.holds(variables))
    except EvaluationFailed:
        return None


def both(pack: Pack, rule: Rule, facts: dict[str, Any]) -> list[tuple[bool | None, bool | None]]:
    """What both engines say of the `when` of a rule and of every item under its `where`."""
    shapes, value = STAGES["prompt"], pack.messages.value
    bound = {name: value(shape, facts[name]) for name, shape in shapes.items()}
    number = {"threshold": rule.text.threshold or 0.0}
    plain = facts | number
    said = []
    if rule.when is not None:
        program = cel.compile(rule.when.source)
        said.append((ours(rule.when, bound | number), theirs(program, plain)))
    if rule.where is not None:
        program = cel.compile(rule.where.source)
        shape = fact.evidence_shapes("prompt")[str(rule.text.evidence)]
        for item in fact.items(facts, str(rule.text.evidence)):
            mine = ours(rule.where, bound | number | {"it": value(shape, item)})
            said.append((mine, theirs(program, plain | {"it": item})))
    return said


@settings(max_examples=25)
@given(facts=given_facts)
def test_two_engines_agree_on_every_rule_of_the_default_pack(pack: Pack, facts: dict[str, Any]) -> None:
    known = filled("prompt", facts)
    for rule in pack.rules:
        if rule.text.stage == "prompt":
            for mine, other in both(pack, rule, known):
                assert mine is not None
                assert mine == other, rule.text.id


CASES = [
    ("scores.hate >= 0.5", True),
    ("scores.hate >= 0.5 && scores.hate < 0.6", True),
    ("hits.exists(h, h.category == 'hate')", True),
    ("hits.all(h, h.span[0] < h.span[1])", True),
    ("hits.exists_one(h, h.view == 'text')", False),
    ("size(hits) == 2 && size(hits.filter(h, h.category == 'minor')) == 1", True),
    ("'hate' in hits.map(h, h.category)", True),
    ("hits[5].category == 'x'", None),
    ("hits[5].category == 'x' || true", True),
    ("false && hits[5].category == 'x'", False),
    ("text.length / 0 > 1", None),
    ("text.length % 0 == 1", None),
    ("language.code.startsWith('e') && language.code.endsWith('n')", True),
    ("language.code.contains('x') ? hits[9].view == '' : true", True),
    ("language.code.matches('^(a+)+$')", False),
    ("text.length == 48", True),
    ("double(text.length) > 47.5", True),
    ("!(text.obfuscated) && !hits.exists(h, h.term == 'none')", True),
    ("'\u00e9' == 'e\u0301'", False),
    ("-0.0 == 0.0", True),
    ("9007199254740993 == 9007199254740992", False),
]


@pytest.mark.parametrize(("source", "expected"), CASES)
def test_two_engines_agree_where_it_bites_and_errors_are_no_truths(
    source: str, expected: bool | None
) -> None:
    facts = filled(
        "prompt",
        {
            "text": {"length": 48},
            "language": {"code": "en"},
            "scores": {"hate": 0.5},
            "hits": [{"category": name, "span": [1, 4], "view": "text"} for name in ("hate", "minor")],
        },
    )
    shapes = STAGES["prompt"]
    messages = Messages([*shapes.values(), *fact.evidence_shapes("prompt").values()])
    condition = messages.language(shapes).compile(source)
    bound = {name: messages.value(shape, facts[name]) for name, shape in shapes.items()}
    assert ours(condition, bound) is expected
    assert theirs(cel.compile(source), facts) is expected


def test_where_they_differ_ours_is_what_the_language_says() -> None:
    """The length of a text is counted in characters (cel-spec, "size"); the other engine counts bytes."""
    source = "size('\u00e9\U0001f600') == 2"
    condition = Messages(STAGES["prompt"].values()).language({}).compile(source)
    assert (ours(condition, {}), theirs(cel.compile(source), {})) == (True, False)


def test_types_that_do_not_fit_are_refused_here_and_only_false_there(pack: Pack) -> None:
    """The control: what the other engine answers without complaint does not even compile here."""
    from core.errors import PolicyError

    source = "request.modality == 3"
    assert theirs(cel.compile(source), filled("prompt", {})) is False
    with pytest.raises(PolicyError, match="overload"):
        pack.messages.language(STAGES["prompt"]).compile(source)
