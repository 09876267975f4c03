from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from audits.filters import EVERYTHING, make_filter
from audits.saved import forget, kept, one_kept, question, save
from core.errors import BadInput, Conflict, NotFound
from core.tables import SavedQuery

HELD = make_filter({"tag": ["clip:held"]})


def test_a_question_is_kept_asked_and_forgotten(log: Any) -> None:
    with log.store.session() as session:
        row = save(session, "auditor:cleo", "Holds", HELD, log.clock)
        save(session, "operator", "Holds", EVERYTHING, log.clock)
        session.commit()
        assert question(one_kept(session, "auditor:cleo", "Holds")) == HELD
        assert one_kept(session, "auditor:cleo", row.id) is row
        assert [one.name for one in kept(session, "auditor:cleo")] == ["Holds"]
        with pytest.raises(NotFound):
            one_kept(session, "operator", row.id)
        forget(session, "auditor:cleo", "Holds")
        assert kept(session, "auditor:cleo") == []
        assert len(kept(session, "operator")) == 1


def test_a_name_is_used_once_and_can_be_read(log: Any) -> None:
    for name in ("", " ", "x" * 81, "a\x00b", "a\nb"):
        with log.store.session() as session, pytest.raises(BadInput):
            save(session, "operator", name, HELD, log.clock)
    with log.store.session() as session:
        save(session, "operator", "Holds", HELD, log.clock)
        session.commit()
        with pytest.raises(Conflict):
            save(session, "operator", "Holds", EVERYTHING, log.clock)


def test_there_is_an_end_to_them(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audits.saved.MAX_SAVED", 1)
    with log.store.session() as session:
        save(session, "operator", "one", HELD, log.clock)
        with pytest.raises(BadInput):
            save(session, "operator", "two", HELD, log.clock)
        save(session, "auditor:cleo", "one", HELD, log.clock)


def test_what_is_no_longer_valid_is_refused_when_asked(log: Any) -> None:
    with log.store.session() as session:
        save(session, "operator", "Holds", HELD, log.clock)
        session.execute(sa.update(SavedQuery).values(filter={"tag": ["clip:lost"]}))
        session.expire_all()
        with pytest.raises(BadInput):
            question(one_kept(session, "operator", "Holds"))
