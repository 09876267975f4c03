from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from audits import grants
from audits.filters import EVERYTHING, make_filter
from audits.grants import approve, asker, expire, propose, revoke, standing
from core.errors import BadInput, Conflict, Forbidden, NotFound
from core.events import Tag, pseudonym
from core.tables import AuditEvent, AuditGrant, Reviewer
from core.vault import Vault

SCOPE = make_filter({"partner": ["p_1"], "territory": ["EU"]})
WHY = "case 17 of the ministry"


@pytest.fixture
def session(log: Any) -> Any:
    people = {"ann": "admin", "bob": "admin", "rex": "regulator", "cleo": "auditor", "dan": "reviewer"}
    log.vault = Vault(bytes(32), f"sqlite:///{log.folder.parent / 'subjects.db'}")
    with log.store.session() as opened:
        opened.add_all(Reviewer(name=name, password_hash="", role=role) for name, role in people.items())
        opened.commit()
        yield opened
    log.vault.close()


def gate(log: Any) -> dict[str, Any]:
    return {"clock": log.clock, "vault": log.vault}


def proposed(session: Session, log: Any, **changes: Any) -> AuditGrant:
    told = {"person": "rex", "scope": SCOPE, "ends": log.clock.now() + timedelta(days=30), "by": "ann"}
    return propose(session, **(told | {"reason": WHY} | changes), **gate(log))


def told(session: Session) -> list[tuple[str, str]]:
    return [(row.tag, row.actor) for row in session.exec(select(AuditEvent).order_by(AuditEvent.id))]


def test_two_admins_let_a_regulator_in_for_a_while(session: Session, log: Any) -> None:
    grant = proposed(session, log)
    with pytest.raises(Forbidden):
        standing(session, "rex", log.clock)
    approve(session, grant.id, by="bob", **gate(log))
    who = asker(standing(session, "rex", log.clock))
    assert (who.actor, who.within, who.grant) == ("regulator:rex", SCOPE, grant.id)
    log.clock.advance(30 * 86_400)
    with pytest.raises(Forbidden, match="expired"):
        standing(session, "rex", log.clock)
    assert (expire(session, **gate(log)), expire(session, **gate(log))) == (1, 0)
    with pytest.raises(Forbidden, match="No grant"):
        standing(session, "rex", log.clock)
    assert told(session) == [
        (Tag.GRANT_PROPOSED, f"reviewer:{pseudonym(session, 'ann')}"),
        (Tag.GRANT_APPROVED, f"reviewer:{pseudonym(session, 'bob')}"),
        (Tag.GRANT_EXPIRED, "system"),
    ]
    leaves = [json.loads(row.leaf) for row in session.exec(select(AuditEvent))]
    assert leaves[0]["facts"] == {
        "grant": grant.id, "role": "regulator", "scope": SCOPE.sha256, "ends": grant.ends_ms
    }  # fmt: skip
    assert not [leaf for leaf in leaves if "rex" in str(leaf) or WHY in str(leaf)]


def test_one_admin_ends_it_at_once(session: Session, log: Any) -> None:
    grant = proposed(session, log)
    approve(session, grant.id, by="bob", **gate(log))
    revoke(session, grant.id, by="ann", reason="the case is closed", **gate(log))
    with pytest.raises(Forbidden):
        standing(session, "rex", log.clock)
    with pytest.raises(Conflict):
        revoke(session, grant.id, by="ann", reason="the case is closed", **gate(log))
    with pytest.raises(Conflict):
        approve(session, grant.id, by="bob", **gate(log))
    # A new grant can follow.
    assert proposed(session, log).state == "proposed"


@pytest.mark.parametrize(("who", "by"), [("ann", "ann"), ("rex", "rex")])
def test_nobody_approves_their_own(session: Session, log: Any, who: str, by: str) -> None:
    grant = proposed(session, log)
    with pytest.raises(Conflict):
        approve(session, grant.id, by=by, **gate(log))
    assert grant.state == "proposed"
    # Nor does anybody who writes to the database itself.
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(sa.update(AuditGrant).values(state="active", approved_by=by))
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(sa.update(AuditGrant).values(state="active"))
    session.execute(sa.update(AuditGrant).values(state="active", approved_by="bob"))  # the control


def test_without_the_check_in_code_the_database_refuses(
    session: Session, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = proposed(session, log)
    monkeypatch.setattr(grants, "found", lambda opened, name: AuditGrant(
        id=name, state="proposed", proposed_by="x", person="x"))  # fmt: skip
    with pytest.raises(Conflict, match="Another admin"):
        approve(session, grant.id, by="ann", **gate(log))


def test_a_proposal_must_make_sense(session: Session, log: Any) -> None:
    now = log.clock.now()
    for changes in (
        {"person": "nobody"},
        {"person": "dan"},
        {"person": "ann"},
        {"reason": " x  "},
        {"scope": EVERYTHING},
        {"scope": make_filter({}, since=now)},
        {"scope": make_filter({"tag": ["clip:held"]})},
        {"person": "cleo"},
        {"ends": now},
        {"ends": now - timedelta(days=1)},
        {"ends": now + timedelta(days=367)},
    ):
        with pytest.raises(BadInput):
            proposed(session, log, **changes)
    assert told(session) == []
    assert proposed(session, log, person="cleo", scope=EVERYTHING).role == "auditor"


def test_a_person_holds_one_grant(session: Session, log: Any) -> None:
    proposed(session, log)
    session.commit()
    with pytest.raises(Conflict):
        proposed(session, log)
    session.rollback()
    log.clock.advance(31 * 86_400)
    assert proposed(session, log).state == "proposed"


def test_nobody_lets_themselves_in(session: Session, log: Any) -> None:
    with pytest.raises(Conflict):
        proposed(session, log, by="rex")


def test_what_is_not_there_is_not_found(session: Session, log: Any) -> None:
    with pytest.raises(NotFound):
        approve(session, "grant_none", by="ann", **gate(log))
