from __future__ import annotations

import base64
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlmodel import Session, select

from core.state import State
from core.store import Store
from core.tables import Fingerprint, Job, Manifest, SoftBinding
from pipeline import credentials
from pipeline.finder import Finder
from pipeline.intake import Ask, submit
from pipeline.records import Books
from pipeline.run import advance
from pipeline.tools import Tools
from provenance.manifest import AUDIO_ALG, VIDEO_ALG, binding_value
from tests.conftest import ROOT, ManualClock
from tests.doubles import add_partner, make_tools

PAYLOAD = 0x0123456789ABCDEF
VALUE = binding_value(PAYLOAD)


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    add_partner(made.store)
    return made


def placed(session: Session, state: State, job_id: str = "j", payload: int = PAYLOAD, **marks: bool) -> Job:
    job = Job(
        id=job_id,
        partner="acme",
        kind="generation",
        prompt="x",
        ask={},
        state=state,
        payload=f"{payload:016x}",
        got={"marks": {"video": True, "audio": True} | marks},
        created_ms=1,
        updated_ms=1,
    )
    session.add(job)
    session.flush()
    return job


def test_only_what_was_released_is_found(tools: Tools) -> None:
    with tools.store.session() as session:
        for payload, state in enumerate(State):
            job, label = placed(session, state, f"j{payload}", payload), f"urn:c2pa:{payload}"
            credentials.bind(session, job, label, b"store", at_ms=1)
            session.flush()
            found = credentials.bound(session, VIDEO_ALG, binding_value(payload), 10)
            store = credentials.manifest(session, label)
            if state in (State.RELEASED, State.WITHDRAWN):
                gone = state is State.WITHDRAWN
                assert found == [credentials.Credential(job.id, label, gone)]
                assert store == (b"store", gone)
            else:
                assert (found, store) == ([], None), state


def test_only_marks_that_are_there_lead_anywhere(tools: Tools) -> None:
    with tools.store.session() as session:
        credentials.bind(session, placed(session, State.RELEASED, audio=False), "l", b"s", at_ms=1)
        assert len(credentials.bound(session, VIDEO_ALG, VALUE, 10)) == 1
        assert credentials.bound(session, AUDIO_ALG, VALUE, 10) == []
        assert credentials.bound(session, VIDEO_ALG, binding_value(PAYLOAD + 1), 10) == []


def test_signing_again_leaves_nothing_of_before(tools: Tools) -> None:
    with tools.store.session() as session:
        job = placed(session, State.RELEASED)
        credentials.bind(session, job, "first", b"1", at_ms=1)
        credentials.keep_prints(session, job.id, {"a": b"1", "b": b"1"})
        credentials.bind(session, job, "second", b"2", at_ms=2)
        credentials.keep_prints(session, job.id, {"a": b"2"})
        session.commit()
        assert [row.label for row in session.exec(select(Manifest))] == ["second"]
        assert [(row.alg, row.data) for row in session.exec(select(Fingerprint))] == [("a", b"2")]
        assert len(session.exec(select(SoftBinding)).all()) == 2


def test_the_newest_manifest_of_a_clip_is_handed_out(tools: Tools) -> None:
    with tools.store.session() as session:
        job = placed(session, State.RELEASED)
        credentials.bind(session, job, "signed", b"1", at_ms=5)
        session.add(Manifest(label="stamped later", job=job.id, store=b"2", at_ms=9))
        session.commit()
        assert credentials.bound(session, AUDIO_ALG, VALUE, 10)[0].label == "stamped later"
        assert credentials.manifest(session, "signed") == (b"1", False)


def test_a_clip_on_its_way_leaves_credentials_before_it_is_released(tools: Tools) -> None:
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="A heron", seconds=1, width=64, height=64))
        session.commit()
    states = {}
    for _ in range(7):
        advance(tools, "w", job.id)
        with tools.store.reading() as session:
            now = session.get_one(Job, job.id)
            kept = len(session.exec(select(Fingerprint)).all()), len(session.exec(select(SoftBinding)).all())
            found = credentials.bound(session, VIDEO_ALG, binding_value(int(job.payload, 16)), 5)
            states[now.state] = (*kept, len(found))
    assert states[State.CLEARED] == (0, 0, 0)
    assert states[State.MARKED] == (1, 0, 0)
    assert states[State.SIGNED] == states[State.RECORDED] == (1, 2, 0)
    assert states[State.RELEASED] == (1, 2, 1)


def test_a_mark_leads_to_the_record_and_so_does_every_manifest(tools: Tools) -> None:
    with tools.store.session() as session:
        job = placed(session, State.RELEASED)
        job.got = job.got | {"got": {"seconds": 1}, "signed_sha256": "0" * 64}
        credentials.bind(session, job, "signed", b"1", at_ms=5)
        session.add(Manifest(label="stamped", job=job.id, store=b"2", at_ms=9))
        session.commit()
    books = Books(tools.store, Finder(tools.store))
    told = [books.by_payload(PAYLOAD), books.by_label("signed"), books.by_label("stamped")]
    assert [record and (record.id, record.manifest_label) for record in told] == [
        ("j", "stamped"),
        ("j", "signed"),
        ("j", "stamped"),
    ]


def test_what_was_kept_before_is_kept_on(tmp_path: Path) -> None:
    """A database of before this migration: its manifests stay, and their marks lead to them."""
    store = Store(f"sqlite:///{tmp_path / 'old.db'}")
    config = Config()
    config.set_main_option("script_location", str(ROOT / "core" / "migrations"))
    with store._writer.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        connection.execute(
            sa.text("INSERT INTO partner (id, name, per_minute, at_once, created_ms) VALUES ('p','p',1,1,0)")
        )
        connection.execute(
            sa.text(
                "INSERT INTO job (id, partner, kind, project, territory, prompt, ask, state, payload, fence, "
                "lease_until_ms, attempts, cancel, progress, got, manifest_label, created_ms, updated_ms) "
                "VALUES ('j','p','generation','','','x','{}','released',:payload,0,0,0,0,0,:got,'label',1,7)"
            ),
            {"payload": f"{PAYLOAD:016x}", "got": '{"marks": {"video": true, "audio": false}}'},
        )
        connection.execute(
            sa.text("INSERT INTO manifest (payload, label, job, store) VALUES (:payload,'label','j',:store)"),
            {"payload": f"{PAYLOAD:016x}", "store": b"bytes"},
        )
    store.migrate()
    with store.reading() as session:
        found = credentials.bound(
            session, VIDEO_ALG, base64.b64encode(PAYLOAD.to_bytes(8, "big")).decode(), 5
        )
        assert found == [credentials.Credential("j", "label", withdrawn=False)]
        assert credentials.bound(session, AUDIO_ALG, VALUE, 5) == []
        assert credentials.manifest(session, "label") == (b"bytes", False)
    store.close()
