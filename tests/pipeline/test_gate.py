"""No order of calls, retries, lost or doubled hints, lapsed leases and deaths gets a clip past the gate."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import col, select

from core.errors import Conflict, GreenlightError, StaleFence
from core.state import FINAL, State
from core.tables import AuditEvent, Job, Review
from pipeline.intake import Ask, cancel, submit
from pipeline.review import decide, latest_ruling
from pipeline.run import _claimed, _commit, _give_back, _worked, advance
from tests.conftest import ManualClock
from tests.doubles import Eyes, add_partner, make_tools, sighting_of

MANY = 3
"""Few requests and many events: that is where the trouble is."""
WAY = ["request:received", "policy:decided", "clip:generated", "policy:decided"]
AFTER_SCREEN = ["clip:marked", "clip:signed", "clip:recorded", "clip:released"]


def _fast() -> str | None:
    """Memory instead of a disk where there is one: thousands of commits are waited for here."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Gate(RuleBasedStateMachine):
    """Partners, reviewers, workers that live, stall and die, and a clock that jumps past leases."""

    jobs = Bundle("jobs")
    work = Bundle("work")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=_fast())
        self.clock = ManualClock()
        self.eyes = Eyes("likeness")
        self.tools = make_tools(Path(self.folder.name), self.clock, detectors=(self.eyes, Eyes("voice")))
        add_partner(self.tools.store)
        self.asked = 0

    def teardown(self) -> None:
        try:
            self.everything_ends()
        finally:
            self.tools.store.close()
            self.folder.cleanup()

    @initialize(target=jobs)
    def first(self) -> str:
        return self.ask(None)

    @precondition(lambda self: self.asked < MANY)
    @rule(target=jobs, key=st.sampled_from([None, "a", "b"]))
    def ask(self, key: str | None) -> str:
        self.asked += 1
        with self.tools.store.session() as session:
            job, _ = submit(session, self.tools, "acme", Ask(prompt="Waves at dawn", seed=1), key=key)
            session.commit()
        return job.id

    @rule(job=jobs)
    def hint(self, job: str) -> None:
        """A hint arrives, once or many times; nothing tells it from a doubled one."""
        advance(self.tools, "steady", job)

    @rule(target=work, job=jobs, stalls=st.booleans())
    def start(self, job: str, stalls: bool) -> Any:
        """A worker claims and works, and has not committed yet. It may stall, be overtaken, or die."""
        claimed = _claimed(self.tools, "slow", job)
        if claimed is None:
            return multiple()
        try:
            done = _worked(claimed, State(claimed.state), self.tools)
        except GreenlightError as error:
            _give_back(self.tools, claimed, error)
            return multiple()
        if stalls:
            self.clock.advance(self.tools.settings.lease_seconds + 1)
        return claimed, done

    @rule(started=work)
    def finish(self, started: Any) -> None:
        """A stalled worker comes back and commits what it has, perhaps long after it was overtaken."""
        job, done = started
        with self.tools.store.reading() as session:
            current = session.get_one(Job, job.id).fence
        try:
            _commit(self.tools, job, done, "slow")
        except StaleFence:
            return
        assert current == job.fence, "a worker that was overtaken changed the request"

    @rule(seconds=st.sampled_from([1, 121, 4000]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(found=st.booleans(), broken=st.booleans())
    def detector_changes(self, found: bool, broken: bool) -> None:
        self.eyes.findings = (sighting_of("person_x"),) if found else ()
        self.eyes.fails = RuntimeError("the detector crashed") if broken else None

    @rule(
        job=jobs, verdict=st.sampled_from(["approve", "reject", "retry"]), who=st.sampled_from(["ann", "bob"])
    )
    def review(self, job: str, verdict: Any, who: str) -> None:
        with self.tools.store.session() as session:
            try:
                decide(
                    session,
                    job,
                    verdict,
                    reviewer=who,
                    reason="looked at it",
                    clock=self.clock,
                    vault=self.tools.vault,
                )
            except Conflict:
                return
            session.commit()

    @rule(job=jobs, sure=st.integers(0, 5))
    def cancel(self, job: str, sure: int) -> None:
        if sure:
            return
        with self.tools.store.session() as session:
            try:
                cancel(session, self.tools, job, actor="partner:acme")
            except Conflict:
                return
            session.commit()

    @invariant()
    def nothing_slips_through(self) -> None:
        with self.tools.store.reading() as session:
            for job in session.exec(select(Job)):
                tags = _tags(session, job.id)
                for once in ("request:received", "clip:recorded", "clip:released", "clip:cancelled"):
                    assert tags.count(once) <= 1, f"{once} twice"
                public = self.tools.blobs.folder / "public" / "clips" / f"{job.id}.mp4"
                assert not public.exists() or "clip:recorded" in tags
                if job.state == State.RELEASED:
                    _assert_went_the_whole_way(session, job, tags)

    def everything_ends(self) -> None:
        """With a detector that works and workers that live, every request ends or waits for a person."""
        self.eyes.fails = None
        for _ in range(1000):
            self.clock.advance(4000)
            if advance(self.tools, "steady") is None:
                break
        with self.tools.store.reading() as session:
            lost = [job for job in session.exec(select(Job)) if State(job.state) not in FINAL | {State.HELD}]
        assert not lost, f"never finished: {[(job.state, job.problem) for job in lost]}"
        self.nothing_slips_through()


def _tags(session: Any, job_id: str) -> list[str]:
    found = select(AuditEvent.tag).where(AuditEvent.job == job_id).order_by(col(AuditEvent.id))
    return list(session.exec(found))


def _assert_went_the_whole_way(session: Any, job: Job, tags: list[str]) -> None:
    rest = iter(tags)
    assert all(step in rest for step in WAY + AFTER_SCREEN), f"a step is missing: {tags}"
    ruling = latest_ruling(session, job.id)
    if ruling.outcome != "allow":
        approvals = session.exec(
            select(Review).where(Review.ruling == ruling.id, col(Review.approve).is_(True))
        ).all()
        assert approvals, "held, never approved, and yet released"


SETTINGS = settings(
    max_examples=40,
    stateful_step_count=50,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def test_the_gate_holds() -> None:
    run_state_machine_as_test(Gate, settings=SETTINGS)


def _overtaken() -> None:
    """The shortest walk through the machine that needs the fence."""
    gate = Gate()
    try:
        job = gate.ask(key=None)
        stalled = gate.start(job=job, stalls=True)
        gate.start(job=job, stalls=False)
        gate.finish(started=stalled)
    finally:
        gate.teardown()


def test_a_worker_that_was_overtaken_changes_nothing() -> None:
    _overtaken()


def test_without_fencing_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same walk must end badly when stale workers may write."""
    monkeypatch.setattr("core.store.owned", lambda _fence: sa.true())
    with pytest.raises(AssertionError, match="overtaken"):
        _overtaken()
