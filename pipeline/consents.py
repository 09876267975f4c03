"""Grants: who may show or voice whom, and what hangs on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlmodel import Session, col, select

from core.clock import Clock, iso, milliseconds, new_id
from core.errors import BadInput, NotFound, StaleFence
from core.events import Event, Tag, record
from core.state import State
from core.store import move
from core.tables import Consent, ConsentUse, Identity, Job, Partner

Kind = Literal["likeness", "voice"]
_STOPPABLE = {State.CLEARED, State.MARKED, State.SIGNED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a person allows a partner; an empty project or territory means any. Times are milliseconds."""

    identity: str
    partner: str
    likeness: bool
    voice: bool
    project: str = ""
    territory: str = ""
    starts_ms: int
    ends_ms: int
    evidence_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a revocation met: requests it stopped and clips that are already out."""

    stopped: tuple[str, ...]
    released: tuple[str, ...]


def grant(session: Session, given: Grant, *, actor: str, clock: Clock) -> Consent:
    """Register a consent; raise `BadInput` when it grants nothing or ends before it starts."""
    person = session.get(Identity, given.identity)
    if person is None or person.erased:
        raise NotFound("There is no such identity.")
    if session.get(Partner, given.partner) is None:
        raise NotFound("There is no such partner.")
    if not (given.likeness or given.voice):
        raise BadInput("A consent must cover the likeness, the voice, or both.")
    if given.ends_ms <= given.starts_ms:
        raise BadInput("A consent must end after it starts.")
    consent = Consent(
        id=new_id("consent"),
        identity=given.identity,
        partner=given.partner,
        likeness=given.likeness,
        voice=given.voice,
        project=given.project,
        territory=given.territory,
        starts_ms=given.starts_ms,
        ends_ms=given.ends_ms,
        evidence_sha256=given.evidence_sha256,
    )
    session.add(consent)
    scope = [name for name, on in (("likeness", given.likeness), ("voice", given.voice)) if on]
    record(
        session,
        Event(
            tag=Tag.CONSENT_GRANTED,
            actor=actor,
            partner=given.partner,
            identity=given.identity,
            facts={"consent": consent.id, "scope": scope, "ends": iso(given.ends_ms)},
        ),
        clock,
    )
    return consent


def resolve(session: Session, job: Job, identity: str, kinds: set[Kind], now_ms: int) -> str:
    """Find the grant that covers this person, these kinds and this request now; "" when there is none."""
    found = session.exec(
        select(Consent)
        .where(
            Consent.identity == identity,
            Consent.partner == job.partner,
            col(Consent.revoked_ms).is_(None),
            col(Consent.starts_ms) <= now_ms,
            col(Consent.ends_ms) > now_ms,
            col(Consent.project).in_(["", job.project]),
            col(Consent.territory).in_(["", job.territory]),
        )
        .order_by(Consent.id)
    )
    covering = (
        grant.id
        for grant in found
        if (grant.likeness or "likeness" not in kinds) and (grant.voice or "voice" not in kinds)
    )
    return next(covering, "")


def revoke(session: Session, consent_id: str, *, actor: str, clock: Clock) -> Revoked:
    """End a grant now: unreleased requests that rest on it are held, released clips are listed."""
    consent = session.get(Consent, consent_id)
    if consent is None:
        raise NotFound("There is no such consent.")
    now_ms = milliseconds(clock.now())
    consent.revoked_ms = consent.revoked_ms or now_ms
    session.add(consent)
    jobs = session.exec(select(Job).join(ConsentUse).where(ConsentUse.consent == consent_id)).all()
    stopped = tuple(job.id for job in jobs if _stopped(session, job, actor=actor, clock=clock))
    released = tuple(job.id for job in jobs if job.state in {State.RECORDED, State.RELEASED})
    record(
        session,
        Event(
            tag=Tag.CONSENT_REVOKED,
            actor=actor,
            partner=consent.partner,
            identity=consent.identity,
            facts={"consent": consent_id, "stopped": list(stopped), "released": list(released)},
        ),
        clock,
    )
    return Revoked(stopped, released)


def _stopped(session: Session, job: Job, *, actor: str, clock: Clock) -> bool:
    if State(job.state) not in _STOPPABLE:
        return False
    try:
        move(
            session,
            job.id,
            State(job.state),
            State.HELD,
            now_ms=milliseconds(clock.now()),
            held_at="screen",
            problem="The consent this request rests on was revoked.",
        )
    except StaleFence:
        return False
    record(
        session,
        Event(tag=Tag.CLIP_HELD, actor=actor, partner=job.partner, job=job.id, rule="consent_revoked"),
        clock,
    )
    return True
