"""Uploaded pictures and voices are screened before anything is made of them."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlmodel import col, select

from core.clock import milliseconds
from core.decision import Decision, RuleHit, from_json
from core.events import Tag
from core.finding import Screening
from core.media.clip import Clip
from core.media.read import frames
from core.shot import Shot
from core.state import State
from core.tables import AuditEvent, ConsentUse, Job, Ruling, Upload
from pipeline import people, run
from pipeline.consents import Grant, grant
from pipeline.intake import Ask, submit
from pipeline.judging import Judged
from pipeline.precheck import account, note, precheck
from pipeline.referenced import gravest, still
from pipeline.review import decide
from pipeline.tools import Tools
from tests.conftest import ManualClock
from tests.doubles import GREEN, Eyes, add_partner, make_tools, reference_file, sighting_of


@dataclass
class Noting(Eyes):
    """Eyes that note which clips they were shown."""

    shown: list[Clip] = field(default_factory=list)

    def look(self, clip: Clip) -> Future[Screening]:
        self.shown.append(clip)
        return super().look(clip)


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock, detectors=(Noting("likeness"), Noting("voice")))
    add_partner(made.store)
    return made


def person(tools: Tools) -> str:
    with tools.store.session() as session:
        made = people.add_identity(session, "Iris Vane", [], tools.clock)
        session.commit()
    return made.id


def upload(tools: Tools, kind: str = "picture") -> str:
    name = f"upload_{kind}"
    file = tools.settings.data_dir / f"{name}.{'png' if kind == 'picture' else 'mkv'}"
    if kind == "video":
        tools.engine("tiny").render(
            Shot(prompt="", seconds=1, width=64, height=64, fps=4), file, lambda _: None
        )
    else:
        reference_file(kind, file)
    blob = tools.blobs.put("private", f"uploads/{file.name}", file)
    with tools.store.session() as session:
        session.add(
            Upload(id=name, partner="acme", kind=kind, blob=blob, mime="x/y", sha256="0" * 64, created_ms=0)
        )
        session.commit()
    return name


def seeing(tools: Tools, kind: str, identity: str, **changes: Any) -> Tools:
    finding = sighting_of(identity, kind)  # type: ignore[arg-type]
    eyes = [
        replace(one, findings=(finding,)) if one.name == kind else one
        for one in tools.detectors  # type: ignore[type-var]
    ]
    return replace(tools, detectors=tuple(eyes), **changes)


def asked(tools: Tools, *references: str) -> str:
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1, references=references))
        session.commit()
    run.advance(tools, "w", job.id)
    return job.id


def job_of(tools: Tools, job: str) -> Job:
    with tools.store.reading() as session:
        return session.get_one(Job, job)


def rulings_of(tools: Tools, job: str) -> list[Decision]:
    with tools.store.reading() as session:
        rows = session.exec(select(Ruling).where(Ruling.job == job).order_by(col(Ruling.id))).all()
    return [from_json(row.decision) for row in rows]


@pytest.mark.parametrize(("kind", "upload_kind"), [("likeness", "picture"), ("voice", "voice")])
def test_a_protected_person_in_a_reference_is_held_before_anything_is_made(
    tools: Tools, kind: str, upload_kind: str
) -> None:
    iris, reference = person(tools), upload(tools, upload_kind)
    job = asked(seeing(tools, kind, iris), reference)
    assert (job_of(tools, job).state, job_of(tools, job).held_at) == (State.HELD, "admit")
    assert tools.engine("tiny").rendered == 0  # type: ignore[attr-defined]
    prompt, held = rulings_of(tools, job)
    assert (prompt.stage, prompt.outcome, held.stage, held.outcome) == ("prompt", "allow", "screen", "hold")
    assert held.facts["matches"][0]["reference"] == reference
    assert tools.pack.decide("screen", held.facts) == held
    with tools.store.session() as session:
        events = session.exec(select(AuditEvent.tag).where(AuditEvent.job == job)).all()
        decide(
            session, job, "approve", reviewer="ann", reason="her own picture", clock=tools.clock,
            vault=tools.vault,
        )  # fmt: skip
        session.commit()
    assert events.count(Tag.POLICY_DECIDED) == 2
    assert events[-1] == Tag.CLIP_HELD
    assert job_of(tools, job).state == State.ADMITTED
    # The control: the same reference, in which nobody is known, is made use of.
    control = asked(tools, reference)
    run.advance(tools, "w", control)
    assert job_of(tools, control).state == State.GENERATED
    assert tools.engine("tiny").rendered == 1  # type: ignore[attr-defined]


def test_a_grant_covers_what_a_reference_shows_and_is_cited(tools: Tools) -> None:
    iris, reference, now_ms = person(tools), upload(tools), milliseconds(tools.clock.now())
    given = Grant(
        identity=iris, partner="acme", likeness=True, voice=False, starts_ms=now_ms, ends_ms=now_ms + 9**9
    )
    with tools.store.session() as session:
        consent = grant(session, given, actor="operator", clock=tools.clock).id
        session.commit()
    job = asked(seeing(tools, "likeness", iris), reference)
    assert job_of(tools, job).state == State.ADMITTED
    assert [decision.consents for decision in rulings_of(tools, job)] in ([(), (consent,)], [(consent,), ()])
    with tools.store.reading() as session:
        assert session.get(ConsentUse, (consent, job)) is not None


def test_a_reference_that_cannot_be_looked_at_is_held(tools: Tools) -> None:
    reference = upload(tools)
    eyes = replace(tools.detectors[0], fails=RuntimeError("broken"))  # type: ignore[type-var]
    job = asked(replace(tools, detectors=(eyes, tools.detectors[1])), reference)
    assert job_of(tools, job).state == State.HELD
    assert "detector_failed" in [hit.id for hit in rulings_of(tools, job)[-1].rules]
    job = asked(replace(tools, detectors=()), reference)
    assert job_of(tools, job).state == State.HELD


def test_every_reference_is_looked_at_by_its_own_detector(tools: Tools) -> None:
    face, voice = tools.detectors
    asked(tools, upload(tools), upload(tools, "voice"))
    assert [clip.video is not None for clip in face.shown] == [True]  # type: ignore[attr-defined]
    assert [clip.audio is not None for clip in voice.shown] == [True]  # type: ignore[attr-defined]
    assert not list((tools.settings.data_dir / "scratch").iterdir())


@pytest.mark.parametrize("kind", ["likeness", "voice"])
def test_a_source_video_is_screened_before_sound_is_made_for_it(tools: Tools, kind: str) -> None:
    iris, source = person(tools), upload(tools, "video")
    ask = Ask(prompt="Soft rain", seed=1, source=source)

    def admitted(gate: Tools) -> Job:
        with tools.store.session() as session:
            job, _ = submit(session, gate, "acme", ask)
            session.commit()
        run.advance(gate, "w", job.id)
        return job_of(tools, job.id)

    held = admitted(seeing(tools, kind, iris))
    assert (held.state, held.held_at) == (State.HELD, "admit")
    assert rulings_of(tools, held.id)[-1].facts["matches"][0]["reference"] == source
    assert admitted(tools).state == State.ADMITTED, "the control"


@pytest.mark.parametrize("kind", ["likeness", "voice"])
def test_a_precheck_looks_at_what_a_request_brings_as_admission_does(tools: Tools, kind: str) -> None:
    iris, reference = person(tools), upload(tools, "picture" if kind == "likeness" else "voice")
    ask = Ask(prompt="Waves at dawn", seed=1, references=(reference,))
    gate = seeing(tools, kind, iris)
    done = precheck(gate, "acme", ask, "video")
    told = account(done)
    job = asked(gate, reference)
    assert told["decision"] == "hold"
    assert [rule["reference"] for rule in told["rules"] if rule["outcome"] == "hold"] == [reference]
    assert [done.decision, *done.brought] == rulings_of(tools, job)
    assert account(precheck(tools, "acme", ask, "video"))["decision"] == "allow", "the control"
    with tools.store.session() as session:
        note(session, gate, done, actor="operator")
        session.commit()
        leaf = session.exec(select(AuditEvent).where(AuditEvent.tag == "policy:precheck")).one().leaf
    assert b"hold" in leaf


def test_a_picture_is_shown_as_a_clip_of_one_lossless_frame(tmp_path: Path) -> None:
    clip = still(np.full((60, 80, 3), GREEN, np.uint8), tmp_path / "still.mkv")
    (frame,) = frames(clip.path)
    assert frame.rgb.shape == (60, 80, 3)
    assert (frame.rgb == GREEN).all()
    wide = still(np.zeros((10, 9000, 3), np.uint8), tmp_path / "wide.mkv")
    assert wide.video is not None
    assert (wide.video.width, wide.video.height) == (2560, 16)


def test_the_gravest_decision_counts() -> None:
    def made(outcome: Any, *, grave: bool = False) -> Decision:
        hit = RuleHit(
            id="r", outcome=outcome, reason_code="r", category="c", message="m", advice="a", grave=grave
        )
        return Decision(
            stage="screen", outcome=outcome, rules=(hit,), pack="p", version="1", pack_sha256="0", facts={}
        )

    grave, plain, fine, refused = made("hold", grave=True), made("hold"), made("allow"), made("refuse")

    def ordered(*decisions: Decision) -> list[Decision]:
        return [one.decision for one in gravest([Judged(decision) for decision in decisions])]

    assert ordered(grave, plain, fine) == [fine, plain, grave]
    assert ordered(refused, grave, fine)[-1] == refused
