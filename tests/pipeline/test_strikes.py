from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from core.errors import BadInput, Conflict, NotFound, TooMany
from core.events import opened, parse
from core.state import State
from core.tables import AuditEvent, EndUser, Job, Strike
from pipeline import strikes
from pipeline.appeals import appeal
from pipeline.intake import Ask, submit
from pipeline.precheck import asked, precheck
from pipeline.restrictions import settled, terms_of
from pipeline.review import decide
from pipeline.run import advance
from pipeline.tools import Tools
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools, reading

HATE = {"category": "hate", "term": "t", "span": [0, 3], "view": "text", "intent": "promote"}
NUDE = {**HATE, "category": "sexual", "intent": "nudity"}
GRAVE = {**HATE, "category": "child_endangerment"}
DAY = 86_400


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    for partner in ("acme", "other"):
        add_partner(made.store, partner)
    return made


def asks(tools: Tools, *hits: dict[str, Any], user: str = "u-1", partner: str = "acme") -> Job:
    tools = replace(tools, read_prompt=lambda _s, text, _m: reading(text) | {"hits": list(hits)})
    name = strikes.alias(tools.vault, partner, user) if user else ""
    with tools.store.session() as session:
        job, _ = submit(session, tools, partner, Ask(prompt="Waves", seed=1, user=name))
        session.commit()
    advance(tools, "w", job.id)
    with tools.store.reading() as session:
        return session.get_one(Job, job.id)


def stands(tools: Tools, user: str = "u-1", partner: str = "acme") -> strikes.Standing:
    name = strikes.alias(tools.vault, partner, user)
    with tools.store.reading() as session:
        now_ms = int(tools.clock.now().timestamp() * 1000)
        return strikes.standing(session, partner, name, terms_of(session, tools), now_ms)


def leaves(tools: Tools, tag: str) -> list[dict[str, Any]]:
    with tools.store.reading() as session:
        rows = session.exec(select(AuditEvent).where(AuditEvent.tag == tag).order_by(col(AuditEvent.id)))
        return [dict(parse(row.leaf).facts) for row in rows]


def test_refusals_slow_a_user_down_then_hold_then_suspend_them(tools: Tools) -> None:
    levels = []
    for _ in range(10):
        tools.clock.advance(3600)  # type: ignore[attr-defined]
        asks(tools, HATE)
        levels.append(stands(tools).level)
    assert levels == ["none", "none", "slow", "slow", *["hold"] * 5, "suspend"]
    assert asks(tools).state == State.REFUSED
    assert [one["level"] for one in leaves(tools, "user:restricted")] == ["slow", "hold", "suspend"]
    assert len(leaves(tools, "user:struck")) == 10  # being suspended costs nothing more
    # Nobody else is met: another user, the same id of another partner, and whoever names no user.
    assert asks(tools, user="u-2").state == State.ADMITTED
    assert asks(tools, partner="other").state == State.ADMITTED
    assert asks(tools, user="").state == State.ADMITTED


def test_who_is_held_is_looked_at_and_who_is_slow_asks_less_often(tools: Tools) -> None:
    for _ in range(3):
        asks(tools, HATE)
    for _ in range(3):
        assert asks(tools).state == State.ADMITTED
    with pytest.raises(TooMany, match="6 times an hour"):
        asks(tools)
    asks(tools, user="u-2")
    tools.clock.advance(3601)  # type: ignore[attr-defined]
    asks(tools, GRAVE)
    assert stands(tools).level == "hold"
    job = asks(tools)
    assert job.state == State.HELD
    decision = precheck(tools, "acme", asked("Waves", "video", user=job.user), "video").decision
    assert decision.rules[0].reason_code == "user_held"


def test_weights_are_by_category_and_the_gravest_counts(tools: Tools) -> None:
    asks(tools, HATE, GRAVE)
    assert stands(tools).total == 4
    assert leaves(tools, "user:struck")[0]["category"] == "child_endangerment"
    assert asks(tools, NUDE).state == State.HELD
    assert stands(tools).strikes == 1  # a hold is no refusal


def test_strikes_expire_by_themselves(tools: Tools, clock: ManualClock) -> None:
    for _ in range(3):
        asks(tools, HATE)
    assert stands(tools).level == "slow"
    clock.advance(90 * DAY + 1)
    assert stands(tools) == strikes.Standing("none", 0, 0, None)
    asks(tools, HATE)
    for _ in range(2):
        asks(tools, HATE)
    assert [one["level"] for one in leaves(tools, "user:restricted")] == ["slow", "slow"]


