from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from audits.payload import open_payload
from core.errors import KeyMissing, LogCorrupt, NotFound
from core.events import Event, Tag, parse, pseudonym, record
from core.tables import AuditEvent
from core.vault import Vault

PROMPT = {"prompt": "amaranth fields"}


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    made = Vault(b"k" * 32, f"sqlite:///{tmp_path / 'keys.db'}")
    yield made
    made.close()


@pytest.fixture
def index(log: Any, vault: Vault) -> int:
    """A log of three entries, the middle one with a private part."""
    log.happen(1)
    with log.store.session() as session:
        facts = {"file": "00" * 32}
        event = Event(
            tag=Tag.CLIP_WITHDRAWN, actor="operator", partner="p", job="j", facts=facts, private=PROMPT
        )
        record(session, event, log.clock, vault)
        session.commit()
    log.happen(1)
    log.integrate()
    return 1


def look(log: Any, vault: Vault, index: int) -> Any:
    with log.store.session() as session:
        leaf, private = open_payload(session, vault, index, actor="auditor:a_1", clock=log.clock)
        session.commit()
    return leaf, private


def tags(log: Any) -> list[str]:
    with log.store.reading() as session:
        return [row.tag for row in session.exec(select(AuditEvent).order_by(col(AuditEvent.id)))]


def test_a_private_part_is_opened_and_the_look_is_logged(log: Any, vault: Vault, index: int) -> None:
    leaf, private = look(log, vault, index)
    assert (leaf.tag, private) == ("clip:withdrawn", PROMPT)
    with log.store.reading() as session:
        row = session.exec(select(AuditEvent).order_by(col(AuditEvent.id).desc())).first()
        by = pseudonym(session, "a_1")
    assert (row.tag, row.actor, row.job) == ("audit:opened", f"auditor:{by}", "j")
    assert b'"index":1,"tag":"clip:withdrawn"' in row.leaf
    assert b"amaranth" not in row.leaf


def test_what_cannot_be_opened_is_told_and_not_logged(log: Any, vault: Vault, index: int) -> None:
    before = tags(log)
    for number in (0, 3, -1):
        with pytest.raises(NotFound):
            look(log, vault, number)
    with log.store.session() as session:
        row = session.get_one(AuditEvent, 2)
        # Another commitment in the leaf, as somebody would who wants the log to say something else.
        commit = str(parse(row.leaf).commit)
        row.leaf = row.leaf.replace(commit.encode(), commit[::-1].encode())
        session.commit()
    with pytest.raises(LogCorrupt, match="commitment"):
        look(log, vault, index)
    vault.destroy(["j"])
    with pytest.raises(KeyMissing, match="erased"):
        look(log, vault, index)
    assert tags(log) == before
