"""Two people to change a key: in the code, and in the database when the code forgets."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from core.clock import milliseconds
from core.errors import BadInput, Conflict, GreenlightError, NotFound, Unavailable
from core.events import opened, pseudonym
from core.store import Store, open_store
from core.tables import AuditEvent, GateKey
from core.vault import Vault
from pipeline.keyring import first_keys
from pipeline.keys import approve, found, hold, listed, propose_mark, propose_signer, revoke, watch
from provenance.keys import Credential, PemKey
from tests.conftest import ManualClock
from tests.pipeline.test_keyring import House
from tests.provenance.keys.leaves import Shape

POSTGRES = "postgresql+psycopg://root@127.0.0.1/test"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def house(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[House]:
    from tests.conftest import listening

    if request.param == "sqlite":
        store = open_store(f"sqlite:///{tmp_path / 'house.db'}")
        yield House(tmp_path, store, clock)
        store.close()
        return
    if not listening(5432):
        pytest.skip("no PostgreSQL on localhost")
    schema, admin = "keys_of_the_gate", sa.create_engine(POSTGRES)
    with admin.begin() as connection:
        connection.execute(sa.text(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
        connection.execute(sa.text(f'CREATE SCHEMA "{schema}"'))
    store = open_store(f"{POSTGRES}?options=-csearch_path%3D{schema}")
    yield House(tmp_path, store, clock)
    store.close()
    with admin.begin() as connection:
        connection.execute(sa.text(f'DROP SCHEMA "{schema}" CASCADE'))
    admin.dispose()


def proposed(house: House, by: str = "ann", name: str = "next") -> GateKey:
    with house.store.session() as session:
        row = propose_signer(session, house.signer(name), by=by, clock=house.clock)
        session.commit()
    return row


def changed(house: House, change: Callable[[Session], GateKey]) -> GateKey:
    with house.store.session() as session:
        row = change(session)
        session.commit()
    return row


def test_the_proposer_cannot_approve_and_another_can(house: House) -> None:
    house.start()
    row = proposed(house)
    with pytest.raises(Conflict, match="another admin must approve"):
        changed(house, lambda session: approve(session, row.id, by="ann", clock=house.clock))
    assert house.states() == [("active", True), ("proposed", False)], "and nothing was retired meanwhile"
    changed(house, lambda session: approve(session, row.id, by="bob", clock=house.clock))
    assert house.states() == [("active", False), ("retired", True)]
    with pytest.raises(Conflict, match="is active, not proposed"):
        changed(house, lambda session: approve(session, row.id, by="cleo", clock=house.clock))


@pytest.mark.parametrize(
    ("forgotten", "constraint"),
    [
        ({"state": "active", "approved_by": "ann"}, "gatekey_two_people"),
        ({"state": "active"}, "gatekey_approved"),
        ({"state": "retired"}, "gatekey_approved"),
        ({"state": "active", "approved_by": "bob"}, "gatekey_one_active|gatekey.kind"),
    ],
)
def test_the_database_refuses_what_the_code_would_have_to_forget(
    house: House, forgotten: dict[str, str], constraint: str
) -> None:
    """The control is the last line: without any of it the same UPDATE passes."""
    house.start()
    row = proposed(house)
    update = sa.update(GateKey).where(col(GateKey.id) == row.id)
    with house.store.session() as session, pytest.raises(IntegrityError, match=constraint):
        session.execute(update.values(**forgotten))
    with house.store.session() as session:
        session.execute(sa.update(GateKey).where(col(GateKey.state) == "active").values(state="retired"))
        session.execute(update.values(state="active", approved_by="bob"))


def test_what_cannot_sign_cannot_be_proposed(house: House) -> None:
    ours, theirs = house.signer("ours"), house.signer("theirs")
    expired = house.signer("old", Shape(days=1, starts=timedelta(days=-9)))
    mixed = Credential(ours.certificates, theirs.custody)
    nowhere = Credential(ours.certificates, PemKey(house.folder / "nothing"))
    for credential, words in ((expired, "expired"), (mixed, "belong"), (nowhere, "cannot be read")):
        with house.store.session() as session, pytest.raises(BadInput, match=words):
            propose_signer(session, credential, by="ann", clock=house.clock)


def test_a_key_is_proposed_once(house: House) -> None:
    credential = house.signer("next")
    with house.store.session() as session:
        propose_signer(session, credential, by="ann", clock=house.clock)
        with pytest.raises(Conflict, match="known already"):
            propose_signer(session, credential, by="bob", clock=house.clock)


def test_a_proposal_that_expired_meanwhile_cannot_be_approved(house: House) -> None:
    row = proposed(house)
    house.clock.at += timedelta(days=400)
    with pytest.raises(BadInput, match="expired"):
        changed(house, lambda session: approve(session, row.id, by="bob", clock=house.clock))


def test_keys_are_found_by_how_they_begin(house: House) -> None:
    row = proposed(house)
    with house.store.reading() as session:
        assert found(session, row.id[:8]).id == row.id
        for name in ("zz", "", "%", "_"):
            with pytest.raises(NotFound):
                found(session, name)


def test_one_admin_is_enough_to_stop_and_a_later_look_may_find_an_earlier_moment(house: House) -> None:
    house.start()
    row = proposed(house)
    changed(house, lambda session: approve(session, row.id, by="bob", clock=house.clock))
    house.clock.advance(1000)
    now_ms = milliseconds(house.clock.now())

    def stopped(since_ms: int | None) -> GateKey:
        return changed(
            house,
            lambda session: revoke(
                session,
                row.id,
                by="ann",
                reason="it leaked",
                clock=house.clock,
                vault=house.vault,
                since_ms=since_ms,
            ),
        )

    with pytest.raises(BadInput, match="has passed"):
        stopped(now_ms + 1)
    assert stopped(None).revoked_ms == now_ms
    assert stopped(now_ms - 500_000).revoked_ms == now_ms - 500_000
    with pytest.raises(Conflict, match="earlier moment already"):
        stopped(None)
    with house.store.session() as session, pytest.raises(BadInput, match="reason"):
        revoke(session, row.id, by="ann", reason=" ", clock=house.clock, vault=house.vault)


def test_a_signer_that_is_held_is_revoked_only_afterwards(house: House) -> None:
    house.start()
    row = proposed(house)
    changed(house, lambda session: approve(session, row.id, by="bob", clock=house.clock))
    asked, revoked = threading.Event(), threading.Event()

    def stop() -> None:
        asked.set()
        changed(
            house,
            lambda session: revoke(
                session, row.id, by="ann", reason="it leaked", clock=house.clock, vault=house.vault
            ),
        )
        revoked.set()

    with house.store.session() as session:
        hold(session, row.id)
        thread = threading.Thread(target=stop)
        thread.start()
        assert asked.wait(10)
        assert not revoked.wait(0.3), "it waits for whoever records"
        house.clock.advance(5)
        recorded_ms = milliseconds(house.clock.now())
        session.commit()
    thread.join(30)
    with house.store.session() as session:
        assert int(found(session, row.id).revoked_ms or 0) >= recorded_ms
        with pytest.raises(Unavailable, match="was revoked"):
            hold(session, row.id)


def test_every_change_is_in_the_log_and_the_reason_is_not(house: House) -> None:
    house.start()
    row = proposed(house)
    changed(house, lambda session: approve(session, row.id, by="bob", clock=house.clock))
    changed(
        house,
        lambda session: revoke(
            session, row.id, by="ann", reason="it leaked", clock=house.clock, vault=house.vault
        ),
    )
    with house.store.reading() as session:
        events = session.exec(select(AuditEvent).order_by(col(AuditEvent.id))).all()
        ann, bob = (f"reviewer:{pseudonym(session, name)}" for name in ("ann", "bob"))
    assert [(event.tag, event.actor) for event in events[2:]] == [
        ("key:proposed", ann),
        ("key:rotated", bob),
        ("key:revoked", ann),
    ]
    assert all(row.id.encode() in event.leaf for event in events[2:])
    assert b"leaked" not in events[-1].leaf
    assert opened(events[-1], house.vault) == {"reason": "it leaked"}


def test_an_end_is_announced_once_before_it_comes(house: House) -> None:
    house.start()

    def announced() -> int:
        with house.store.session() as session:
            rows = watch(session, house.clock, days=30)
            session.commit()
        return len(rows)

    assert announced() == 0
    house.clock.at += timedelta(days=340)
    assert [announced(), announced()] == [1, 0]
    with house.store.reading() as session:
        assert session.exec(select(AuditEvent.tag)).all()[-1] == "key:expiring"


people = st.sampled_from(["ann", "bob", "cleo"])
moves = st.tuples(st.sampled_from(["propose", "approve", "revoke"]), people, st.integers(0, 5))


def _moved(
    session: Session, folder: Path, move: tuple[str, str, int], clock: ManualClock, vault: Vault
) -> Any:
    what, who, which = move
    rows = [row for row in listed(session) if row.kind == "mark"]
    name = rows[which % len(rows)].id
    if what == "propose":
        return propose_mark(session, folder, by=who, clock=clock)
    if what == "approve":
        return approve(session, name, by=who, clock=clock)
    return revoke(session, name, by=who, reason="for a test", clock=clock, vault=vault)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(moves, max_size=12))
def test_no_order_of_changes_makes_a_key_of_one_person_active(order: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        clock, store = ManualClock(), open_store(f"sqlite:///{name}/keys.db")
        house = House(Path(name), store, clock)
        first_keys(store, house.settings(), house.keys, clock)
        for move in order:
            clock.advance(1)
            _tried(house, move)
            _assert_sound(store)
        store.close()


def _tried(house: House, move: tuple[str, str, int]) -> None:
    with house.store.session() as session:
        try:
            _moved(session, house.keys, move, house.clock, house.vault)
        except GreenlightError:
            return
        session.commit()


def _assert_sound(store: Store) -> None:
    with store.reading() as session:
        rows = [row for row in listed(session) if row.kind == "mark"]
    assert sum(row.state == "active" for row in rows) <= 1
    for row in rows:
        assert row.first or row.active_ms is None or row.approved_by not in (None, row.proposed_by)
        assert (row.state == "revoked") == (row.revoked_ms is not None)
