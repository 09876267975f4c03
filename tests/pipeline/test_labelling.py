"""Labels through the gate: asked for by territory, waited for by drafts, and never released without."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlmodel import select

from core.errors import BadInput, Conflict
from core.media.clip import Clip
from core.media.probe import probe, tags
from core.media.write import Mezzanine
from core.shot import Shot, Tick
from core.state import State
from core.tables import AuditEvent, Job
from pipeline.intake import Ask, finalize, submit
from pipeline.receipt import receipt
from pipeline.tools import Tools
from pipeline.worker import drain
from provenance.labels import NO_LABELS, Plan
from provenance.manifest import Claim, SignedManifest
from provenance.manifest._shape import _generation
from provenance.mark import Marked, mark
from provenance.marks import MarkKey
from tests import doubles
from tests.conftest import ManualClock
from tests.doubles import TinyEngine, add_partner, make_tools

KEY = MarkKey("key", bytes(32))


@dataclass
class Projector(TinyEngine):
    """Renders half a second of slowly brightening picture."""

    size: tuple[int, int] = (320, 240)

    def render(self, shot: Shot, into: Path, tick: Tick) -> Clip:
        self.rendered += 1
        width, height = self.size
        with Mezzanine(into, width=width, height=height, fps=8) as writer:
            for index in range(4):
                writer.frame(np.full((height, width, 3), 100 + index, np.uint8))
        return probe(into)


def real_mark(clip: Clip, into: Path, payload: int, labels: Plan) -> Marked:
    return mark(clip, into, payload, KEY, labels, preset="ultrafast")


@pytest.fixture
def engine() -> Projector:
    return Projector()


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock, engine: Projector) -> Tools:
    made = make_tools(tmp_path, clock, mark=real_mark, engine=lambda _name: engine)
    add_partner(made.store)
    return made


def asked(tools: Tools, **changes: Any) -> Job:
    with tools.store.session() as session:
        ask = Ask(**({"prompt": "Waves at dawn", "seed": 1, "sound": False} | changes))
        job, _ = submit(session, tools, "acme", ask)
        session.commit()
    drain(tools, "w")
    return looked(tools, job.id)


def looked(tools: Tools, job_id: str) -> Job:
    with tools.store.reading() as session:
        return session.get_one(Job, job_id)


def sheet(tools: Tools, job: Job) -> dict[str, str]:
    with tools.store.reading() as session:
        account = receipt(session, job)["labels"]
    assert account["territory"] == job.territory
    return {row["duty"]: row["result"] for row in account["duties"]}


def test_a_final_delivery_passes_its_sheet_and_the_log_says_so(tools: Tools) -> None:
    job = asked(tools, territory="CN")
    assert job.state == State.RELEASED, job.problem
    assert sheet(tools, job) == {
        "cn.explicit": "pass",
        "cn.rhythm": "not_applicable",
        "cn.implicit": "pass",
        "cn.watermark": "pass",
    }
    assert job.id in tags(tools.blobs.path("private", str(job.marked)))["AIGC"]
    with tools.store.reading() as session:
        (leaf,) = session.exec(select(AuditEvent.leaf).where(AuditEvent.tag == "clip:marked"))
    assert b'{"duty":"cn.explicit","result":"pass"}' in leaf


def test_the_manifest_says_where_it_goes_and_whether_it_is_a_draft(tools: Tools) -> None:
    claims: list[Claim] = []

    def sign(source: Path, target: Path, claim: Claim) -> SignedManifest:
        claims.append(claim)
        return doubles.sign(source, target, claim)

    asked(replace(tools, sign=sign), territory="de", draft=True)
    asked(replace(tools, sign=sign))
    told = [_generation(claim) for claim in claims]
    assert (told[0]["territory"], told[0]["delivery"]) == ("DE", "draft")
    assert {"territory", "delivery"}.isdisjoint(told[1])


def test_without_a_territory_there_is_no_sheet(tools: Tools) -> None:
    job = asked(tools)
    with tools.store.reading() as session:
        assert receipt(session, job)["labels"] is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"territory": "Atlantis"}, "no labelling rules"), ({"territory": "US-NY"}, "must say its purpose")],
)
def test_what_cannot_be_labelled_is_said_at_once(tools: Tools, changes: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        asked(tools, **changes)
    with tools.store.reading() as session:
        assert session.exec(select(Job)).first() is None


def test_a_draft_waits_for_its_labels_and_the_final_is_the_same_clip(tools: Tools, engine: Projector) -> None:
    drafted = asked(tools, territory="DE", draft=True)
    assert sheet(tools, drafted)["eu.icon"] == "deferred"
    with tools.store.session() as session:
        final, _ = finalize(session, tools, "acme", drafted.id)
        session.commit()
    drain(tools, "w")
    final = looked(tools, final.id)
    assert final.state == State.RELEASED, final.problem
    assert sheet(tools, final)["eu.icon"] == "pass"
    assert final.got["mezzanine_sha256"] == drafted.got["mezzanine_sha256"]
    assert (engine.rendered, final.payload != drafted.payload) == (1, True)
    with tools.store.reading() as session:
        tags_of = select(AuditEvent.tag).where(AuditEvent.job == final.id)
        assert list(session.exec(tags_of)).count("policy:decided") == 2, "judged anew"


def test_where_labels_may_not_wait_a_draft_has_them(tools: Tools) -> None:
    assert sheet(tools, asked(tools, territory="IN", draft=True))["in.visible"] == "pass"


def test_only_a_released_draft_whose_clip_is_here_can_be_made_final(tools: Tools) -> None:
    final = asked(tools, territory="DE")
    with tools.store.session() as session, pytest.raises(Conflict, match="Only a released draft"):
        finalize(session, tools, "acme", final.id)
    drafted = asked(tools, territory="DE", draft=True)
    tools.blobs.path("private", str(drafted.mezzanine)).write_bytes(b"another clip")
    with tools.store.session() as session:
        job, _ = finalize(session, tools, "acme", drafted.id)
        session.commit()
    drain(tools, "w")
    ended = looked(tools, job.id)
    assert ended.state == State.FAILED
    assert "no longer here" in str(ended.problem)


def test_a_delivery_without_its_labels_is_never_released(tools: Tools) -> None:
    """The control is the first test: the same request with a marker that labels is released."""
    forgetful = replace(
        tools, mark=lambda clip, into, payload, _labels: real_mark(clip, into, payload, NO_LABELS)
    )
    job = asked(forgetful, territory="CN")
    assert job.state == State.FAILED
    assert "does not carry the labels" in str(job.problem)
    assert job.public is None


def test_a_picture_too_small_for_letters_fails_with_the_reason(tools: Tools, engine: Projector) -> None:
    engine.size = (64, 64)
    job = asked(tools, territory="DE")
    assert job.state == State.FAILED
    assert "too small for a label" in str(job.problem)