def test_a_request_strikes_once_however_often_and_from_wherever(tools: Tools) -> None:
    job = asks(tools, HATE)

    def again() -> None:
        with tools.store.session() as session:
            from core.decision import from_json
            from core.tables import Ruling

            ruling = session.exec(select(Ruling).where(Ruling.job == job.id)).one()
            row = session.get_one(Job, job.id)
            strikes.strike(session, row, from_json(ruling.decision), terms_of(session, tools), tools.clock)
            session.commit()

    threads = [threading.Thread(target=again) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stands(tools).strikes == 1
    assert len(leaves(tools, "user:struck")) == 1


def test_users_who_are_struck_side_by_side_lose_no_strike(tools: Tools) -> None:
    def many() -> None:
        for _ in range(4):
            with suppress(TooMany):
                asks(tools, {**HATE, "category": "self_harm"})

    threads = [threading.Thread(target=many) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = stands(tools)
    # The pace of a user who is slowed down may stop some of the eight, but what was refused counts.
    with tools.store.reading() as session:
        refused = session.exec(select(Job).where(Job.state == str(State.REFUSED))).all()
        rows = session.exec(select(Strike)).all()
        assert len(session.exec(select(EndUser)).all()) == 1
    assert counted.strikes == len(rows) == len(refused) >= 3


def test_an_overturned_refusal_takes_its_strike_back(tools: Tools) -> None:
    job = asks(tools, HATE)
    with tools.store.session() as session:
        row = session.get_one(Job, job.id)
        appeal(
            session, row, actor="partner:acme", reason="a history film", clock=tools.clock, vault=tools.vault
        )
        session.commit()
    assert stands(tools).strikes == 1
    for verdict, left in (("approve", 0),):
        with tools.store.session() as session:
            row = decide(
                session,
                job.id,
                verdict,
                reviewer="ann",
                reason="it is one",
                clock=tools.clock,
                vault=tools.vault,
            )  # type: ignore[arg-type]
            settled(session, tools, row, "ann")
            session.commit()
        assert stands(tools).strikes == left
    assert leaves(tools, "user:restored")[0]["why"] == "appeal"


def test_a_prompt_that_a_reviewer_keeps_in_counts(tools: Tools) -> None:
    job = asks(tools, NUDE)
    with tools.store.session() as session:
        row = decide(
            session,
            job.id,
            "reject",
            reviewer="ann",
            reason="no reason given",
            clock=tools.clock,
            vault=tools.vault,
        )
        settled(session, tools, row, "ann")
        session.commit()
    assert stands(tools).strikes == 1


def test_a_restriction_can_be_appealed_against_lifted_and_upheld(tools: Tools) -> None:
    name = strikes.alias(tools.vault, "acme", "u-1")
    told: dict[str, Any] = {"clock": tools.clock, "vault": tools.vault}

    def appeals() -> None:
        with tools.store.session() as session:
            strikes.appeal(session, "acme", name, terms_of(session, tools), reason="a shared account", **told)
            session.commit()

    with pytest.raises(Conflict, match="not restricted"):
        appeals()
    for _ in range(3):
        asks(tools, HATE)
    appeals()
    with pytest.raises(Conflict, match="waits already"):
        appeals()
    with tools.store.session() as session:
        assert [row.user for row, _ in strikes.listed(session, terms_of(session, tools), 0)] == [name]
        strikes.uphold(
            session, "acme", name, terms_of(session, tools), actor="reviewer:ann", clock=tools.clock
        )
        session.commit()
    appeals()
    with tools.store.session() as session:
        for wrong, error in (
            ({"reason": " "}, BadInput),
            ({"reason": "long enough", "user": "user_none"}, NotFound),
        ):
            with pytest.raises(error):
                strikes.lift(
                    session,
                    "acme",
                    wrong.get("user", name),
                    None,
                    actor="reviewer:ann",
                    reason=wrong["reason"],
                    **told,
                )
        strikes.lift(
            session,
            "acme",
            name,
            terms_of(session, tools),
            actor="reviewer:ann",
            reason="it was shared",
            **told,
        )
        session.commit()
    assert stands(tools).level == "none"
    with tools.store.reading() as session:
        row = session.exec(select(AuditEvent).where(AuditEvent.tag == "user:restored")).one()
    assert opened(row, tools.vault) == {"reason": "it was shared"}
    assert leaves(tools, "user:restored")[0] | {"user": ""} == {
        "user": "",
        "level": "none",
        "was": "slow",
        "sum": 0,
        "why": "staff",
        "strikes": 3,
    }


def test_the_partners_own_id_of_a_user_is_nowhere(tools: Tools) -> None:
    asks(tools, HATE, user="jane.doe-77")
    raw = b"".join(path.read_bytes() for path in tools.settings.data_dir.glob("*.db*"))
    assert b"jane.doe-77" not in raw
    assert strikes.alias(tools.vault, "acme", "jane.doe-77").encode() in raw  # the control


def test_a_precheck_is_judged_by_the_standing_and_costs_nothing(tools: Tools) -> None:
    name = strikes.alias(tools.vault, "acme", "u-1")
    reads = replace(tools, read_prompt=lambda _s, text, _m: reading(text) | {"hits": [HATE]})
    for _ in range(12):
        assert (
            precheck(reads, "acme", asked("Waves", "video", user=name), "video").decision.outcome == "refuse"
        )
    assert stands(tools).strikes == 0
