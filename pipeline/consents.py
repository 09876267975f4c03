"""Grants: who may show or voice whom, and what hangs on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from sqlmodel import Session, col, select

from core.clock import Clock, milliseconds, new_id
from core.decision import RuleHit, from_json, to_json
from core.errors import BadInput, Conflict, NotFound
from core.events import Event, Tag, record
from core.state import State
from core.store import move
from core.tables import Consent, ConsentUse, Identity, Job, Partner, Ruling
from pipeline import leaves
from pipeline.review import latest_ruling

Kind = Literal["likeness", "voice"]
_STOPS_AT = {
    # Nobody has screened these two yet, so an approval must lead them past the detectors again.
    State.ADMITTED: "admit",
    State.GENERATED: "admit",
    State.CLEARED: "screen",
    State.MARKED: "screen",
    State.SIGNED: "screen",
}

_OUT = (State.RECORDED, State.RELEASED)


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
            facts={"consent": consent.id, "scope": scope, "starts": given.starts_ms, "ends": given.ends_ms}
            | leaves.place(given.territory),
        ),
        clock,
    )
    return consent


def resolve(session: Session, job: Job, identity: str, kinds: set[Kind], now_ms: int) -> str:
    """Find the grant that covers this person, these kinds and this request now; "" when there is none."""
    found = session.exec(
        select(Consent)
        .join(Identity)
        .where(
            Consent.identity == identity,
            col(Identity.erased).is_(False),
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


def use(session: Session, job_id: str, consents: Iterable[str]) -> None:
    """Note that a request rests on these grants; raise `Conflict` when one was revoked while it was decided."""
    for consent_id in sorted(consents):
        # The shared lock makes a revocation wait until it can see this use.
        given = session.get(Consent, consent_id, with_for_update={"read": True}, populate_existing=True)
        if given is None or given.revoked_ms is not None:
            raise Conflict("A consent was revoked while this request was being decided.")
        session.merge(ConsentUse(consent=consent_id, job=job_id))


def revoke(session: Session, consent_id: str, *, actor: str, clock: Clock) -> Revoked:
    """End a grant now: unreleased requests that rest on it are held, released clips are listed."""
    consent = session.get(Consent, consent_id, with_for_update=True, populate_existing=True)
    if consent is None:
        raise NotFound("There is no such consent.")
    again = consent.revoked_ms is not None
    consent.revoked_ms = consent.revoked_ms or milliseconds(clock.now())
    session.add(consent)
    # Locked, so that no worker or reviewer moves one between this look and the hold.
    resting = select(Job).join(ConsentUse).where(ConsentUse.consent == consent_id).order_by(Job.id)
    jobs = session.exec(resting.with_for_update(of=Job), execution_options={"populate_existing": True}).all()
    stopped = tuple(job.id for job in jobs if _stopped(session, job, actor=actor, clock=clock))
    out = [job for job in jobs if job.state in _OUT]
    for job in () if again else out:
        _unconsented(session, job, consent, actor=actor, clock=clock)
    released = tuple(job.id for job in out)
    record(
        session,
        Event(
            tag=Tag.CONSENT_REVOKED,
            actor=actor,
            partner=consent.partner,
            identity=consent.identity,
            facts={
                "consent": consent_id,
                "stop": len(stopped),
                "stopped": list(stopped[: leaves.LISTED]),
                "out": len(released),
                "released": list(released[: leaves.LISTED]),
            },
        ),
        clock,
    )
    return Revoked(stopped, released)


def uses(session: Session, consent_id: str) -> list[tuple[str, str]]:
    """List the requests that rest on a grant as (id, state), newest first."""
    resting = select(Job.id, Job.state).join(ConsentUse).where(ConsentUse.consent == consent_id)
    rows = session.exec(resting.order_by(col(Job.created_ms).desc(), Job.id))
    return [(job, state) for job, state in rows]


def released_of(used: Iterable[tuple[str, str]]) -> list[str]:
    """Pick those that are out, or past the point where they could be stopped."""
    return [job for job, state in used if state in _OUT]


def _unconsented(session: Session, job: Job, consent: Consent, *, actor: str, clock: Clock) -> None:
    event = Event(
        tag=Tag.CLIP_UNCONSENTED,
        actor=actor,
        partner=job.partner,
        job=job.id,
        identity=consent.identity,
        facts={"consent": consent.id},
    )
    record(session, event, clock)


def _stopped(session: Session, job: Job, *, actor: str, clock: Clock) -> bool:
    state, now_ms = State(job.state), milliseconds(clock.now())
    if state not in _STOPS_AT and state is not State.HELD:
        return False
    # Approvals from before the revocation do not count for this new decision.
    ruling = _without_consent(latest_ruling(session, job.id), now_ms)
    session.add(ruling)
    if state is State.HELD:
        _note_held(session, job, ruling, actor=actor, clock=clock)
        return False
    problem = "The consent this request rests on was revoked."
    move(session, job.id, state, State.HELD, now_ms=now_ms, held_at=_STOPS_AT[state], problem=problem)
    _note_held(session, job, ruling, actor=actor, clock=clock)
    return True


def _note_held(session: Session, job: Job, ruling: Ruling, *, actor: str, clock: Clock) -> None:
    event = Event(
        tag=Tag.CLIP_HELD,
        actor=actor,
        partner=job.partner,
        job=job.id,
        rule="consent_revoked",
        facts=leaves.why(from_json(ruling.decision)),
    )
    record(session, event, clock)


def _without_consent(ruling: Ruling, now_ms: int) -> Ruling:
    """Make the decision that holds a request whose consent is gone, as grave as the one before it."""
    hit = RuleHit(
        id="consent_revoked",
        outcome="hold",
        reason_code="consent_revoked",
        category="consent",
        message="The consent this request rests on was revoked.",
        advice="Register a new consent, change the person, or wait for the reviewer.",
    )
    before = from_json(ruling.decision)
    held = replace(
        before,
        outcome="hold",
        rules=(*before.rules, hit),
        # No pack made this, so none can make it again from its facts.
        facts=before.facts | {"fault": hit.message},
    )
    return Ruling(
        job=ruling.job, stage=held.stage, outcome=held.outcome, decision=to_json(held), at_ms=now_ms
    )
