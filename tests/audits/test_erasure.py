from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlmodel import select

from audits.erasure import erase_mentions, erase_person, erase_request, finish
from core.decision import from_json
from core.errors import Conflict, KeyMissing, NotFound
from core.events import opened
from core.state import FINAL, State
from core.tables import (
    AuditEvent,
    IdempotencyKey,
    Identity,
    Job,
    Leftover,
    LegalHold,
    Review,
    Ruling,
    Template,
    Upload,
)
from pipeline import people
from pipeline.intake import Ask, submit, withdraw
from pipeline.review import decide
from pipeline.run import advance
from pipeline.shelf import Kept
from pipeline.tools import Tools
from safety.gallery import Enrolment, Vectors
from tests.conftest import ManualClock
from tests.doubles import Eyes, add_partner, make_tools, reading, reference_file, sighting_of

NAME, PROMPT, REASON = "Iris Vane", "Iris Vane walks through amaranth fields", "She signed it on vellum"
VECTORS: Vectors = np.random.default_rng(7).standard_normal((2, 64)).astype(np.float32)
SECRETS = (b"Iris", b"Vane", b"amaranth", b"vellum", b"Night Film", VECTORS.tobytes()[:8])


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    add_partner(made.store)
    return made


def person_of(tools: Tools, uploads: tuple[str, ...] = ()) -> str:
    """Enrol the person; `uploads` are references that an older version left."""
    with tools.store.session() as session:
        person = people.add_identity(session, NAME, ["Iris"], tools.clock)
        people.enrol(
            session, tools.vault, person.id, "likeness", "embedded", Enrolment(VECTORS, (), ()),
            actor="operator", clock=tools.clock,
        )  # fmt: skip
        session.flush()
        session.exec(select(Template)).one().uploads = list(uploads)
        session.commit()
    return person.id


def upload_of(tools: Tools, name: str) -> str:
    path = reference_file("picture", tools.settings.data_dir / name)
    with path.open("ab") as file:
        file.write(b"a picture of Iris Vane")
    blob = tools.blobs.put("private", f"uploads/{name}.png", path)
    with tools.store.session() as session:
        session.add(
            Upload(
                id=name, partner="acme", kind="picture", blob=blob, mime="image/png", sha256="0", created_ms=0
            )
        )
        session.commit()
    return name


def asked(tools: Tools, **changes: Any) -> str:
    with tools.store.session() as session:
        ask = Ask(**{"prompt": PROMPT, "project": "Night Film", "seed": 1} | changes)
        job, _ = submit(session, tools, "acme", ask, key=f"key of {changes}")
        session.commit()
    return job.id


def through(tools: Tools, job: str) -> Job:
    while advance(tools, "w", job) is not None:
        pass
    with tools.store.reading() as session:
        return session.get_one(Job, job)


def words_of(tools: Tools) -> Tools:
    """Let the prompt reader find the person's name, as the real one does."""

    def read(session: Any, text: str, _modality: str) -> dict[str, Any]:
        found = session.exec(select(Identity).where(Identity.name == NAME)).first()
        entity = {
            "text": NAME,
            "kind": "protected",
            "id": found.id if found else "",
            "start": 0,
            "end": 9,
            "view": "plain",
        }
        return reading(text, entities=[entity] if found else [])

    return replace(tools, read_prompt=read)


def approved(tools: Tools, job: str) -> None:
    with tools.store.session() as session:
        decide(session, job, "approve", reviewer="ann", reason=REASON, clock=tools.clock, vault=tools.vault)
        session.commit()


