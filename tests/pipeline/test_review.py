from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from core.clock import milliseconds
from core.decision import RuleHit, from_json, to_json
from core.errors import BadInput, Conflict, NotFound
from core.state import State
from core.tables import Job, Review, Ruling
from pipeline.intake import Ask, submit
from pipeline.review import decide, latest_ruling, queue
from pipeline.tools import Tools
from pipeline.worker import drain
from tests.conftest import ManualClock
from tests.doubles import Eyes, add_partner, make_tools, sighting_of

REASON = "looked at it"


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    eyes = Eyes("likeness", findings=(sighting_of("person_x"),))
    made = make_tools(tmp_path, clock, detectors=(eyes, Eyes("voice")))
    add_partner(made.store)
    return made


@pytest.fixture
def held(tools: Tools) -> str:
    job = asked(tools)
    drain(tools, "w")
    assert state_of(tools, job) == State.HELD
    return job


def asked(tools: Tools) -> str:
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()
    return job.id


def state_of(tools: Tools, job: str) -> str:
    with tools.store.reading() as session:
        return session.get_one(Job, job).state


def decided(tools: Tools, job: str, verdict: Any, who: str = "ann", reason: str = REASON) -> str:
    with tools.store.session() as session:
        after = decide(
            session, job, verdict, reviewer=who, reason=reason, clock=tools.clock, vault=tools.vault
        )
        session.commit()
    return after.state


def make_grave(tools: Tools, job: str) -> None:
    """Put a decision of the gravest kind on top, as a rule of the pack would."""
    with tools.store.session() as session:
        before = from_json(latest_ruling(session, job).decision)
        hit = RuleHit(
            id="gravest",
            outcome="hold",
            reason_code="gravest",
            category="x",
            message="m",
            advice="a",
            grave=True,
        )
        grave = to_json(replace(before, rules=(hit,)))
        at_ms = milliseconds(tools.clock.now())
        session.add(Ruling(job=job, stage="screen", outcome="hold", decision=grave, at_ms=at_ms))
        session.commit()


def reviews(session: Session) -> list[tuple[str, bool]]:
    return [(row.reviewer, row.approve) for row in session.exec(select(Review).order_by(Review.id))]


def test_one_person_approves_what_is_not_grave(tools: Tools, held: str) -> None:
    assert decided(tools, held, "approve") == State.CLEARED
    drain(tools, "w")
    assert state_of(tools, held) == State.RELEASED


def test_what_is_grave_takes_two_different_people(tools: Tools, held: str) -> None:
    make_grave(tools, held)
    assert decided(tools, held, "approve", "ann") == State.HELD
    with pytest.raises(Conflict, match="second person"):
        decided(tools, held, "approve", "ann")
    drain(tools, "w")
    assert state_of(tools, held) == State.HELD
    assert decided(tools, held, "approve", "bob") == State.CLEARED


def test_one_person_rejects_even_what_is_grave(tools: Tools, held: str) -> None:
    make_grave(tools, held)
    decided(tools, held, "approve", "ann")
    assert decided(tools, held, "reject", "bob") == State.REJECTED
    drain(tools, "w")
    assert state_of(tools, held) == State.REJECTED


def test_a_retry_makes_the_check_again(tools: Tools, held: str) -> None:
    assert decided(tools, held, "retry") == State.GENERATED
    drain(tools, "w")
    assert state_of(tools, held) == State.HELD
    tools.detectors[0].findings = ()  # type: ignore[attr-defined]
    decided(tools, held, "retry")
    drain(tools, "w")
    assert state_of(tools, held) == State.RELEASED


def test_a_retry_at_admission_reads_the_prompt_again(tools: Tools) -> None:
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()

    def missing(*_: Any) -> Any:
        from core.errors import ModelMissing

        raise ModelMissing

    drain(replace(tools, read_prompt=missing), "w")
    assert state_of(tools, job.id) == State.HELD
    assert decided(tools, job.id, "retry") == State.RECEIVED


def test_a_new_check_needs_new_approvals(tools: Tools, held: str) -> None:
    make_grave(tools, held)
    decided(tools, held, "approve", "ann")
    make_grave(tools, held)
    assert decided(tools, held, "approve", "bob") == State.HELD
    assert decided(tools, held, "approve", "ann") == State.CLEARED


@pytest.mark.parametrize("reason", ["", "ok", "    ok    "])
def test_a_decision_needs_a_reason(tools: Tools, held: str, reason: str) -> None:
    with pytest.raises(BadInput):
        decided(tools, held, "approve", reason=reason)
    assert state_of(tools, held) == State.HELD
    with tools.store.reading() as session:
        assert reviews(session) == []


@pytest.mark.parametrize("verdict", ["approve", "reject", "retry"])
def test_only_what_is_held_is_decided(tools: Tools, held: str, verdict: str) -> None:
    decided(tools, held, "reject")
    with pytest.raises(Conflict, match="not held"):
        decided(tools, held, verdict, "bob")
    with pytest.raises(NotFound):
        decided(tools, "clip_none", verdict)


def test_the_queue_is_what_is_held_oldest_first(tools: Tools, held: str, clock: ManualClock) -> None:
    clock.advance(1)
    later = asked(tools)
    drain(tools, "w")
    with tools.store.reading() as session:
        assert [job.id for job in queue(session)] == [held, later]
        assert [job.id for job in queue(session, limit=1)] == [held]
    decided(tools, held, "reject")
    with tools.store.reading() as session:
        assert [job.id for job in queue(session)] == [later]
