from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from core.decision import CATEGORIES, from_json, to_json
from core.errors import BadInput, Conflict, NotFound
from core.events import parse
from core.tables import AuditEvent, PolicyFile, Ruling
from pipeline import packs
from pipeline.intake import Ask, submit
from pipeline.precheck import asked, precheck
from pipeline.rulebook import candidates, keep
from pipeline.run import advance
from pipeline.sweep import sweep
from pipeline.tools import Tools
from policies.backtest import Totals, decided_again
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools, reading
from tests.policies.floor import FLOOR

RULES: list[dict[str, Any]] = [
    {
        "id": "hate_scored",
        "stage": "prompt",
        "evidence": "scores",
        "where": "it.category == 'hate' && it.score >= threshold",
        "threshold": 0.8,
        "outcome": "hold",
        "category": "hate",
        "reason_code": "hate_likely",
        "message": "The prompt reads as an attack on a group.",
        "advice": "Say what the scene is about.",
        "loosenable": True,
    },
    {
        "id": "gore_scored",
        "stage": "prompt",
        "evidence": "scores",
        "where": "it.category == 'violence_gore' && it.score >= threshold",
        "threshold": 0.8,
        "outcome": "hold",
        "category": "violence_gore",
        "reason_code": "graphic_violence_likely",
        "message": "The prompt reads as graphic violence.",
        "advice": "Say how much is shown.",
    },
    {
        "id": "candidate_named",
        "stage": "prompt",
        "evidence": "entities",
        "where": "it.kind == 'candidate'",
        "outcome": "hold",
        "category": "political_deception",
        "reason_code": "candidate_named",
        "message": "The prompt names a candidate.",
        "advice": "Leave the name out.",
    },
]


