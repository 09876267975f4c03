from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from audits import holds
from audits.erasure import finish
from audits.retention import DEADLINES, due, enforce
from core.errors import BadInput, NotFound
from core.events import Event, Tag, record
from core.state import FINAL, State
from core.tables import AuditEvent, IdempotencyKey, Job, Leftover, Outbox, Upload
from pipeline.tools import Tools
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools

DAY = 86_400.0
ASK: dict[str, Any] = {"engine": "tiny", "references": [], "identities": []}


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    for partner in ("acme", "other"):
        add_partner(made.store, partner)
    return made


def place(tools: Tools, state: State, name: str = "", partner: str = "acme", **values: Any) -> str:
    """Put a request there that came to this state just now, with a file."""
    job_id = name or f"clip_{state}"
    now_ms = int(tools.clock.now().timestamp() * 1000)
    path = tools.settings.data_dir / "file"
    path.write_bytes(b"frames")
    tools.blobs.put("private", f"jobs/{job_id}/1/mezzanine.mkv", path)
    given = {"prompt": "amaranth", "ask": ASK, "payload": f"{hash(job_id) % 2**64:016x}"} | values
    with tools.store.session() as session:
        session.add(
            Job(
                id=job_id,
                partner=partner,
                kind="generation",
                state=state,
                created_ms=now_ms,
                updated_ms=now_ms,
                **given,
            )
        )
        session.commit()
    return job_id


def enforced(tools: Tools) -> dict[str, int]:
    return {one.kind: one.count for one in enforce(tools, tools.settings)}


def job_of(tools: Tools, job: str) -> Job:
    with tools.store.reading() as session:
        return session.get_one(Job, job)


def folder_of(tools: Tools, job: str) -> Path:
    return tools.settings.data_dir / "blobs" / "private" / "jobs" / job


def logged(tools: Tools, tag: str = "retention:enforced") -> list[dict[str, Any]]:
    with tools.store.reading() as session:
        rows = session.exec(select(AuditEvent).where(AuditEvent.tag == tag))
        return [json.loads(row.leaf)["facts"] for row in rows]


def test_nothing_is_due_before_its_time(tools: Tools, clock: ManualClock) -> None:
    for state in State:
        place(tools, state)
    clock.advance(29 * DAY)
    assert enforced(tools) == {}
    assert logged(tools) == []


def test_each_class_goes_at_its_deadline_and_says_so(tools: Tools, clock: ManualClock) -> None:
    for state in State:
        place(tools, state)
    over = {state for state in FINAL if state is not State.WITHDRAWN}
    clock.advance(31 * DAY)
    assert enforced(tools) == {"media": len(over)}
    for state in State:
        assert folder_of(tools, f"clip_{state}").exists() == (state not in over)
        assert job_of(tools, f"clip_{state}").prompt == "amaranth"
    clock.advance(150 * DAY)
    assert enforced(tools) == {"refused": 4}
    for state in State:
        gone = state in {State.REFUSED, State.REJECTED, State.FAILED, State.CANCELLED}
        assert (job_of(tools, f"clip_{state}").prompt == "") == gone
    clock.advance(200 * DAY)
    assert enforced(tools) == {"requests": 1}
    assert job_of(tools, "clip_released").erased_ms is not None
    assert job_of(tools, "clip_withdrawn").prompt == job_of(tools, "clip_held").prompt == "amaranth"
    assert [(facts["class"], facts["count"]) for facts in logged(tools)] == [
        ("media", len(over)),
        ("refused", 4),
        ("requests", 1),
    ]
    assert len(logged(tools, "subject:erased")) == 5
    assert enforced(tools) == {}


def test_what_is_left_over_of_rows_and_notes(tools: Tools, clock: ManualClock) -> None:
    job = place(tools, State.RECEIVED, ask=ASK | {"references": ["upload_used"]})
    path = tools.settings.data_dir / "file"
    with tools.store.session() as session:
        for name in ("upload_used", "upload_old"):
            path.write_bytes(b"a picture")
            blob = tools.blobs.put("private", f"uploads/{name}.png", path)
            session.add(
                Upload(id=name, partner="acme", kind="picture", blob=blob, mime="", sha256="", created_ms=0)
            )
        session.add(IdempotencyKey(partner="acme", key="k", request_sha256="", job=job, created_ms=0))
        session.add(Outbox(job=job, at_ms=0))
        event = Event(tag=Tag.AUDIT_QUERIED, actor="operator", private={"query": "who"})
        note = record(session, event, clock, tools.vault).subject
        session.commit()
    clock.advance(91 * DAY)
    assert {one.kind: one.count for one in due(tools, tools.settings) if one.count} == {
        "uploads": 1, "notes": 1, "idempotency": 1, "hints": 1,
    }  # fmt: skip
    assert tools.vault.holds(str(note)), "a dry run deletes nothing"
    assert enforced(tools) == {"uploads": 1, "notes": 1, "idempotency": 1, "hints": 1}
    assert not tools.vault.holds(str(note))
    with tools.store.reading() as session:
        assert session.exec(select(Upload.id)).all() == ["upload_used"]
        assert session.exec(select(IdempotencyKey)).all() == session.exec(select(Outbox)).all() == []
    uploads = tools.settings.data_dir / "blobs" / "private" / "uploads"
    assert [path.name for path in uploads.iterdir()] == ["upload_used.png"]


