from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decision import CATEGORIES, Decision, from_json, to_json
from core.errors import PolicyError
from policies.engine import Pack, default_pack, load
from policies.facts import filled, problems
from policies.lint import lint, run_tests
from tests.policies.floor import FLOOR

ALWAYS = FLOOR
RULE = {
    "id": "gore",
    "stage": "prompt",
    "evidence": "hits",
    "where": "it.category == 'violence_gore'",
    "outcome": "hold",
    "category": "violence_gore",
    "reason_code": "graphic_violence",
    "message": "The prompt asks for gore.",
    "advice": "Wait for the reviewer.",
}


def written(folder: Path, *rules: dict[str, Any], tests: tuple[dict[str, Any], ...] = ()) -> Path:
    path = folder / "pack.yaml"
    pack = {"name": "trial", "version": "1", "rules": [*ALWAYS, *rules], "tests": list(tests)}
    path.write_text(yaml.safe_dump(pack))
    return path


@pytest.fixture(scope="module")
def default() -> Pack:
    return load(default_pack())


def test_default_pack_passes_its_own_tests_and_lint(default: Pack) -> None:
    assert run_tests(default) == []
    assert lint(default) == []
    assert len({case.rule for case in default.tests}) == len(default.rules)


def test_a_harmless_request_is_allowed_without_a_rule(default: Pack) -> None:
    for stage in ("prompt", "screen"):
        decision = default.decide(stage, filled(stage, {}))
        assert (decision.outcome, decision.rules) == ("allow", ())


def test_the_most_severe_outcome_wins(default: Pack) -> None:
    facts = filled("prompt", {"entities": [{"kind": "franchise"}, {"kind": "protected", "consent": "grant"}]})
    decision = default.decide("prompt", facts)
    assert {hit.outcome for hit in decision.rules} == {"allow", "refuse"}
    assert decision.outcome == "refuse"


def test_a_decision_cites_the_consent_that_permitted_a_match(default: Pack) -> None:
    matches = [{"kind": "likeness", "identity": "one", "consent": "grant-7", "track": "video"}]
    decision = default.decide("screen", filled("screen", {"matches": matches}))
    assert decision.outcome == "allow"
    assert decision.consents == ("grant-7",)
    assert "grant-7" in decision.rules[0].message
    matches[0]["consent"] = ""
    without = default.decide("screen", filled("screen", {"matches": matches}))
    assert (without.outcome, without.consents) == ("hold", ())


def test_evidence_carries_score_threshold_span_and_view(default: Pack) -> None:
    facts = filled(
        "prompt",
        {
            "scores": {"hate": 0.91},
            "hits": [
                {"category": "self_harm", "term": "t", "span": [3, 9], "view": "joined", "intent": "depict"}
            ],
        },
    )
    by_id = {hit.id: hit for hit in default.decide("prompt", facts).rules}
    assert by_id["self_harm_asked"].span == (3, 9)
    assert by_id["self_harm_asked"].view == "joined"
    assert by_id["hate_scored"].evidence == ({"category": "hate", "score": 0.91, "threshold": 0.8},)


@pytest.mark.parametrize("stage", ["prompt", "screen"])
def test_every_missing_fact_holds(default: Pack, stage: Any) -> None:
    whole = filled(stage, {"hits": [{"category": "x", "span": [0, 1]}], "matches": [{"kind": "voice"}]})
    for name in problems(stage, {}):
        facts = {key: value for key, value in whole.items() if key != name.split()[0]}
        decision = default.decide(stage, facts)
        assert decision.outcome == "hold"
        assert decision.rules[0].reason_code == "facts_incomplete"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("scores",), {}),
        (("scores", "hate"), "high"),
        (("scores", "hate"), True),
        (("hits",), None),
        (("hits",), [{"category": "hate"}]),
        (("language", "scored"), "yes"),
        (("text", "length"), 1.5),
        (("text", "length"), 1 << 70),
    ],
)
def test_a_mistyped_fact_holds(default: Pack, path: tuple[str, ...], value: Any) -> None:
    facts = filled("prompt", {})
    place = facts
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert default.decide("prompt", facts).rules[0].reason_code == "facts_incomplete"


def test_facts_that_are_not_json_are_an_error(default: Pack) -> None:
    with pytest.raises(PolicyError, match="not JSON"):
        default.decide("prompt", filled("prompt", {"scores": {"hate": float("nan")}}))
    with pytest.raises(PolicyError, match="not JSON"):
        default.decide("prompt", {"text": object()})


