from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel, select

from core.errors import NotFound, StaleFence
from core.state import CANCELLABLE, FINAL, RUNNABLE, TRANSITIONS, State
from core.store import Store, claim, job, move, open_store, postpone, renew
from core.tables import Job, Outbox, Partner
from tests.conftest import listening

POSTGRES = "postgresql+psycopg://root@127.0.0.1/test"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "postgresql":
        if not listening(5432):
            pytest.skip("no PostgreSQL on localhost")
        schema = f"store_{tmp_path.name.replace('-', '_')}"
        admin = sa.create_engine(POSTGRES)
        with admin.begin() as connection:
            connection.execute(sa.text(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
            connection.execute(sa.text(f'CREATE SCHEMA "{schema}"'))
        opened = open_store(f"{POSTGRES}?options=-csearch_path%3D{schema}")
        yield opened
        opened.close()
        with admin.begin() as connection:
            connection.execute(sa.text(f'DROP SCHEMA "{schema}" CASCADE'))
        admin.dispose()
    else:
        opened = open_store(f"sqlite:///{tmp_path / 'test.db'}")
        yield opened
        opened.close()


@pytest.fixture
def one(store: Store) -> Store:
    with store.session() as session:
        session.add(Partner(id="p", name="p", created_ms=0))
        session.flush()
        session.add(
            Job(
                id="j",
                partner="p",
                kind="generation",
                prompt="x",
                ask={},
                state="received",
                payload="00",
                created_ms=1,
                updated_ms=1,
            )
        )
        session.commit()
    return store


def claimed(store: Store, now_ms: int, holder: str = "w") -> Job | None:
    with store.session() as session:
        found = claim(session, holder=holder, now_ms=now_ms, lease_ms=100)
        session.commit()
    return found


def test_the_migrations_make_exactly_the_tables(store: Store) -> None:
    with store._writer.connect() as connection:

        def is_for_it(thing: Any, *_: object) -> bool:
            wanted = getattr(thing, "_ddl_if", None)
            return wanted is None or wanted.dialect == connection.dialect.name

        context = MigrationContext.configure(connection, opts={"include_object": is_for_it})
        found = compare_metadata(context, SQLModel.metadata)
    assert found == []


def test_a_lease_keeps_others_out_until_it_lapses(one: Store) -> None:
    first = claimed(one, 1000)
    assert first is not None
    assert (first.fence, first.lease_until_ms) == (1, 1100)
    assert claimed(one, 1100) is None
    second = claimed(one, 1101)
    assert second is not None
    assert (second.fence, second.attempts) == (2, 2)


def test_only_the_newest_fence_moves_a_request(one: Store) -> None:
    claimed(one, 1000)
    claimed(one, 2000)
    with one.session() as session:
        with pytest.raises(StaleFence):
            move(session, "j", State.RECEIVED, State.ADMITTED, now_ms=2001, fence=1)
        with pytest.raises(StaleFence):
            renew(session, "j", 1, until_ms=9999, progress=0.5)
        with pytest.raises(StaleFence):
            postpone(session, "j", 1, until_ms=9999, problem="x")
        move(session, "j", State.RECEIVED, State.ADMITTED, now_ms=2001, fence=2)
        session.commit()
    with one.reading() as session:
        after = job(session, "j")
        assert (after.state, after.attempts, after.lease_until_ms) == ("admitted", 0, 0)
        assert [row.job for row in session.exec(select(Outbox))] == ["j"]


def test_without_the_fence_a_stale_worker_would_win(one: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    monkeypatch.setattr("core.store.owned", lambda _fence: sa.true())
    claimed(one, 1000)
    claimed(one, 2000)
    with one.session() as session:
        move(session, "j", State.RECEIVED, State.ADMITTED, now_ms=2001, fence=1)


def test_a_person_outruns_a_worker(one: Store) -> None:
    found = claimed(one, 1000)
    assert found is not None
    with one.session() as session:
        move(session, "j", State.RECEIVED, State.CANCELLED, now_ms=1001)
        session.commit()
    with one.session() as session, pytest.raises(StaleFence):
        move(session, "j", State.RECEIVED, State.ADMITTED, now_ms=1002, fence=found.fence)


def test_renewing_tells_of_a_cancellation(one: Store) -> None:
    claimed(one, 1000)
    with one.session() as session:
        assert renew(session, "j", 1, until_ms=5000, progress=0.25) is False
        found = job(session, "j")
        found.cancel = True
        session.add(found)
        session.flush()
        assert renew(session, "j", 1, until_ms=6000, progress=0.5) is True


def test_a_rollback_leaves_no_trace(one: Store) -> None:
    with one.session() as session:
        move(session, "j", State.RECEIVED, State.ADMITTED, now_ms=5)
    with one.reading() as session:
        assert job(session, "j").state == "received"
        assert session.exec(select(Outbox)).all() == []


@pytest.mark.parametrize(("frm", "to"), list(itertools.product(State, State)))
def test_no_way_but_the_listed_ones(frm: State, to: State) -> None:
    class Untouched:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

    if to not in TRANSITIONS[frm]:
        with pytest.raises(StaleFence):
            move(Untouched(), "j", frm, to, now_ms=1)  # type: ignore[arg-type]


def test_the_shape_of_the_states() -> None:
    assert set(TRANSITIONS) == set(State)
    appealable = {State.REFUSED, State.REJECTED}
    assert all(not TRANSITIONS[state] for state in FINAL - appealable - {State.RELEASED})
    assert all(TRANSITIONS[state] == {State.HELD} for state in appealable)
    assert {State.SIGNED, State.RECORDED} & CANCELLABLE == set()
    ways_to_release = {state for state, ways in TRANSITIONS.items() if State.RELEASED in ways}
    assert ways_to_release == {State.RECORDED}
    assert all(TRANSITIONS[state] for state in RUNNABLE)


def test_nothing_found_is_told(store: Store) -> None:
    with store.reading() as session, pytest.raises(NotFound):
        job(session, "nobody")


def test_nothing_is_told_to_be_gone_while_somebody_reads_it(one: Store) -> None:
    """A reader keeps old rows alive on either database; without one they are reclaimed."""
    with one.reading() as reader:
        if one.url.startswith("postgresql"):
            reader.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        reader.exec(select(Job)).all()
        with one.session() as session:
            session.get_one(Job, "j").prompt = ""
            session.commit()
        assert not one.scrub(Job)
    assert one.scrub(Job)