@pytest.mark.parametrize("subject", ["clip_released", "acme"])
def test_a_hold_outlasts_every_deadline(tools: Tools, clock: ManualClock, subject: str) -> None:
    job, free = place(tools, State.RELEASED), place(tools, State.RELEASED, "clip_free", "other")
    with tools.store.session() as session:
        for _ in range(2):
            holds.place(session, "case-7", subject, actor="operator", clock=clock)
        session.commit()
    clock.advance(4000 * DAY)
    assert enforced(tools) == {"media": 1, "requests": 1}
    assert (job_of(tools, job).prompt, job_of(tools, free).prompt) == ("amaranth", "")
    with tools.store.session() as session:
        assert holds.lift(session, "case-7", actor="operator", clock=clock) == [subject]
        session.commit()
    assert enforced(tools) == {"media": 1, "requests": 1}
    assert job_of(tools, job).prompt == ""
    assert (
        logged(tools, "hold:placed")
        == logged(tools, "hold:lifted")
        == [{"hold": "case-7", "subject": subject}]
    )


def test_a_hold_is_of_something_and_has_a_name(tools: Tools, clock: ManualClock) -> None:
    with tools.store.session() as session:
        with pytest.raises(NotFound):
            holds.place(session, "case-7", "clip_none", actor="operator", clock=clock)
        with pytest.raises(BadInput):
            holds.place(session, "Ana Ünal v. us", "acme", actor="operator", clock=clock)
        with pytest.raises(NotFound):
            holds.lift(session, "case-7", actor="operator", clock=clock)


def test_a_request_to_be_forgotten_goes_as_soon_as_it_has_ended(tools: Tools) -> None:
    going = place(tools, State.HELD, forget=True)
    ended = place(tools, State.REJECTED, forget=True)
    assert enforced(tools) == {"forgotten": 1}
    assert (job_of(tools, going).prompt, job_of(tools, ended).prompt) == ("amaranth", "")
    assert logged(tools, "subject:erased")[0]["why"] == "person"


def test_a_crash_in_a_batch_leaves_it_due_and_unlogged(
    tools: Tools, clock: ManualClock, monkeypatch: Any
) -> None:
    for number in range(3):
        place(tools, State.REFUSED, f"clip_{number}")
    clock.advance(31 * DAY)

    def full(*_: Any) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("audits.retention.record", full)
        with pytest.raises(OSError, match="full"):
            enforce(tools, tools.settings)
    assert logged(tools) == []
    assert job_of(tools, "clip_0").cleared_ms is None
    with monkeypatch.context() as broken:
        broken.setattr("core.blobs.LocalBlobs.remove", full)
        with pytest.raises(OSError, match="full"):
            enforce(tools, tools.settings)
    # What is committed is logged, and what it left to do is written down.
    assert [facts["count"] for facts in logged(tools)] == [3]
    assert folder_of(tools, "clip_0").exists()
    assert finish(tools)
    assert not folder_of(tools, "clip_0").exists()
    with tools.store.reading() as session:
        assert session.exec(select(Leftover)).all() == []


def test_many_go_in_batches_that_are_each_logged(tools: Tools, clock: ManualClock) -> None:
    with tools.store.session() as session:
        session.add_all(Outbox(job="j", at_ms=0) for _ in range(450))
        session.commit()
    clock.advance(2 * DAY)
    assert enforced(tools) == {"hints": 450}
    assert [facts["count"] for facts in logged(tools)] == [200, 200, 50]


def test_every_class_is_in_the_readme() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    section = readme.partition("## Privacy and erasure")[2].partition("\n## ")[0]
    classes = {
        name.strip()
        for line in section.splitlines()
        if line.startswith("| ")
        for name in line.split("|")[1].split(",")
    }
    assert {deadline.kind for deadline in DEADLINES} <= classes
