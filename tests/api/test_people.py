from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import BadEnrolment, KeyMissing
from core.state import State
from core.tables import AuditEvent, Consent, ConsentUse, Template
from pipeline.screening import Enrolment
from pipeline.shelf import Kept
from tests.api.world import PERSON, World, person_row

UNTIL = {"ends_at": "2027-01-01T00:00:00Z", "evidence_sha256": "ab" * 32}
SECRET = np.arange(1, 9, dtype=np.float32)


@dataclass
class Enrolling:
    """A detector that makes a template of the first reference and refuses the others."""

    name: str = "likeness"
    tier: str = "embedded"

    def enrol(self, references: Any) -> Enrolment:
        first, *others = [str(path) for path in references]
        if "bad" in Path(first).read_text(errors="replace"):
            raise BadEnrolment
        return Enrolment(SECRET[None], (first,), tuple((Path(path).name, "blurred") for path in others))


def _with_detector(world: World) -> None:
    tools = replace(world.tools, detectors=(Enrolling(),))
    world.tools = world.client.app.state.tools = tools


def _post(world: World, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    return world.client.post(f"/v1/{path}", json=body, headers=headers or world.acme)


def test_a_person_is_registered_enrolled_and_erased(world: World) -> None:
    _with_detector(world)
    made = _post(world, "identities", {"name": PERSON, "aliases": ["Otty"]})
    assert made.status_code == 201
    person = made.json()["id"]
    references = [world.upload(), world.upload()]
    told = _post(world, f"identities/{person}/enrolments", {"kind": "likeness", "references": references})
    assert told.status_code == 201, told.text
    assert told.json()["accepted"] == references[:1]
    assert told.json()["refused"] == [{"file": references[1], "why": "blurred"}]
    (enrolled,) = Kept(world.tools.store, world.tools.vault, "likeness", "embedded").fresh()
    assert np.array_equal(enrolled.vectors, SECRET[None])
    sealed = world.rows(Template)[0].sealed
    assert SECRET.tobytes() not in sealed
    assert world.tools.vault.holds(person)

    assert world.client.delete(f"/v1/identities/{person}", headers=world.acme).status_code == 204
    assert world.rows(Template) == []
    assert not world.tools.vault.holds(person)
    assert person_row(world, person).name == ""
    assert world.client.get("/v1/identities", headers=world.acme).json() == []
    assert world.client.delete(f"/v1/identities/{person}", headers=world.acme).status_code == 404
    stored = b"".join(path.read_bytes() for path in world.folder.rglob("*.db"))
    assert sealed not in stored
    assert all(PERSON.encode() not in event.leaf for event in world.rows(AuditEvent))
    assert "subject:erased" in world.tags()


def test_the_reasons_why_an_enrolment_fails_are_told(world: World) -> None:
    _with_detector(world)
    person = world.person()
    path = f"identities/{person}/enrolments"
    good = world.upload()
    bad = world.upload()
    (world.folder / "blobs" / "private" / "uploads" / f"{bad}.png").write_text("bad")
    wrong_kind = world.upload("voice")
    for kind, references, status, code in (
        ("likeness", [bad], 422, "bad_enrolment"),
        ("likeness", [wrong_kind], 422, "bad_input"),
        ("likeness", ["upload_x"], 422, "bad_input"),
        ("likeness", [], 422, "bad_input"),
        ("voice", [wrong_kind], 503, "unavailable"),
        ("gait", [good], 422, "bad_input"),
    ):
        told = _post(world, path, {"kind": kind, "references": references})
        assert (told.status_code, told.json()["code"]) == (status, code)
    assert world.rows(Template) == []


def test_anothers_upload_enrols_nobody_of_mine(world: World) -> None:
    _with_detector(world)
    path = f"identities/{world.person()}/enrolments"
    told = _post(world, path, {"kind": "likeness", "references": [world.upload(partner="other")]})
    assert (told.status_code, told.json()["code"]) == (422, "bad_input")
    assert world.rows(Template) == []
    mine = _post(world, path, {"kind": "likeness", "references": [world.upload()]})
    assert mine.status_code == 201, "the control"


def test_only_who_registered_a_person_grants_for_them(world: World) -> None:
    mine, operators, theirs = world.person(), world.person(""), world.person("other")
    asked = {"likeness": True} | UNTIL
    assert _post(world, "consents", asked | {"identity": mine}).status_code == 201
    for foreign in (operators, theirs):
        refused = _post(world, "consents", asked | {"identity": foreign})
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert [consent.identity for consent in world.rows(Consent)] == [mine]


@pytest.mark.parametrize(
    "change",
    [
        {"likeness": False},
        {"ends_at": "2020-01-01T00:00:00Z"},
        {"ends_at": "2027-01-01T00:00:00"},
        {"ends_at": "9999-12-31T23:59:59-23:59"},
        {"starts_at": "0001-01-01T00:00:00Z"},
        {"evidence_sha256": "none"},
        {"project": "a\u0000b"},
    ],
)
def test_a_consent_that_says_nothing_clear_is_refused(world: World, change: dict[str, Any]) -> None:
    asked = {"identity": world.person(), "likeness": True} | UNTIL
    assert _post(world, "consents", asked | change).status_code == 422
    assert world.rows(Consent) == []
    assert _post(world, "consents", asked).status_code == 201, "the control"


def test_a_revocation_stops_what_is_not_out_and_names_what_is(world: World) -> None:
    consent = world.consent(world.person())
    jobs = {state: world.place(state) for state in (State.CLEARED, State.SIGNED, State.RELEASED)}
    for job in jobs.values():
        world.rule(job)
        world.add(ConsentUse(consent=consent, job=job.id))
    told = world.client.delete(f"/v1/consents/{consent}", headers=world.acme).json()
    assert sorted(told["stopped"]) == sorted([jobs[State.CLEARED].id, jobs[State.SIGNED].id])
    assert told["released"] == [jobs[State.RELEASED].id]
    assert world.job(jobs[State.SIGNED].id).state == State.HELD
    (listed,) = world.client.get("/v1/consents", headers=world.acme).json()
    assert listed["revoked_at"] is not None


def test_an_erased_persons_template_cannot_be_opened_with_a_saved_copy(world: World) -> None:
    """Erasing is destroying the key: the sealed bytes alone, kept by an old backup, say nothing."""
    _with_detector(world)
    person = world.person()
    _post(world, f"identities/{person}/enrolments", {"kind": "likeness", "references": [world.upload()]})
    vault, saved = world.tools.vault, world.rows(Template)[0].sealed
    assert SECRET.tobytes() in vault.open(person, saved, about="likeness"), "the control"
    world.client.delete(f"/v1/identities/{person}", headers=world.acme)
    with pytest.raises(KeyMissing):
        vault.open(person, saved, about="likeness")
