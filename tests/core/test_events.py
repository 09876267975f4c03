from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session, SQLModel, select

from core import events
from core.errors import BadInput
from core.events import Event, Tag, canonical, commitment, record
from core.tables import AuditEvent

EXACT = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@pytest.fixture
def session(tmp_path: Path) -> Any:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'events.db'}")
    SQLModel.metadata.create_all(engine, tables=[AuditEvent.__table__])  # type: ignore[attr-defined]
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def test_the_leaf_is_canonical_json(session: Session, clock: Any) -> None:
    event = Event(
        tag=Tag.CLIP_HELD, actor="worker:1", job="clip_1", rule="likeness.match", facts={"score": 8123}
    )
    row = record(session, event, clock)
    assert row.leaf == (
        b'{"actor":"worker:1","at_ms":1795392000000,"facts":{"score":8123},"job":"clip_1",'
        b'"rule":"likeness.match","tag":"clip:held","v":1}'
    )
    assert (row.tag, row.job, row.rule, row.partner, row.detail) == (
        "clip:held",
        "clip_1",
        "likeness.match",
        None,
        "{}",
    )


def test_recording_does_not_commit(session: Session, clock: Any) -> None:
    assert record(session, Event(tag=Tag.CLIP_HELD, actor="system"), clock).id == 1
    session.rollback()
    assert session.exec(select(AuditEvent)).all() == []


def test_private_detail_stays_out_of_the_leaf(session: Session, clock: Any) -> None:
    event = Event(tag=Tag.IDENTITY_ENROLLED, actor="reviewer:r_1", private={"name": "Ana Ünal"})
    row, other = record(session, event, clock), record(session, event, clock)
    assert "Ana" not in row.leaf.decode()
    leaf, detail = json.loads(row.leaf), json.loads(row.detail)
    assert leaf["commit"] == commitment(row.detail)
    expected = hmac.new(bytes.fromhex(detail["salt"]), '{"name":"Ana Ünal"}'.encode(), hashlib.sha256)
    assert leaf["commit"] == expected.hexdigest()
    # The same name twice gives two commitments, so that they cannot be told to be the same or guessed.
    assert row.leaf != other.leaf
    detail["private"]["name"] = "Somebody Else"
    assert commitment(canonical(detail).decode()) != leaf["commit"]
    with pytest.raises(BadInput):
        commitment("{}")


@settings(deadline=None)
@given(EXACT)
def test_what_is_exact_reads_back(value: Any) -> None:
    data = canonical(value)
    assert json.loads(data) == value
    assert canonical(json.loads(data)) == data


@pytest.mark.parametrize(
    "value", [0.5, {"a": [1, {"b": 2.0}]}, None, True, float("nan"), 2**53, {1: 2}, b"x", "\ud800"]
)
def test_what_is_not_exact_is_refused(value: Any, session: Session, clock: Any) -> None:
    with pytest.raises(BadInput):
        record(session, Event(tag=Tag.CLIP_HELD, actor="system", facts={"x": value}), clock)
    assert session.exec(select(AuditEvent)).all() == []


def test_a_leaf_has_a_limit_and_the_tags_a_grammar(session: Session, clock: Any) -> None:
    with pytest.raises(BadInput, match="larger"):
        record(session, Event(tag=Tag.CLIP_HELD, actor="system", facts={"x": "y" * events.MAX_LEAF}), clock)
    assert all(tag.count(":") == 1 and tag.replace(":", "").isalpha() and tag.islower() for tag in Tag)
    with pytest.raises(ValueError, match="no:such"):
        record(session, Event(tag="no:such", actor="system"), clock)  # type: ignore[arg-type]