def cases_of(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The inline tests without which lint objects."""
    fires = {
        "minors_sexual_asked": {"hits": [{"category": "minors_sexual"}]},
        "minors_sexual_composed": {"hits": [{"category": "minor"}, {"category": "sexual"}]},
        "minors_sexual_scored": {"scores": {"minors_sexual": 0.96}},
        "person_sexualised": {"entities": [{"kind": "protected", "asked": ["sexual"]}]},
        "person_voiced": {"entities": [{"kind": "protected", "asked": ["voice"]}]},
        "voters_misled_about_person": {
            "hits": [{"category": "political_deception"}],
            "entities": [{"kind": "protected"}],
        },
        "person_in_politics": {"entities": [{"kind": "protected", "asked": ["political"]}]},
        "hate_scored": {"scores": {"hate": 0.99}},
        "gore_scored": {"scores": {"violence_gore": 0.99}},
        "candidate_named": {"entities": [{"kind": "candidate"}]},
    }
    known = [{"rule": rule["id"], "fires": True, "facts": fires[rule["id"]]} for rule in rules]
    return known + [{"rule": rule["id"], "fires": False, "facts": {}} for rule in rules]


def pack(version: str = "1", **changes: Any) -> bytes:
    rules = [*FLOOR, *(rule | changes.get(rule["id"], {}) for rule in RULES)]
    return yaml.safe_dump(
        {"name": "house", "version": version, "rules": rules, "tests": cases_of(rules)}
    ).encode()


def overlay(**changes: Any) -> bytes:
    text = {"overlay": "house_de", "version": "1", "why": "Germany is stricter.", "territory": "DE"}
    text |= {"changes": [{"rule": "hate_scored", "threshold": 0.5}]}
    return yaml.safe_dump(text | changes).encode()


def election(**changes: Any) -> bytes:
    text: dict[str, Any] = {"election": "general", "version": "1", "why": "A general election."}
    text |= {"jurisdiction": "DE", "candidates": [{"name": "Marta Quillfeather"}]}
    text |= {"starts": datetime(2026, 11, 24, tzinfo=UTC), "ends": datetime(2026, 11, 25, tzinfo=UTC)}
    text |= {"changes": [{"rule": "hate_scored", "threshold": 0.6, "outcome": "refuse"}]}
    return yaml.safe_dump(text | changes).encode()


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    add_partner(made.store)
    return made


def done(tools: Tools, change: Callable[..., Any], *args: Any, by: str = "ada", **more: Any) -> Any:
    with tools.store.session() as session:
        row = change(session, *args, by=by, clock=tools.clock, **more)
        session.commit()
    return row


def added(tools: Tools, content: bytes, by: str = "ada") -> str:
    return str(done(tools, packs.add, tools.book, tools.pack, content, by=by).sha256)


def activated(tools: Tools, content: bytes) -> str:
    digest = added(tools, content)
    if packs.read_kind(content) == "pack":
        done(tools, packs.shade, digest)
    done(tools, packs.activate, tools.book, tools.pack, digest, by="ben")
    return digest


def events(tools: Tools, *tags: str) -> list[dict[str, Any]]:
    with tools.store.reading() as session:
        rows = session.exec(select(AuditEvent).order_by(col(AuditEvent.id)))
        return [dict(parse(row.leaf).facts) for row in rows if row.tag in tags]


def state(tools: Tools, digest: str) -> str:
    with tools.store.reading() as session:
        return session.get_one(PolicyFile, digest).state


def decided(tools: Tools, territory: str = "", **scores: float) -> Any:
    reads = replace(
        tools,
        read_prompt=lambda _s, text, _m: reading(text) | {"scores": dict.fromkeys(CATEGORIES, 0.0) | scores},
    )
    return precheck(reads, "acme", asked("Waves", "video", territory=territory), "video").decision


def test_a_pack_goes_from_draft_over_the_shadow_to_active_by_two_people(tools: Tools) -> None:
    digest = added(tools, pack())
    assert state(tools, digest) == "draft"
    with pytest.raises(Conflict, match="from shadow"):
        done(tools, packs.activate, tools.book, tools.pack, digest, by="ben")
    done(tools, packs.shade, digest)
    with pytest.raises(Conflict, match="another admin"):
        done(tools, packs.activate, tools.book, tools.pack, digest, by="ada")
    assert decided(tools).pack == "default"
    done(tools, packs.activate, tools.book, tools.pack, digest, by="ben")
    assert (state(tools, digest), decided(tools).pack_sha256) == ("active", digest)
    assert [one["file"] for one in events(tools, "policy:added", "policy:shadowed", "policy:activated")] == [
        digest
    ] * 3


def test_the_database_itself_refuses_one_person_and_a_second_active_pack(tools: Tools) -> None:
    first = activated(tools, pack())
    second = added(tools, pack("2"))
    for values in (
        {"state": "active", "approved_by": "ada"},
        {"state": "active"},
        {"state": "active", "approved_by": "ben"},
    ):
        change = sa.update(PolicyFile).where(col(PolicyFile.sha256) == second).values(**values)
        with tools.store.session() as session, pytest.raises(IntegrityError):
            session.execute(change)
    assert state(tools, first) == "active"


def test_going_back_takes_one_person_and_a_reason(tools: Tools) -> None:
    told = {"vault": tools.vault, "reason": "it holds everything"}
    with pytest.raises(Conflict, match="nothing to go back from"):
        done(tools, packs.roll_back, tools.book, tools.pack, **told)
    first, second = activated(tools, pack()), activated(tools, pack("2"))
    assert (state(tools, first), state(tools, second)) == ("retired", "active")
    with pytest.raises(BadInput):
        done(tools, packs.roll_back, tools.book, tools.pack, vault=tools.vault, reason=" ")
    done(tools, packs.roll_back, tools.book, tools.pack, **told)
    assert (state(tools, first), decided(tools).pack_sha256) == ("active", first)
    # No further: what was before that was not what anybody went forward from.
    assert done(tools, packs.roll_back, tools.book, tools.pack, **told) is None
    assert decided(tools).pack == "default"
    assert [one["from"] for one in events(tools, "policy:reverted")] == [second, first]


def test_what_lint_or_its_tests_object_to_is_not_added(tools: Tools) -> None:
    bad = yaml.safe_load(pack())
    bad["tests"] = bad["tests"][:-1]
    with pytest.raises(BadInput, match="stays quiet"):
        added(tools, yaml.safe_dump(bad).encode())
    bad["tests"] = [{**case, "fires": not case["fires"]} for case in cases_of([*FLOOR, *RULES])]
    with pytest.raises(BadInput, match="minors_sexual_asked fired"):
        added(tools, yaml.safe_dump(bad).encode())
    for content in (b"", b"\xff", b"rules: []", b"overlay: x", pack(hate_scored={"where": "it.score"})):
        with pytest.raises(BadInput):
            added(tools, content)
    with pytest.raises(NotFound):
        done(tools, packs.shade, "0" * 64)
    added(tools, pack())
    with pytest.raises(Conflict, match="known already"):
        added(tools, pack())


def test_the_shadow_decides_nothing_and_says_where_it_differs(tools: Tools) -> None:
    digest = added(tools, pack(hate_scored={"threshold": 0.2, "outcome": "refuse"}))
    done(tools, packs.shade, digest)
    reads = replace(
        tools,
        read_prompt=lambda _s, text, _m: (
            reading(text) | {"scores": dict.fromkeys(CATEGORIES, 0.0) | {"hate": 0.5}}
        ),
    )
    with tools.store.session() as session:
        job, _ = submit(session, reads, "acme", Ask(prompt="Waves", seed=1))
        session.commit()
    advance(reads, "w", job.id)
    with tools.store.reading() as session:
        ruling = from_json(session.exec(select(Ruling)).one().decision)
    assert (ruling.outcome, ruling.pack) == ("allow", "default")
    (told,) = events(tools, "policy:differed")
    assert (told["outcome"], told["would"], told["would_rules"]) == ("allow", "refuse", ["hate_scored"])
    assert told["shadow"] == digest
    # Where both agree nothing is said, and a shadow that cannot decide keeps nothing from being decided.
    with tools.store.session() as session:
        session.execute(sa.update(PolicyFile).values(content=b"broken"))
        session.commit()
    tools.book._packs.clear()
    advance(reads, "w", job.id)
    assert decided(tools).outcome == "allow"
    assert len(events(tools, "policy:differed")) == 1


def test_an_active_pack_that_cannot_be_read_holds_everything(tools: Tools) -> None:
    activated(tools, pack())
    with tools.store.session() as session:
        session.execute(sa.update(PolicyFile).values(content=pack("changed")))
        session.commit()
    tools.book._packs.clear()
    decision = decided(tools)
    assert (decision.outcome, decision.rules[0].reason_code) == ("hold", "gate_fault")


def test_an_overlay_is_for_its_territory_and_its_partner_alone(tools: Tools) -> None:
    activated(tools, pack())
    digest = activated(tools, overlay())
    assert decided(tools, "FR", hate=0.6).outcome == "allow"
    strict = decided(tools, "DE", hate=0.6)
    assert (strict.outcome, strict.rules[0].evidence[0]["threshold"]) == ("hold", 0.5)
    assert strict.layers[1:] == (digest,)
    assert strict.pack_sha256 not in strict.layers
    activated(tools, overlay(overlay="other", partner="other", territory=""))
    assert decided(tools, "FR", hate=0.6).outcome == "allow"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([{"rule": "gore_scored", "threshold": 0.9}], "gore_scored is not loosenable"),
        ([{"rule": "gore_scored", "off": True}], "gore_scored is not loosenable"),
        ([{"rule": "minors_sexual_asked", "off": True}], "minors_sexual_asked is not loosenable"),
        ([{"rule": "minors_sexual_scored", "threshold": 0.999}], "minors_sexual_scored is not loosenable"),
        ([{"rule": "person_voiced", "outcome": "hold"}], "person_voiced is not loosenable"),
        ([{"rule": "absent", "off": True}], "no rule absent"),
        ([{"rule": "person_voiced", "threshold": 0.1}], "person_voiced has no threshold"),
        ([{"rule": "hate_scored"}], "an outcome, a threshold or both"),
        ([{"rule": "hate_scored", "outcome": "allow"}], "hold"),
    ],
)
def test_no_overlay_softens_what_it_may_not(tools: Tools, changes: list[Any], says: str) -> None:
    activated(tools, pack())
    assert added(tools, overlay(changes=[{"rule": "hate_scored", "threshold": 0.95}]))  # loosenable
    with pytest.raises(BadInput, match=says):
        added(tools, overlay(changes=changes))


def test_no_rule_of_an_overlay_undoes_the_floor(tools: Tools) -> None:
    """A pack whose floor were loosenable does not load, and an overlay cannot take the floor's rules over."""
    with pytest.raises(BadInput, match="grave rule is not loosenable"):
        added(tools, pack().replace(b"grave: true", b"grave: true\n  loosenable: true"))
    allowing = {**RULES[0], "id": "all_fine", "outcome": "allow"}
    with pytest.raises(BadInput, match="holds or refuses"):
        added(tools, overlay(rules=[allowing]))
    with pytest.raises(BadInput, match="more than one rule"):
        added(tools, overlay(rules=[{**RULES[0], "id": "minors_sexual_asked"}]))
    soft = pack(person_voiced={}).replace(b"id: person_voiced", b"id: person_voiced\n  loosenable: true")
    activated(tools, soft)
    with pytest.raises(BadInput, match="must refuse"):
        added(tools, overlay(changes=[{"rule": "person_voiced", "off": True}]))


def test_the_strictest_of_several_overlays_counts_in_any_order(tools: Tools) -> None:
    activated(tools, pack())
    activated(tools, overlay(overlay="loose", changes=[{"rule": "hate_scored", "off": True}]))
    assert decided(tools, "DE", hate=0.9).outcome == "allow"
    activated(tools, overlay(overlay="tight", changes=[{"rule": "hate_scored", "threshold": 0.5}]))
    activated(tools, overlay(overlay="looser", changes=[{"rule": "hate_scored", "threshold": 0.95}]))
    assert decided(tools, "DE", hate=0.6).outcome == "hold"


def test_ending_an_overlay_early_takes_two_people(tools: Tools) -> None:
    activated(tools, pack())
    digest = activated(tools, overlay())
    done(tools, packs.withdraw, digest, by="ada")
    assert decided(tools, "DE", hate=0.6).outcome == "hold"
    with pytest.raises(Conflict, match="another admin"):
        done(tools, packs.withdraw, digest, by="ada")
    done(tools, packs.withdraw, digest, by="cas")
    assert decided(tools, "DE", hate=0.6).outcome == "allow"
    assert [one["final"] for one in events(tools, "policy:retired")] == [0, 1]


def test_a_new_pack_must_fit_what_is_laid_over_it(tools: Tools) -> None:
    activated(tools, pack())
    activated(tools, overlay(changes=[{"rule": "hate_scored", "threshold": 0.95}]))
    digest = added(tools, pack("2", hate_scored={"loosenable": False}))
    done(tools, packs.shade, digest)
    with pytest.raises(Conflict, match="does not fit"):
        done(tools, packs.activate, tools.book, tools.pack, digest, by="ben")
    assert state(tools, digest) == "shadow"


def test_an_election_tightens_between_its_dates_and_says_so_in_the_log(
    tools: Tools, clock: ManualClock
) -> None:
    activated(tools, pack())
    digest = activated(tools, election())
    sweep(tools)
    assert decided(tools, "DE", hate=0.7).outcome == "allow"
    clock.advance(86_400)
    sweep(tools)
    sweep(tools)
    assert [decided(tools, place, hate=0.7).outcome for place in ("DE", "EU", "", "FR")] == [
        "refuse",
        "refuse",
        "refuse",
        "allow",
    ]
    (started,) = events(tools, "election:started")
    assert started["tightened"] == [
        {"rule": "hate_scored", "outcome": "refuse", "was": "hold", "threshold": 6000, "threshold_was": 8000}
    ]
    clock.advance(86_400)
    # Its end needs nobody: what holds is asked of the clock, and the log is told by whoever sweeps next.
    assert decided(tools, "DE", hate=0.7).outcome == "allow"
    sweep(tools)
    sweep(tools)
    (ended,) = events(tools, "election:ended")
    assert ended["tightened"] == started["tightened"]
    assert state(tools, digest) == "retired"


def test_a_candidate_is_known_while_the_election_lasts_and_where_it_is_seen(
    tools: Tools, clock: ManualClock
) -> None:
    activated(tools, pack())
    activated(tools, election())
    name = {
        "text": "Marta Quillfeather",
        "kind": "protected",
        "id": "candidate_general_0",
        "start": 0,
        "end": 18,
    }
    name |= {"view": "text", "consent": "", "office": "", "jurisdiction": "", "match": "exact", "asked": []}
    reads = replace(tools, read_prompt=lambda _s, text, _m: reading(text) | {"entities": [name]})

    def seen(place: str) -> list[str]:
        decision = precheck(
            reads, "acme", asked("Marta Quillfeather", "video", territory=place), "video"
        ).decision
        return [one["kind"] for one in decision.facts["entities"]] + [hit.id for hit in decision.rules]

    now_ms = int(clock.now().timestamp() * 1000)
    with tools.store.reading() as session:
        assert tools.book.standing(session, now_ms) == []
        (going,) = tools.book.standing(session, now_ms + 86_400_000)
    assert candidates(going) == [("candidate_general_0", ("Marta Quillfeather",))]
    assert seen("DE") == []
    clock.advance(86_400)
    assert seen("DE") == ["candidate", "candidate_named"]
    assert seen("US") == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ends": datetime(2026, 11, 23, tzinfo=UTC)}, "ends after it starts"),
        ({"ends": datetime(2026, 11, 26)}, "timezone"),  # noqa: DTZ001  that is what is wrong with it
        ({"jurisdiction": "Atlantis"}, "jurisdiction"),
        ({"changes": [{"rule": "hate_scored", "threshold": 0.9}]}, "may not soften"),
        ({"candidates": [{"name": "x"}]}, "candidates"),
    ],
)
def test_an_election_that_makes_no_sense_is_refused(tools: Tools, change: dict[str, Any], says: str) -> None:
    activated(tools, pack())
    with pytest.raises(BadInput, match=says):
        added(tools, election(**change))


