"""The same answers on PostgreSQL, where two indexers can meet and late events come late."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from audits import index
from audits.index import catch_up, indexed
from audits.log.writer import log_key
from core.store import open_store
from tests.audits.conftest import ORIGIN, Log
from tests.audits.searched import first_leaves, indexes, plainly, put, search, some_leaf
from tests.audits.test_queries import FILTERS, given_filter, leaves_of
from tests.conftest import ManualClock, listening

POSTGRES = "postgresql+psycopg://root@127.0.0.1/test"
SCHEMA = "audit_queries"

pytestmark = pytest.mark.services


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    if not listening(5432):
        pytest.skip("no PostgreSQL on localhost")
    admin = sa.create_engine(POSTGRES)
    with admin.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
        connection.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
    store = open_store(f"{POSTGRES}?options=-csearch_path%3D{SCHEMA}")
    yield Log(store, tmp_path / "log", log_key(tmp_path / "keys" / "log", ORIGIN), ManualClock())
    store.close()
    with admin.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    admin.dispose()


def test_every_filter_finds_what_the_leaves_say(log: Any) -> None:
    rng = random.Random(7)
    put(log, *first_leaves(), *(some_leaf(rng) for _ in range(288)))
    log.integrate()
    assert catch_up(log.store) == 300
    leaves = leaves_of(log)
    for said in FILTERS:
        wanted, found, after = given_filter(said), [], 0
        while after is not None:
            page = search(log, wanted, after=after, limit=100)
            found, after = found + indexes(page), page.after
        assert found == plainly(leaves, wanted), said


def test_the_loser_of_a_race_changes_nothing(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(log, *first_leaves())
    log.integrate()
    catch_up(log.store)
    monkeypatch.setattr(index, "indexed", lambda _session: 0)
    assert catch_up(log.store) == 0
    monkeypatch.undo()
    with log.store.reading() as session:
        assert indexed(session) == 12
