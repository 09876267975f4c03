"""Who may read the audit log: two admins let an auditor or a regulator in, one is enough to end it.

An auditor reads everything, a regulator what the grant's scope lets through; both for a stated term, and
neither changes anything. Every step is an event of the log in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from audits.filters import EVERYTHING, Filter, parse_filter
from audits.terms import Field
from core.clock import Clock, milliseconds, new_id
from core.errors import BadInput, Conflict, Forbidden, NotFound
from core.events import Event, Tag, record
from core.tables import AuditGrant, Reviewer
from core.vault import Vault

ROLES = ("auditor", "regulator")
MAX_DAYS = 366
MIN_REASON = 5
SCOPED_BY = frozenset({Field.PARTNER, Field.TERRITORY, Field.JOB})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks the log, and what they may see at all; `grant` is what lets them, none for the operator."""

    actor: str
    within: Filter
    grant: str | None


OPERATOR = Asker(actor="operator", within=EVERYTHING, grant=None)


def propose(
    session: Session,
    *,
    person: str,
    scope: Filter,
    ends: datetime,
    by: str,
    reason: str,
    clock: Clock,
    vault: Vault,
) -> AuditGrant:
    """Propose to let a registered auditor or regulator read until `ends`; another admin approves it.

    Raises BadInput for a scope or a term that the role cannot have, Conflict while they hold another grant.
    """
    reader = session.get(Reviewer, person)
    if reader is None or reader.role not in ROLES:
        raise BadInput("Register the person as an auditor or a regulator first.")
    if len(reason.strip()) < MIN_REASON:
        raise BadInput("Give a reason that another person can understand.")
    _check_scope(reader.role, scope)
    _check_term(ends, clock)
    expire(session, clock, vault)
    row = AuditGrant(
        id=new_id("grant"),
        person=person,
        role=reader.role,
        scope=scope.json(),
        ends_ms=milliseconds(ends),
        reason=reason.strip(),
        proposed_by=by,
        created_ms=milliseconds(clock.now()),
    )
    session.add(row)
    _flushed(session, "They hold a grant already, or would let themselves in.")
    _noted(session, vault, Tag.GRANT_PROPOSED, row, f"reviewer:{by}", clock, reason=row.reason)
    return row


def approve(session: Session, grant: str, *, by: str, clock: Clock, vault: Vault) -> AuditGrant:
    """Let a proposed grant stand; Conflict for whoever proposed it or would read by it."""
    expire(session, clock, vault)
    row = found(session, grant)
    if row.state != "proposed":
        raise Conflict(f"The grant is {row.state}, not proposed.")
    if by in {row.proposed_by, row.person}:
        raise Conflict("Another admin must approve this grant.")
    _moved(session, row, "proposed", state="active", approved_by=by)
    _noted(session, vault, Tag.GRANT_APPROVED, row, f"reviewer:{by}", clock)
    return row


def revoke(session: Session, grant: str, *, by: str, reason: str, clock: Clock, vault: Vault) -> AuditGrant:
    """End a grant at once; its token and its holder's pages open nothing from here on."""
    row = found(session, grant)
    if row.state not in {"proposed", "active"}:
        raise Conflict(f"The grant is {row.state} already.")
    if len(reason.strip()) < MIN_REASON:
        raise BadInput("Give a reason that another person can understand.")
    _moved(session, row, row.state, state="revoked")
    _noted(session, vault, Tag.GRANT_REVOKED, row, f"reviewer:{by}", clock, reason=reason.strip())
    return row


def expire(session: Session, clock: Clock, vault: Vault) -> int:
    """Note the grants whose term is over, and return how many; they have opened nothing since it was."""
    over = select(AuditGrant).where(
        col(AuditGrant.state).in_(("proposed", "active")),
        col(AuditGrant.ends_ms) <= milliseconds(clock.now()),
    )
    rows = session.exec(over).all()
    for row in rows:
        _moved(session, row, row.state, state="expired")
        _noted(session, vault, Tag.GRANT_EXPIRED, row, "system", clock)
    return len(rows)


def standing(session: Session, person: str, clock: Clock) -> AuditGrant:
    """Find the grant that lets a person read now, or raise Forbidden saying why none does."""
    active = select(AuditGrant).where(AuditGrant.person == person, AuditGrant.state == "active")
    row = session.exec(active).first()
    if row is None:
        raise Forbidden("No grant lets you read the audit log.")
    if row.ends_ms <= milliseconds(clock.now()):
        raise Forbidden("Your grant to read the audit log has expired.")
    return row


def asker(row: AuditGrant) -> Asker:
    """Say who asks and what they may see, from a grant that stands."""
    return Asker(actor=f"{row.role}:{row.person}", within=parse_filter(row.scope), grant=row.id)


def found(session: Session, grant: str) -> AuditGrant:
    """Find a grant, or raise NotFound."""
    row = session.get(AuditGrant, grant)
    if row is None:
        raise NotFound("There is no such grant.")
    return row


def listed(session: Session) -> list[AuditGrant]:
    """List every grant, newest first."""
    return list(session.exec(select(AuditGrant).order_by(col(AuditGrant.created_ms).desc(), AuditGrant.id)))


def _check_scope(role: str, scope: Filter) -> None:
    if role == "auditor" and scope != EVERYTHING:
        raise BadInput("An auditor reads everything; register a regulator for less.")
    if role == "regulator" and not scope.values:
        raise BadInput("Say which partners, territories or requests the regulator may see.")
    if other := sorted(set(scope.values) - SCOPED_BY):
        raise BadInput(f"A grant is limited by partner, territory, request and time, not by {other[0]}.")


def _check_term(ends: datetime, clock: Clock) -> None:
    left = ends - clock.now()
    if not timedelta(0) < left <= timedelta(days=MAX_DAYS):
        raise BadInput(f"A grant ends after now and within {MAX_DAYS} days.")


def _moved(session: Session, row: AuditGrant, frm: str, **values: str) -> None:
    mine = (col(AuditGrant.id) == row.id, col(AuditGrant.state) == frm)
    try:
        changed = session.execute(sa.update(AuditGrant).where(*mine).values(**values))
    except IntegrityError as error:
        raise Conflict("Another admin must approve this grant.") from error
    if changed.rowcount != 1:  # type: ignore[attr-defined]  # Result of an UPDATE is a CursorResult
        raise Conflict("The grant was changed at the same moment.")
    session.refresh(row)


def _flushed(session: Session, why: str) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(why) from error


def _noted(
    session: Session, vault: Vault, tag: Tag, row: AuditGrant, actor: str, clock: Clock, reason: str = ""
) -> None:
    scope = parse_filter(row.scope)
    facts = {"grant": row.id, "role": row.role, "scope": scope.sha256, "ends": row.ends_ms}
    private = {"person": row.person, "scope": scope.json()} | ({"reason": reason} if reason else {})
    record(session, Event(tag=tag, actor=actor, facts=facts, private=private), clock, vault)
