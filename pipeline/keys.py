"""Changing a key takes two people: one proposes, another approves. Stopping one takes a single person.

Each change is one guarded UPDATE with its event in the same transaction; the database's own constraints
refuse an approval by the proposer and a second active key.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from core.clock import Clock, milliseconds
from core.errors import BadInput, Conflict, KeyMissing, NotFound, Unavailable
from core.events import Event, Tag, record
from core.tables import GateKey
from core.vault import Vault
from pipeline.keyring import claim_row, credential_of
from pipeline.review import MIN_REASON
from provenance.keys import Credential, departures, make_mark_key, open_keys

_log = structlog.get_logger("keys")
_DAY_MS = 86_400_000


def listed(session: Session) -> list[GateKey]:
    """List every key, newest first."""
    return list(session.exec(select(GateKey).order_by(col(GateKey.created_ms).desc(), col(GateKey.id))))


def found(session: Session, name: str) -> GateKey:
    """Find a key by its id or the beginning of it; raises `NotFound` unless exactly one is meant."""
    matching = select(GateKey).where(col(GateKey.id).startswith(name, autoescape=True)).limit(2)
    rows = session.exec(matching).all()
    if len(rows) != 1 or not name:
        raise NotFound("There is no such key." if not rows else "Several keys begin like this.")
    return rows[0]


def propose_signer(session: Session, credential: Credential, *, by: str, clock: Clock) -> GateKey:
    """Propose a claim signer; raises `BadInput` when it cannot sign, `Conflict` when it is known."""
    try:
        open_keys(credential, clock)
    except KeyMissing as error:
        raise BadInput(f"This key cannot sign: {error.message}") from error
    return _proposed(session, claim_row(credential, clock, proposed_by=by), clock)


def propose_mark(session: Session, folder: Path, *, by: str, clock: Clock) -> GateKey:
    """Make a new watermark key and propose it; until it is approved it neither marks nor detects."""
    key = make_mark_key(folder)
    now_ms = milliseconds(clock.now())
    row = GateKey(id=key.id, kind="mark", state="proposed", proposed_by=by, created_ms=now_ms)
    return _proposed(session, row, clock)


def _proposed(session: Session, row: GateKey, clock: Clock) -> GateKey:
    if session.get(GateKey, row.id) is not None:
        raise Conflict("This key is known already.")
    session.add(row)
    session.flush()
    record(session, _event(Tag.KEY_PROPOSED, row, row.proposed_by), clock)
    return row


def approve(session: Session, name: str, *, by: str, clock: Clock) -> GateKey:
    """Make a proposed key the active one of its kind; raises `Conflict` for whoever proposed it."""
    row = found(session, name)
    _check_approvable(row, by, clock)
    now_ms = milliseconds(clock.now())
    active = (col(GateKey.kind) == row.kind, col(GateKey.state) == "active")
    retired = sa.update(GateKey).where(*active).values(state="retired").returning(col(GateKey.id))
    before = session.execute(retired).scalar_one_or_none()
    mine = (col(GateKey.id) == row.id, col(GateKey.state) == "proposed", col(GateKey.proposed_by) != by)
    values = {"state": "active", "approved_by": by, "active_ms": now_ms}
    try:
        changed = session.execute(sa.update(GateKey).where(*mine).values(**values))
    except IntegrityError as error:
        raise Conflict("Another key was approved at the same moment.") from error
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict("The key was changed at the same moment.")
    session.refresh(row)
    record(session, _event(Tag.KEY_ROTATED, row, by, **({"before": before} if before else {})), clock)
    return row


def _check_approvable(row: GateKey, by: str, clock: Clock) -> None:
    if row.state != "proposed":
        raise Conflict(f"The key is {row.state}, not proposed.")
    if row.proposed_by == by:
        raise Conflict("You proposed this key; another admin must approve it.")
    if row.kind != "claim":
        return
    for departure in departures(credential_of(row).certificates, clock.now()):
        if departure.severity == "error":
            raise BadInput(departure.message)


def revoke(
    session: Session,
    name: str,
    *,
    by: str,
    reason: str,
    clock: Clock,
    vault: Vault,
    since_ms: int | None = None,
) -> GateKey:
    """End a key at once, or as of an earlier moment; one person is enough to stop.

    What a signer signed before still counts. With the active key revoked nothing is signed or marked: requests
    wait until another is approved. A later look may find an earlier moment, never a later one.
    """
    row = found(session, name)
    # only now does the clock count: whoever holds the key counts on it until their transaction ends
    session.refresh(row, with_for_update=True)
    now_ms = milliseconds(clock.now())
    since_ms = now_ms if since_ms is None else since_ms
    if len(reason.strip()) < MIN_REASON:
        raise BadInput("Give a reason that another person can understand.")
    if not 0 <= since_ms <= now_ms:
        raise BadInput("A key is revoked as of a moment that has passed.")
    open_ended = col(GateKey.revoked_ms).is_(None) | (col(GateKey.revoked_ms) > since_ms)
    change = sa.update(GateKey).where(col(GateKey.id) == row.id, open_ended)
    changed = session.execute(change.values(state="revoked", revoked_ms=since_ms))
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict("The key was revoked as of an earlier moment already.")
    session.refresh(row)
    event = _event(Tag.KEY_REVOKED, row, by, since=since_ms)
    record(session, replace(event, private={"reason": reason.strip()}), clock, vault)
    return row


def hold(session: Session, signer: str) -> None:
    """Keep a claim signer from being revoked until this transaction ends; raises `Unavailable` when it was.

    `signer` is the SHA-256 of its certificate. A signer that was never ours to revoke is left alone.
    """
    row = session.get(GateKey, signer, with_for_update={"read": True}, populate_existing=True)
    if row is not None and row.revoked_ms is not None:
        raise Unavailable("The key that signed this clip was revoked before the clip was recorded.")


def watch(session: Session, clock: Clock, *, days: int) -> list[GateKey]:
    """Announce, once for each, the signers in use or proposed that expire within so many days."""
    now_ms = milliseconds(clock.now())
    soon = select(GateKey).where(
        col(GateKey.state).in_(["active", "proposed"]),
        col(GateKey.expires_ms) < now_ms + days * _DAY_MS,
        col(GateKey.warned).is_(False),
    )
    rows = list(session.exec(soon.with_for_update()))
    for row in rows:
        row.warned = True
        expires_ms = row.expires_ms or 0
        _log.warning(
            "a signing certificate expires soon", key=row.id[:16], days=(expires_ms - now_ms) // _DAY_MS
        )
        facts = {"key": row.id, "kind": row.kind, "expires": expires_ms}
        record(session, Event(tag=Tag.KEY_EXPIRING, actor="system", facts=facts), clock)
    return rows


def _event(tag: Tag, row: GateKey, by: str, **facts: object) -> Event:
    return Event(tag=tag, actor=f"reviewer:{by}", facts={"key": row.id, "kind": row.kind, **facts})