def test_two_admins_at_once_activate_one_pack(tools: Tools) -> None:
    digests = [added(tools, pack()), added(tools, overlay(changes=[], rules=[{**RULES[0], "id": "more"}]))]
    done(tools, packs.shade, digests[0])
    results: list[str] = []

    def tries(name: str) -> None:
        try:
            done(tools, packs.activate, tools.book, tools.pack, digests[0], by=name)
            results.append("done")
        except Conflict:
            results.append("conflict")

    threads = [threading.Thread(target=tries, args=(name,)) for name in ("ben", "cas", "dee")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["conflict", "conflict", "done"]
    assert len(events(tools, "policy:activated")) == 1


def test_every_decision_is_made_again_bit_for_bit_under_what_made_it(tools: Tools) -> None:
    keep(tools.store, tools.pack, 0)
    made = [decided(tools, "DE", hate=0.6)]
    activated(tools, pack())
    activated(tools, overlay())
    made += [decided(tools, place, hate=score) for place in ("DE", "FR") for score in (0.1, 0.6, 0.9)]
    activated(tools, pack("2", hate_scored={"threshold": 0.05}))

    def which(session: Session) -> Any:
        return lambda was: tools.book.that_decided(session, was, tools.pack)

    totals = Totals()
    with tools.store.reading() as session:
        for again in decided_again([("", to_json(one)) for one in made], which(session)):
            totals.count(again)
    assert (totals.decisions, totals.same_pack, totals.not_identical) == (7, 7, 0)
    # The control: under the pack of now some of them are others.
    other = Totals()
    with tools.store.reading() as session:
        now = tools.book.base(session, tools.pack)
    for again in decided_again([("", to_json(one)) for one in made], now):
        other.count(again)
    assert other.changed > 0
    assert other.json()["outcomes"]
