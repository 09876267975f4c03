"""What becomes of a request when a step goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlmodel import col, select

from core.errors import BadInput, KeyMissing, LogCorrupt, ModelMissing, Unavailable
from core.state import State
from core.tables import AuditEvent, GateKey, Job
from pipeline import keys
from pipeline.intake import Ask, submit
from pipeline.keyring import first_keys
from pipeline.receipt import explanation
from pipeline.run import advance
from pipeline.steps import STEPS, Done, record
from pipeline.tools import Tools
from provenance.manifest import SignedManifest
from tests.conftest import ManualClock
from tests.doubles import TinyEngine, add_partner, make_tools, sign


def raising(error: Exception) -> Any:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


def asked(tools: Tools) -> str:
    add_partner(tools.store)
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()
    return job.id


def worked(tools: Tools, job_id: str, clock: ManualClock, times: int) -> Job:
    for _ in range(times):
        advance(tools, "w", job_id)
        clock.advance(1000)
    with tools.store.reading() as session:
        return session.get_one(Job, job_id)


def told(tools: Tools, job: Job) -> str:
    with tools.store.reading() as session:
        return str(explanation(session, job, "caller"))


def test_a_prompt_that_cannot_be_read_is_held_at_once_with_the_reason(
    tmp_path: Path, clock: ManualClock
) -> None:
    tools = make_tools(tmp_path, clock, read_prompt=raising(ModelMissing("minilm is missing")))
    job = worked(tools, asked(tools), clock, 1)
    assert (job.state, job.held_at) == (State.HELD, "admit")
    assert "minilm is missing" in told(tools, job)


def test_a_prompt_reader_that_crashes_is_held_after_some_attempts(tmp_path: Path, clock: ManualClock) -> None:
    tools = make_tools(tmp_path, clock, read_prompt=raising(ZeroDivisionError("/home/secret/path")))
    job_id = asked(tools)
    job = worked(tools, job_id, clock, 1)
    assert job.state == State.RECEIVED
    assert "secret" not in str(job.problem)
    job = worked(tools, job_id, clock, 10)
    assert (job.state, job.held_at) == (State.HELD, "admit")
    assert "secret" not in told(tools, job)


def test_an_engine_that_cannot_do_it_fails_the_request_at_once(tmp_path: Path, clock: ManualClock) -> None:
    engine = TinyEngine()
    tools = make_tools(tmp_path, clock, engine=lambda _name: engine)
    job_id = asked(tools)
    engine.render = raising(BadInput("This engine makes sound only."))  # type: ignore[method-assign]
    job = worked(tools, job_id, clock, 2)
    assert (job.state, job.problem) == (State.FAILED, "This engine makes sound only.")


def test_an_engine_that_is_down_is_tried_again_and_then_given_up(tmp_path: Path, clock: ManualClock) -> None:
    engine = TinyEngine()
    tools = make_tools(tmp_path, clock, engine=lambda _name: engine)
    job_id = asked(tools)
    engine.render = raising(Unavailable("the GPU is gone"))  # type: ignore[method-assign]
    assert worked(tools, job_id, clock, 3).state == State.ADMITTED
    job = worked(tools, job_id, clock, 10)
    assert job.state == State.FAILED
    assert "the GPU is gone" in str(job.problem)


@pytest.mark.parametrize("part", ["mark", "sign"])
def test_a_clip_that_cannot_be_finished_is_never_public(
    tmp_path: Path, clock: ManualClock, part: str
) -> None:
    tools = make_tools(tmp_path, clock, **{part: raising(OSError("disk full"))})
    job = worked(tools, asked(tools), clock, 20)
    assert job.state == State.FAILED
    assert not (tools.blobs.folder / "public").exists()  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", ["integrate", "verify"])
def test_past_the_commit_point_a_request_waits_for_the_log_however_long(
    tmp_path: Path, clock: ManualClock, part: str
) -> None:
    broken = make_tools(tmp_path, clock, **{part: raising(LogCorrupt())})
    job_id = asked(broken)
    job = worked(broken, job_id, clock, 40)
    assert job.state == State.RECORDED
    assert not (tmp_path / "blobs" / "public").exists()
    whole = make_tools(tmp_path, clock, store=broken.store)
    assert worked(whole, job_id, clock, 2).state == State.RELEASED


def test_a_file_that_does_not_verify_stays_private(tmp_path: Path, clock: ManualClock) -> None:
    report = SimpleNamespace(verdict="tampered", reasons=["The picture's mark is not there."])
    tools = make_tools(tmp_path, clock, verify=lambda _path, _job: report)
    job = worked(tools, asked(tools), clock, 10)
    assert job.state == State.FAILED
    assert "The picture's mark is not there." in str(job.problem)
    assert not (tmp_path / "blobs" / "public").exists()


def test_the_same_file_is_published_when_it_verifies(tmp_path: Path, clock: ManualClock) -> None:
    """The control."""
    tools = make_tools(tmp_path, clock)
    job = worked(tools, asked(tools), clock, 7)
    assert job.state == State.RELEASED
    assert (tmp_path / "blobs" / "public" / str(job.public)).is_file()


def test_a_pack_that_fails_holds(tmp_path: Path, clock: ManualClock) -> None:
    tools = make_tools(tmp_path, clock)
    facts = replace(tools, read_prompt=lambda _session, _text, _modality: {"entities": []})
    job = worked(facts, asked(facts), clock, 1)
    assert (job.state, job.held_at) == (State.HELD, "admit")
    assert "facts_incomplete" in told(tools, job)


@pytest.mark.parametrize("part", ["sign", "mark"])
def test_without_a_key_a_clip_waits_for_one_and_then_goes_on(
    tmp_path: Path, clock: ManualClock, part: str
) -> None:
    tools = make_tools(tmp_path, clock)
    keyless = replace(tools, **{part: raising(KeyMissing("A signing certificate expired on 2026-11-01."))})
    job_id = asked(keyless)
    for _ in range(tools.settings.max_attempts * 3):
        clock.advance(60)
        job = worked(keyless, job_id, clock, 1)
    assert job.state == {"sign": State.MARKED, "mark": State.CLEARED}[part]
    assert "expired on" in str(job.problem)
    clock.advance(60)
    job = worked(tools, job_id, clock, 4)
    assert job.state == State.RELEASED
    assert job.problem is None


def test_any_other_trouble_with_signing_is_given_up(tmp_path: Path, clock: ManualClock) -> None:
    """The control: only a missing key is waited for without end."""
    tools = make_tools(tmp_path, clock, sign=raising(Unavailable("the disk is full")))
    assert worked(tools, asked(tools), clock, 20).state == State.FAILED


def overtaken(
    tools: Tools, job: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, event: Callable[[], None]
) -> Job:
    """Let something happen between the work of the step that records and its commit."""

    def step(*arguments: Any) -> Done:
        done = record(*arguments)
        event()
        return done

    with monkeypatch.context() as patch:
        patch.setitem(STEPS, State.SIGNED, step)
        return worked(tools, job, clock, 1)


@pytest.mark.parametrize("late", [False, True], ids=["before the step", "while it works"])
def test_what_a_revoked_key_signed_is_signed_again_before_it_is_recorded(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    def signed(source: Path, target: Path, claim: Any) -> SignedManifest:
        return replace(sign(source, target, claim), signer=key)

    tools = replace(make_tools(tmp_path, clock), sign=signed)
    first_keys(tools.store, tools.settings, tmp_path / "keys", clock)
    with tools.store.reading() as session:
        key = first = session.exec(select(GateKey.id).where(GateKey.kind == "claim")).one()
    job = worked(tools, asked(tools), clock, 5)
    assert (job.state, job.got["signer"]) == (State.SIGNED, key)

    def revoke(*_: object) -> None:
        with tools.store.session() as session:
            keys.revoke(session, first, by="ann", reason="it leaked", clock=clock, vault=tools.vault)
            session.commit()

    if late:
        job = overtaken(tools, job.id, clock, monkeypatch, revoke)
        assert (job.state, job.signed is None) == (State.SIGNED, False), "nothing was recorded"
        assert "was revoked before" in str(job.problem)
    else:
        revoke()
    job = worked(tools, job.id, clock, 1)
    assert (job.state, job.signed, job.manifest_label) == (State.MARKED, None, None)
    key = "another"
    job = worked(tools, job.id, clock, 2)
    assert (job.state, job.got["signer"]) == (State.RECORDED, "another")
    with tools.store.reading() as session:
        events = session.exec(select(AuditEvent).where(AuditEvent.job == job.id).order_by(col(AuditEvent.id)))
        facts = [(event.tag, json.loads(event.leaf)["facts"]) for event in events]
    assert [(tag, told["signer"]) for tag, told in facts if "signed" in tag] == [
        ("clip:signed", first),
        ("clip:unsigned", first),
        ("clip:signed", "another"),
    ]
