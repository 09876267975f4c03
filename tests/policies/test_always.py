from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decision import CATEGORIES
from core.errors import PolicyError
from policies import always
from policies.engine import Pack, default_pack, load
from policies.facts import FIGURES as PEOPLE
from policies.facts import STAGES, Many, Record, filled, problems
from tests.policies.floor import FIGURES, MINORS

GRAVEST = MINORS


def narrowed(extra: str, rules: list[dict[str, Any]] = MINORS) -> list[dict[str, Any]]:
    """The rules that every pack needs, each of which now also asks for something else."""
    return [{**rule, "where": f"({rule['where']}) && ({extra})"} for rule in rules]


def loaded(folder: Path, rules: list[dict[str, Any]], missing: list[dict[str, Any]] = FIGURES) -> Pack:
    """Load rules, with those of the other floor that they leave out."""
    path = folder / "pack.yaml"
    path.write_text(yaml.safe_dump({"name": "trial", "version": "1", "rules": [*rules, *missing]}))
    return load(path)


def test_the_gravest_rules_alone_make_a_pack(tmp_path: Path) -> None:
    assert loaded(tmp_path, GRAVEST).rules
    assert loaded(tmp_path, narrowed("true")).rules
    assert loaded(tmp_path, narrowed("size(hits) >= 0 && scores.sexual >= 0.0")).rules


@pytest.mark.parametrize(
    "extra",
    [
        "!request.sandbox",
        "request.partner != 'a partner of long standing'",
        "!request.project.startsWith('research-')",
        "!request.partner.matches('^[a-f]')",
        "request.partner.size() != 11",
        "request.territory != 'xx'",
        "request.modality == 'video'",
        "language.scored",
        "language.code == 'en'",
        "text.length < 4000",
        "!text.obfuscated",
        "text.views.all(v, !v.contains('medical'))",
        "!identities.exists(i, i.consent != '')",
        "!entities.exists(e, e.kind == 'protected' && e.consent != '')",
        "size(entities) == 0",
        "scores.hate < 0.5",
        "scores.sexual < 0.999",
        "scores.minors_sexual < 0.999",
        "hits.all(h, h.intent != 'depict')",
        "hits.all(h, h.view == 'text')",
        "hits.all(h, h.term != 'a word')",
        "hits.all(h, size(h.span) == 2 && h.span[1] - h.span[0] < 30)",
        "hits.all(h, dyn(h).term != 'a word')",
        "size(hits) < 3",
        "size(hits) == 0 || hits[0].category != 'violence_gore'",
        "!hits.exists(h, h.category == 'artist_style')",
    ],
)
def test_no_pack_loads_that_exempts_somebody_or_something(tmp_path: Path, extra: str) -> None:
    with pytest.raises(PolicyError, match="must refuse, as grave"):
        loaded(tmp_path, narrowed(extra))


@pytest.mark.parametrize("number", range(3))
def test_an_exemption_in_one_of_the_rules_is_enough_to_refuse_the_pack(tmp_path: Path, number: int) -> None:
    rules = [*GRAVEST]
    rules[number] = {**rules[number], "when": "!request.sandbox && request.partner != 'friends'"}
    with pytest.raises(PolicyError, match="must refuse, as grave"):
        loaded(tmp_path, rules)


