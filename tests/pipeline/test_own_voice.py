"""Whoever enrols themself says a phrase that nobody could know before, once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from audits.erasure import erase_person
from core.errors import BadEnrolment, BadMedia, Conflict, NotFound, TimedOut, Unavailable
from core.finding import Comparison
from core.tables import AuditEvent, Upload, VoiceProof
from pipeline import own_voice, people
from pipeline.tools import Tools
from tests.conftest import ManualClock
from tests.doubles import Ears, add_partner, make_tools, reference_file, sighting_of


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    add_partner(made.store)
    return made


def person(tools: Tools) -> str:
    with tools.store.session() as session:
        made = people.add_identity(session, "Iris Vane", [], tools.clock)
        session.commit()
    return made.id


def hearing(tools: Tools, *voices: str, **more: Any) -> Tools:
    findings = tuple(sighting_of(voice, "voice") for voice in voices)
    return replace(tools, detectors=(Ears("voice", findings=findings, **more),))


def issued(tools: Tools, identity: str) -> VoiceProof:
    with tools.store.session() as session:
        made = own_voice.issue(session, tools, identity)
        session.commit()
    return made


def recording(tools: Tools, name: str = "upload_voice") -> Upload:
    file = reference_file("voice", tools.settings.data_dir / "take.mkv")
    blob = tools.blobs.put("private", f"uploads/{name}.mkv", file)
    row = Upload(id=name, partner="acme", kind="voice", blob=blob, mime="x/y", sha256="0", created_ms=0)
    with tools.store.session() as session:
        session.add(row)
        session.commit()
    return row


def proved(tools: Tools, identity: str, proof: str) -> VoiceProof:
    return own_voice.prove(tools, identity, proof, recording(tools), actor="operator")


def stored(tools: Tools, proof: str) -> VoiceProof:
    with tools.store.reading() as session:
        return session.get_one(VoiceProof, proof)


def test_the_enrolled_voice_passes_and_another_does_not(tools: Tools) -> None:
    iris = person(tools)
    heard = hearing(tools, iris)
    done = proved(heard, iris, issued(tools, iris).id)
    assert heard.detectors[0].asked == iris  # type: ignore[attr-defined]
    assert (done.passed, done.result["voice"], done.result["words"]) == (True, True, "unchecked")
    assert done.result["score"] >= done.result["threshold"]
    other = proved(hearing(tools), iris, issued(tools, iris).id)
    assert (other.passed, other.result["why"]) == (False, "It is not the enrolled voice.")
    with tools.store.reading() as session:
        rows = session.exec(select(AuditEvent).where(AuditEvent.tag == "identity:proved")).all()
        assert session.exec(select(Upload)).all() == []
    facts = [json.loads(row.leaf)["facts"] for row in rows]
    assert [(one["passed"], one["voice"], one["words"]) for one in facts] == [
        (1, 1, "unchecked"),
        (0, 0, "unchecked"),
    ]
    assert all(stored(tools, one["proof"]).passed == bool(one["passed"]) for one in facts)
    assert not [row for row in rows if done.phrase.split()[0].encode() in row.leaf]


def test_the_words_count_where_they_can_be_read(tools: Tools) -> None:
    iris = person(tools)
    right = issued(tools, iris)
    assert proved(hearing(tools, iris, words=right.phrase.upper() + "."), iris, right.id).passed
    wrong = proved(hearing(tools, iris, words="something else altogether"), iris, issued(tools, iris).id)
    assert (wrong.passed, wrong.result["voice"], wrong.result["words"]) == (False, True, "unmatched")
    silent = proved(hearing(tools, iris, words=""), iris, issued(tools, iris).id)
    assert not silent.passed


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("Amber, anchor. apple arrow autumn basket!", True),
        ("amber anchor apple arrow autumn", True),
        ("amber anker apple arrow autumn casket", True),
        ("amber anker apple narrow autumn casket", False),
        ("basket autumn arrow apple anchor amber", False),
        ("", False),
    ],
)
def test_two_words_may_be_misheard(said: str, passes: bool) -> None:
    assert own_voice.says(said, "amber anchor apple arrow autumn basket") == passes


def test_a_phrase_is_good_once_and_for_a_quarter_of_an_hour(tools: Tools, clock: ManualClock) -> None:
    iris = person(tools)
    heard, used, late = hearing(tools, iris), issued(tools, iris), issued(tools, iris)
    assert proved(heard, iris, used.id).passed
    with pytest.raises(Conflict):
        proved(heard, iris, used.id)
    clock.advance(own_voice.MINUTES * 60)
    with pytest.raises(Conflict):
        own_voice.prove(heard, iris, late.id, recording(tools, "upload_late"), actor="operator")
    assert stored(tools, late.id).passed is None
    assert len({issued(tools, iris).phrase for _ in range(20)}) == 20


def test_a_proof_is_of_one_person(tools: Tools) -> None:
    iris, ada = person(tools), person(tools)
    with pytest.raises(NotFound):
        proved(hearing(tools, ada), ada, issued(tools, iris).id)
    with tools.store.session() as session:
        erase_person(session, ada, actor="operator", clock=tools.clock)
        session.commit()
    with pytest.raises(NotFound):
        issued(tools, ada)


@pytest.mark.parametrize(
    "error", [TimedOut(), NotFound("No voice of this person is enrolled."), ValueError()]
)
def test_what_cannot_be_compared_has_not_passed(tools: Tools, error: Exception) -> None:
    iris = person(tools)
    proof = issued(tools, iris)
    with pytest.raises(Unavailable):
        proved(replace(tools, detectors=(Ears("voice", fails=error),)), iris, proof.id)
    assert stored(tools, proof.id).passed is False
    with pytest.raises(Conflict):
        own_voice.prove(hearing(tools, iris), iris, proof.id, recording(tools, "again"), actor="operator")


@pytest.mark.parametrize("error", [BadEnrolment("It has 1.0 s of speech."), BadMedia("No sound.")])
def test_a_recording_that_is_not_fit_to_judge_by_does_not_pass_and_says_why(
    tools: Tools, error: Exception
) -> None:
    iris = person(tools)
    done = proved(replace(tools, detectors=(Ears("voice", fails=error),)), iris, issued(tools, iris).id)
    assert (done.passed, done.result["why"]) == (False, str(error))
    with tools.store.reading() as session:
        assert session.exec(select(Upload)).all() == []


def test_a_voice_that_screening_would_find_is_not_enough(tools: Tools) -> None:
    """One stranger in a hundred is found in a clip; of a proof only one in a thousand may pass."""
    same = Comparison(True, 3.5, 3.4, 0.8)
    near = Comparison(False, 3.0, 3.4, 0.5)
    assert own_voice.judged(same, "a b c d e f g h")["passed"] is True
    assert own_voice.judged(near, "a b c d e f g h")["why"] == "It is not the enrolled voice."