def test_a_run_time_error_holds_and_says_why(tmp_path: Path) -> None:
    broken = {**RULE, "outcome": "allow", "where": "it.span[0] >= 0"}
    pack = load(written(tmp_path, broken))
    facts = filled("prompt", {"hits": [{"category": "violence_gore", "span": []}]})
    decision = pack.decide("prompt", facts)
    assert decision.outcome == "hold"
    assert decision.rules[0].reason_code == "policy_error"
    assert "index" in decision.rules[0].evidence[0]["error"]
    facts["hits"][0]["span"] = [0, 1]
    assert pack.decide("prompt", facts).outcome == "allow"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"where": "it.category == 3"}, r"gore: where: column 13: .*overload"),
        ({"where": "it.catgory == 'x'"}, r"gore: where: column 3: undefined field 'catgory'"),
        ({"where": "scores.nudity > 0.5"}, r"gore: where: column 7: undefined field"),
        ({"where": "hits.exists(h, h.trem == '')"}, r"gore: where: column 17: undefined field"),
        ({"where": "it.category"}, r"gore: where: .*STRING, not true or false"),
        ({"where": "it.category =="}, r"gore: where: column"),
        ({"when": "it.category == 'x'"}, r"gore: when: column 3: undeclared reference"),
        ({"evidence": "matches"}, r"gore: evidence: the stage prompt has no list matches"),
        ({"outcome": "shrug"}, r"rules\.7\.outcome"),
        ({"colour": "red"}, r"rules\.7\.colour"),
        ({"message": ""}, r"rules\.7\.message"),
        ({"where": None}, r"`evidence` and `where` go together"),
        ({"where": None, "evidence": None}, r"a rule needs"),
        ({"id": "minors_sexual_asked"}, r"more than one rule is called minors_sexual_asked"),
    ],
)
def test_a_broken_rule_is_refused_by_name(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    load(written(tmp_path, RULE))
    with pytest.raises(PolicyError, match=says):
        load(written(tmp_path, {**RULE, **change}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"name: x",
        b"a: [",
        b"\xff\xfe\x00",
        b"name: a\nname: b",
        b"- 1",
        b"!!python/object:os.system {}",
        b"[a]: 1",
        b"{[a]: 1}: 2",
    ],
)
def test_content_that_is_no_pack_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pack.yaml"
    path.write_bytes(content)
    with pytest.raises(PolicyError):
        load(path)


def test_a_missing_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"absent\.yaml cannot be read"):
        load(tmp_path / "absent.yaml")


@pytest.mark.parametrize("kept", [[0, 1], [0, 2], [1, 2]])
def test_no_pack_loads_that_lets_the_gravest_cases_through(tmp_path: Path, kept: list[int]) -> None:
    pack = {"name": "trial", "version": "1", "rules": [*(ALWAYS[index] for index in kept), *ALWAYS[3:]]}
    path = tmp_path / "pack.yaml"
    path.write_text(yaml.safe_dump(pack))
    with pytest.raises(PolicyError, match="must refuse, as grave"):
        load(path)


def test_the_hash_is_of_the_bytes_and_changes_with_them(tmp_path: Path) -> None:
    path = written(tmp_path, RULE)
    first = load(path).sha256
    assert first == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes() + b"# a word more\n")
    assert load(path).sha256 != first


def test_lint_and_tests_find_what_is_wrong(tmp_path: Path) -> None:
    case = {"rule": "gore", "fires": False, "facts": {"hits": [{"category": "violence_gore"}]}}
    wrong = {"rule": "absent", "fires": True, "facts": {}}
    odd = {**RULE, "category": "colour", "message": "This is $score points.", "grave": True}
    pack = load(written(tmp_path, odd, tests=(case, wrong)))
    objections = [objection for objection in lint(pack) if objection.startswith("gore")]
    assert objections == [
        "gore: no test in which it fires",
        "gore: the category colour is not known",
        "gore: its texts quote score, which its evidence lacks",
        "gore: it is grave but does not refuse",
    ]
    assert run_tests(pack) == ["tests[0]: gore fired", "tests[1]: there is no rule absent"]


hits = st.fixed_dictionaries(
    {
        "category": st.sampled_from([*CATEGORIES, "minor"]),
        "term": st.text(max_size=5),
        "span": st.tuples(st.integers(0, 9), st.integers(0, 9)),
        "view": st.sampled_from(["text", "joined"]),
        "intent": st.sampled_from(["", "promote", "real", "nudity"]),
    }
)
entities = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["public_figure", "living_artist", "franchise", "protected"]),
        "consent": st.sampled_from(["", "grant-1", "grant-2"]),
    }
)
given_facts = st.fixed_dictionaries(
    {
        "hits": st.lists(hits, max_size=3),
        "entities": st.lists(entities, max_size=3),
        "scores": st.dictionaries(st.sampled_from(CATEGORIES), st.floats(0, 1), max_size=4),
    }
)


def decided(pack: Pack, facts: dict[str, Any]) -> Decision:
    return pack.decide("prompt", filled("prompt", facts))


@settings(max_examples=60)
@given(facts=given_facts)
def test_a_decision_is_replayed_from_its_stored_form(default: Pack, facts: dict[str, Any]) -> None:
    decision = decided(default, facts)
    stored = from_json(json.loads(json.dumps(to_json(decision))))
    assert stored == decision
    assert default.decide(stored.stage, stored.facts) == decision


@settings(max_examples=60)
@given(facts=given_facts)
def test_more_hits_never_soften_a_decision(default: Pack, facts: dict[str, Any]) -> None:
    order = ["allow", "hold", "refuse"]
    fewer = decided(default, {**facts, "hits": facts["hits"][:1]})
    assert order.index(decided(default, facts).outcome) >= order.index(fewer.outcome)