@pytest.mark.parametrize(
    "change",
    [{"outcome": "hold"}, {"outcome": "allow"}, {"grave": False}, {"stage": "screen", "evidence": "matches"}],
)
def test_a_softer_outcome_is_no_refusal(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        loaded(tmp_path, [{**rule, **change} for rule in GRAVEST])


def test_a_grave_rule_beside_a_soft_refusal_is_not_taken_for_a_grave_refusal(tmp_path: Path) -> None:
    soft = [{**rule, "grave": False} for rule in GRAVEST]
    held = [{**rule, "id": f"{rule['id']}_held", "outcome": "hold"} for rule in GRAVEST]
    with pytest.raises(PolicyError, match="must refuse, as grave"):
        loaded(tmp_path, [*soft, *held])


def test_rules_that_exempt_may_stand_beside_the_gravest_and_change_nothing(tmp_path: Path) -> None:
    allowing = {**GRAVEST[0], "id": "trusted", "outcome": "allow", "grave": False, "when": "request.sandbox"}
    stricter = [{**rule, "id": f"{rule['id']}_too"} for rule in narrowed("request.sandbox")]
    pack = loaded(tmp_path, [allowing, *stricter, *GRAVEST])
    facts = {"hits": [{"category": "minors_sexual"}], "request": {"sandbox": True}}
    decision = pack.decide("prompt", filled("prompt", facts))
    assert (decision.outcome, decision.grave) == ("refuse", True)
    assert "trusted" in {hit.id for hit in decision.rules}


@pytest.mark.parametrize(
    "extra",
    [
        "!request.sandbox",
        "request.partner != 'friends'",
        "language.scored",
        "!text.obfuscated",
        "size(identities) == 0",
        "size(elections) == 0",
        "user.level == ''",
        "it.text != 'A Name'",
        "it.id != 'a_name'",
        "it.office == ''",
        "it.jurisdiction != 'US'",
        "it.match == 'exact'",
        "it.start < 40",
        "it.kind == 'public_figure'",
        "it.kind != 'candidate'",
        "size(entities) < 2",
        "!entities.exists(e, e.consent != '')",
        "!entities.exists(e, e.kind == 'franchise')",
        "size(hits) < 2",
        "!hits.exists(h, h.category == 'artist_style')",
        "scores.hate < 0.5",
    ],
)
def test_no_pack_loads_that_exempts_some_real_people(tmp_path: Path, extra: str) -> None:
    assert loaded(tmp_path, narrowed("size(it.kind) > 0", FIGURES), MINORS).rules
    with pytest.raises(PolicyError, match=r"must (refuse|hold)"):
        loaded(tmp_path, narrowed(extra, FIGURES), MINORS)


@pytest.mark.parametrize("number", range(len(FIGURES)))
def test_each_rule_about_real_people_is_needed(tmp_path: Path, number: int) -> None:
    with pytest.raises(PolicyError, match=r"must (refuse|hold)"):
        loaded(tmp_path, FIGURES[:number] + FIGURES[number + 1 :], MINORS)
    softer = {"refuse": "hold", "hold": "allow"}
    soft = [*FIGURES]
    soft[number] = {**soft[number], "outcome": softer[soft[number]["outcome"]], "grave": False}
    with pytest.raises(PolicyError, match=r"must (refuse|hold)"):
        loaded(tmp_path, soft, MINORS)


def test_a_consent_lifts_what_it_covers_and_never_something_sexual(tmp_path: Path) -> None:
    pack = loaded(tmp_path, MINORS)
    for kind in PEOPLE:
        for asked, outcome in (("voice", "allow"), ("political", "allow"), ("sexual", "refuse")):
            one = {"kind": kind, "asked": [asked], "consent": "grant"}
            assert pack.decide("prompt", filled("prompt", {"entities": [one]})).outcome == outcome


def test_what_the_counted_rules_see_is_part_of_the_facts() -> None:
    known: Any = STAGES["prompt"]
    for floor in always.FLOORS:
        for name, seen in floor.visible.items():
            part, whole = (seen.of, known[name].of) if isinstance(seen, Many) else (seen, known[name])
            assert isinstance(part, Record)
            assert part.name == whole.name
            assert part.fields.items() <= whole.fields.items()


def test_every_case_is_whole_and_comes_in_company() -> None:
    cases = [case for floor in always.FLOORS for case in floor.cases()]
    assert len({case.what for case in cases}) >= 10
    assert all(problems("prompt", case.facts) == () for case in cases)
    for category in CATEGORIES:
        assert any(category in {hit["category"] for hit in case.facts["hits"]} for case in cases)
    for kind in PEOPLE:
        assert any(kind in {one["kind"] for one in case.facts["entities"]} for case in cases)


words = st.text(max_size=8)
grants = st.sampled_from(["", "grant"])
levels = st.floats(0, 1)
any_hit = st.fixed_dictionaries(
    {
        "category": st.sampled_from([*CATEGORIES, "minor"]),
        "term": words,
        "span": st.lists(st.integers(0, 5000), max_size=3),
        "view": words,
        "intent": words,
    }
)
surroundings = st.fixed_dictionaries(
    {
        "text": st.fixed_dictionaries({"length": st.integers(0, 5000), "obfuscated": st.booleans()}),
        "language": st.fixed_dictionaries({"code": words, "scored": st.booleans()}),
        "scores": st.fixed_dictionaries(dict.fromkeys(CATEGORIES, levels)),
        "hits": st.lists(any_hit, max_size=4),
        "entities": st.lists(
            st.fixed_dictionaries({"kind": st.sampled_from(["protected", "franchise"]), "consent": grants}),
            max_size=2,
        ),
        "request": st.fixed_dictionaries(
            {
                "modality": st.sampled_from(["video", "audio", "soundtrack"]),
                "partner": words,
                "project": words,
                "territory": words,
                "sandbox": st.booleans(),
            }
        ),
        "identities": st.lists(st.fixed_dictionaries({"id": words, "consent": grants}), max_size=2),
    }
)
meaning = st.sampled_from(
    [
        (["minors_sexual"], None),
        (["minor", "sexual"], None),
        (["sexual", "minor"], None),
        (["minor"], "sexual"),
        ([], "minors_sexual"),
    ]
)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> list[Pack]:
    """The default pack, and the least that loads."""
    return [load(default_pack()), loaded(tmp_path_factory.mktemp("packs"), GRAVEST)]


def asked(facts: dict[str, Any], categories: list[str], scored: str | None, draw: Callable[..., Any]) -> Any:
    """Put hits and a score that mean a minor and something sexual anywhere into other facts."""
    hits = [*facts["hits"]]
    for category in categories:
        hits.insert(draw(st.integers(0, len(hits))), {**draw(any_hit), "category": category})
    scores = facts["scores"] | ({scored: draw(st.floats(0.99, 1))} if scored else {})
    return filled("prompt", {**facts, "hits": hits, "scores": scores})


@settings(max_examples=80)
@given(facts=surroundings, kind=meaning, data=st.data())
def test_nothing_else_that_is_known_softens_the_gravest_refusal(
    packs: list[Pack], facts: dict[str, Any], kind: tuple[list[str], str | None], data: st.DataObject
) -> None:
    given_facts = asked(facts, *kind, data.draw)
    for pack in packs:
        decision = pack.decide("prompt", given_facts)
        assert (decision.outcome, decision.grave) == ("refuse", True)
        assert not {hit.reason_code for hit in decision.rules} & {"facts_incomplete", "policy_error"}


def test_the_same_surroundings_without_a_minor_are_not_the_gravest(packs: list[Pack]) -> None:
    quiet = filled("prompt", {"request": {"sandbox": True}, "hits": [{"category": "sexual"}]})
    assert [pack.decide("prompt", quiet).grave for pack in packs] == [False, False]