def at_rest(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def hits(folder: Path) -> list[tuple[str, bytes]]:
    return [(name, one) for name, data in at_rest(folder).items() for one in SECRETS if one in data]


def erased(tools: Tools, job: str) -> None:
    with tools.store.session() as session:
        erase_request(session, job, actor="partner:acme", why="demand", clock=tools.clock)
        session.commit()


def test_no_word_of_an_erased_request_is_left(tools: Tools, tmp_path: Path) -> None:
    tools = words_of(tools)
    person = person_of(tools)
    upload = upload_of(tools, "upload_1")
    job = asked(tools, references=(upload,), identities=(person,))
    assert through(tools, job).state == State.HELD
    approved(tools, job)
    assert through(tools, job).state == State.RELEASED
    found = {one for _, one in hits(tmp_path)}
    assert {b"amaranth", b"vellum", b"Night Film"} <= found, "the control: it was there"
    erased(tools, job)
    with tools.store.session() as session:
        erase_person(session, person, actor="operator", clock=tools.clock)
        session.commit()
    assert hits(tmp_path) != [], "the control: until it is finished, the write-ahead log still holds it"
    assert finish(tools)
    assert hits(tmp_path) == []
    with tools.store.reading() as session:
        row = session.get_one(Job, job)
        assert (row.prompt, row.project, row.mezzanine, row.erased_ms is not None) == ("", "", None, True)
        assert row.state == State.RELEASED, "what was released stays"
        assert tools.blobs.path("public", str(row.public)).exists()
        assert not (tmp_path / "blobs" / "private" / "jobs" / job).exists()
        assert session.exec(select(IdempotencyKey)).all() == session.exec(select(Upload)).all() == []
        assert [review.reason for review in session.exec(select(Review))] == [""]
        for ruling in session.exec(select(Ruling)):
            decision = from_json(ruling.decision)
            assert decision.facts == {"erased": 1}
            assert all(rule.evidence == () for rule in decision.rules)
        assert any(from_json(ruling.decision).rules for ruling in session.exec(select(Ruling)))
        assert session.exec(select(Leftover)).all() == []


def test_an_erased_request_opens_for_nobody_any_more(tools: Tools) -> None:
    job = asked(tools)
    through(tools, job)
    with tools.store.reading() as session:
        received = session.exec(select(AuditEvent).where(AuditEvent.tag == "request:received")).one()
    assert opened(received, tools.vault) == {"prompt": PROMPT}, "the control"
    erased(tools, job)
    finish(tools)
    with pytest.raises(KeyMissing, match="erased"):
        opened(received, tools.vault)
    with tools.store.reading() as session:
        assert session.get_one(AuditEvent, received.id).leaf == received.leaf
        event = session.exec(select(AuditEvent).where(AuditEvent.tag == "subject:erased")).one()
    assert (event.job, event.partner, event.actor) == (job, "acme", "partner:acme")


def test_erasing_twice_is_harmless_and_once_in_the_log(tools: Tools) -> None:
    job = asked(tools)
    through(tools, job)
    erased(tools, job)
    erased(tools, job)
    assert finish(tools)
    assert finish(tools)
    with tools.store.reading() as session:
        assert len(session.exec(select(AuditEvent).where(AuditEvent.tag == "subject:erased")).all()) == 1


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
def test_what_is_under_way_is_not_erased(tools: Tools, state: State) -> None:
    job = asked(tools)
    with tools.store.session() as session:
        session.get_one(Job, job).state = str(state)
        session.commit()
    with tools.store.session() as session, pytest.raises(Conflict, match="when it has ended"):
        erase_request(session, job, actor="partner:acme", why="demand", clock=tools.clock)


@pytest.mark.parametrize("subject", ["job", "acme"])
def test_a_legal_hold_keeps_a_request(tools: Tools, subject: str) -> None:
    job = asked(tools)
    through(tools, job)
    with tools.store.session() as session:
        session.add(LegalHold(name="case-7", subject=job if subject == "job" else subject, at_ms=0))
        session.commit()
    with pytest.raises(Conflict, match="legal hold"):
        erased(tools, job)
    with tools.store.reading() as session:
        assert session.get_one(Job, job).prompt == PROMPT


def test_an_upload_that_another_request_needs_stays(tools: Tools) -> None:
    shared, own = upload_of(tools, "upload_1"), upload_of(tools, "upload_2")
    first = asked(tools, references=(shared, own))
    second = asked(tools, references=(shared,))
    for job in (first, second):
        through(tools, job)
    erased(tools, first)
    finish(tools)
    with tools.store.reading() as session:
        assert session.get(Upload, own) is None
        assert tools.blobs.path("private", session.get_one(Upload, shared).blob).exists()
    erased(tools, second)
    finish(tools)
    with tools.store.reading() as session:
        assert session.get(Upload, shared) is None


def test_a_withdrawn_clip_loses_its_public_file_too(tools: Tools) -> None:
    job = asked(tools)
    public = str(through(tools, job).public)
    with tools.store.session() as session:
        withdraw(session, tools, job, actor="operator", reason="the person asked us to")
        session.commit()
    assert tools.blobs.path("public", public).exists()
    erased(tools, job)
    finish(tools)
    with pytest.raises(NotFound):
        tools.blobs.path("public", public)


def test_a_person_is_forgotten_with_everything_made_of_them(tools: Tools, tmp_path: Path) -> None:
    person = person_of(tools, (upload_of(tools, "upload_1"),))
    with tools.store.session() as session:
        other = people.add_identity(session, "Ada Frost", [], tools.clock).id
        people.enrol(
            session,
            tools.vault,
            other,
            "likeness",
            "embedded",
            Enrolment(VECTORS, (), ()),
            actor="operator",
            clock=tools.clock,
        )
        session.commit()
        sealed = session.exec(select(Template).where(Template.identity == person)).one().sealed
    assert tools.vault.open(person, sealed, about="likeness"), "the control"
    with tools.store.session() as session:
        erase_person(session, person, actor="operator", clock=tools.clock)
        session.commit()
    finish(tools)
    with pytest.raises(KeyMissing):
        tools.vault.open(person, sealed, about="likeness")
    assert hits(tmp_path) == []
    shelf = Kept(tools.store, tools.vault, "likeness", "embedded")
    assert [one.identity for one in shelf.fresh()] == [other]
    with tools.store.reading() as session:
        row = session.get_one(Identity, person)
        assert (row.name, row.aliases, row.erased) == ("", [], True)
        assert people.find_identity(session, NAME) is None
    for refused in (person, "person_none"):
        with tools.store.session() as session, pytest.raises(NotFound):
            erase_person(session, refused, actor="operator", clock=tools.clock)
    with tools.store.session() as session, pytest.raises(NotFound):
        people.enrol(
            session,
            tools.vault,
            person,
            "likeness",
            "embedded",
            Enrolment(VECTORS, (), ()),
            actor="operator",
            clock=tools.clock,
        )


def test_a_legal_hold_keeps_a_person(tools: Tools) -> None:
    person = person_of(tools)
    with tools.store.session() as session:
        session.add(LegalHold(name="case-7", subject=person, at_ms=0))
        session.commit()
    with tools.store.session() as session, pytest.raises(Conflict):
        erase_person(session, person, actor="operator", clock=tools.clock)


def test_requests_that_name_or_show_an_erased_person_lose_their_words(tools: Tools, tmp_path: Path) -> None:
    tools = words_of(tools)
    person = person_of(tools)
    named, going, harmless = (
        asked(tools),
        asked(tools, seed=2),
        asked(tools, prompt="Waves at dawn", project=""),
    )
    for job in (named, harmless):
        through(tools, job)
    with tools.store.session() as session:
        decide(session, named, "reject", reviewer="ann", reason=REASON, clock=tools.clock, vault=tools.vault)
        session.commit()
    sees = Eyes("likeness", findings=(sighting_of(person),))
    eyes = replace(tools, detectors=(sees, Eyes("voice")))
    shown = asked(eyes, prompt="A woman waves", project="")
    through(eyes, shown)
    through(tools, going)
    with tools.store.session() as session:
        decide(session, shown, "reject", reviewer="ann", reason=REASON, clock=tools.clock, vault=tools.vault)
        erase_person(session, person, actor="operator", clock=tools.clock)
        session.commit()
    assert sorted(erase_mentions(tools, person, actor="operator")) == sorted([named, shown])
    with tools.store.reading() as session:
        assert session.get_one(Job, harmless).prompt == "Waves at dawn"
        assert (session.get_one(Job, going).prompt, session.get_one(Job, going).forget) == (PROMPT, True)


def test_a_crash_before_the_end_is_mended_by_the_next_call(
    tools: Tools, tmp_path: Path, monkeypatch: Any
) -> None:
    job = asked(tools)
    through(tools, job)
    erased(tools, job)

    def crash(*_: Any) -> None:
        raise OSError("the disk went away")

    for part in ("core.vault.Vault.destroy", "core.store.Store.scrub", "core.blobs.LocalBlobs.remove"):
        with monkeypatch.context() as broken:
            broken.setattr(part, crash)
            with pytest.raises(OSError, match="went away"):
                finish(tools)
    assert hits(tmp_path) != []
    assert finish(tools)
    assert hits(tmp_path) == []


def test_a_reader_in_the_way_puts_the_end_off(tools: Tools, tmp_path: Path) -> None:
    job = asked(tools)
    through(tools, job)
    with tools.store.reading() as reader:
        reader.exec(select(Job)).all()
        erased(tools, job)
        assert not finish(tools)
    assert hits(tmp_path) != [], "the control: the reader kept the old pages"
    assert finish(tools)
    assert hits(tmp_path) == []
