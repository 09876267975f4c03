"""Appeals: once, against a refusal, decided by people who have not decided on it yet."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlmodel import select

from core.errors import BadInput, Conflict
from core.state import State
from core.tables import AuditEvent, Job
from pipeline.appeals import UNAPPEALABLE, appeal
from pipeline.intake import Ask, submit
from pipeline.review import decide
from pipeline.tools import Tools
from pipeline.worker import drain
from policies.engine import Pack, default_pack, load
from policies.pack import RuleText
from tests.conftest import ManualClock
from tests.doubles import Eyes, add_partner, make_tools, sighting_of

WHY = "It is a line from our licensed script."


def refusing(tmp_path: Path, clock: ManualClock, category: str, *, grave: bool) -> Tools:
    """A gate whose pack refuses everything under one category."""
    tools = make_tools(tmp_path, clock, pack=_pack(category, grave=grave))
    add_partner(tools.store)
    return tools


@cache
def _pack(category: str, *, grave: bool) -> Pack:
    rule = RuleText(
        id="everything",
        stage="prompt",
        outcome="refuse",
        category=category,
        reason_code="everything",
        message="Everything is refused here.",
        advice="Appeal against it.",
        grave=grave,
        when="true",
    )
    text = yaml.safe_load(default_pack().read_text())
    text["rules"].insert(0, rule.model_dump(exclude_none=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pack.yaml"
        path.write_text(yaml.safe_dump(text, sort_keys=False))
        return load(path)


def asked(tools: Tools) -> str:
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()
    drain(tools, "w")
    return job.id


def state_of(tools: Tools, job: str) -> str:
    with tools.store.reading() as session:
        return session.get_one(Job, job).state


def appealed(tools: Tools, job_id: str, reason: str = WHY) -> str:
    with tools.store.session() as session:
        job = session.get_one(Job, job_id)
        after = appeal(
            session, job, actor="partner:acme", reason=reason, clock=tools.clock, vault=tools.vault
        )
        session.commit()
    return after.state


def decided(tools: Tools, job: str, verdict: Any, who: str = "ann") -> str:
    with tools.store.session() as session:
        after = decide(
            session, job, verdict, reviewer=who, reason="looked at it", clock=tools.clock, vault=tools.vault
        )
        session.commit()
    drain(tools, "w")
    return after.state


def test_a_refusal_that_is_overturned_goes_on_to_release(tmp_path: Path, clock: ManualClock) -> None:
    tools = refusing(tmp_path, clock, "ip_character", grave=False)
    job = asked(tools)
    assert state_of(tools, job) == State.REFUSED
    assert appealed(tools, job) == State.HELD
    assert decided(tools, job, "approve") == State.ADMITTED
    assert state_of(tools, job) == State.RELEASED
    with tools.store.reading() as session:
        tags = [row.tag for row in session.exec(select(AuditEvent).order_by(AuditEvent.id))]
        leaves = b"".join(row.leaf for row in session.exec(select(AuditEvent)))
    assert tags.count("clip:appealed") == 1
    assert WHY.encode() not in leaves


def test_a_refusal_that_is_upheld_stands_for_good(tmp_path: Path, clock: ManualClock) -> None:
    tools = refusing(tmp_path, clock, "ip_character", grave=False)
    job = asked(tools)
    appealed(tools, job)
    assert decided(tools, job, "reject") == State.REJECTED
    with pytest.raises(Conflict, match="appealed before"):
        appealed(tools, job)
    assert state_of(tools, job) == State.REJECTED


def test_a_grave_refusal_takes_two_people_to_overturn(tmp_path: Path, clock: ManualClock) -> None:
    tools = refusing(tmp_path, clock, "ip_character", grave=True)
    job = asked(tools)
    appealed(tools, job)
    assert decided(tools, job, "approve", "ann") == State.HELD
    assert decided(tools, job, "approve", "bob") == State.ADMITTED


@pytest.mark.parametrize("category", sorted(UNAPPEALABLE))
def test_what_nobody_may_let_through_cannot_be_appealed(
    tmp_path: Path, clock: ManualClock, category: str
) -> None:
    tools = refusing(tmp_path, clock, category, grave=True)
    job = asked(tools)
    with pytest.raises(Conflict, match="final"):
        appealed(tools, job)
    assert state_of(tools, job) == State.REFUSED


def test_whoever_rejected_does_not_decide_the_appeal(tmp_path: Path, clock: ManualClock) -> None:
    eyes = Eyes("likeness", findings=(sighting_of("person_x"),))
    tools = make_tools(tmp_path, clock, detectors=(eyes, Eyes("voice")))
    add_partner(tools.store)
    job = asked(tools)
    assert decided(tools, job, "reject", "ann") == State.REJECTED
    assert appealed(tools, job) == State.HELD
    with pytest.raises(Conflict, match="already decided"):
        decided(tools, job, "approve", "ann")
    assert decided(tools, job, "approve", "bob") == State.CLEARED
    assert state_of(tools, job) == State.RELEASED


@pytest.mark.parametrize("state", sorted(set(State) - {State.REFUSED, State.REJECTED}))
def test_only_a_refusal_is_appealed(tmp_path: Path, clock: ManualClock, state: State) -> None:
    tools = refusing(tmp_path, clock, "ip_character", grave=False)
    job = asked(tools)
    with tools.store.session() as session:
        session.get_one(Job, job).state = str(state)
        session.commit()
    with pytest.raises(Conflict, match=state):
        appealed(tools, job)


@pytest.mark.parametrize("reason", ["", "no", "   no   "])
def test_an_appeal_needs_a_reason(tmp_path: Path, clock: ManualClock, reason: str) -> None:
    tools = refusing(tmp_path, clock, "ip_character", grave=False)
    job = asked(tools)
    with pytest.raises(BadInput):
        appealed(tools, job, reason)
    assert state_of(tools, job) == State.REFUSED
