"""A caller may appeal against a refusal, once: the request is held again, for people who have not decided on it yet."""

from __future__ import annotations

from sqlmodel import Session, col, select

from core.clock import Clock, milliseconds
from core.decision import Decision, from_json
from core.errors import BadInput, Conflict, KeyMissing
from core.events import Event, Tag, opened, record
from core.state import State
from core.store import move
from core.tables import AuditEvent, Job
from core.vault import Vault
from pipeline.review import MIN_REASON, latest_ruling

UNAPPEALABLE = frozenset({"minors_sexual", "child_endangerment"})
"""Categories in which nobody here may let anything through, whoever decides."""

_STEP = {"prompt": "admit", "screen": "screen"}


def appeal(session: Session, job: Job, *, actor: str, reason: str, clock: Clock, vault: Vault) -> Job:
    """Hold a refused or rejected request for review; raises `Conflict` where there is nothing to appeal against.

    The review that follows is the usual one: it takes two people where the decision is grave, and nobody
    who has already decided on it.
    """
    if len(reason.strip()) < MIN_REASON:
        raise BadInput("Say why the decision is wrong, so that another person can understand.")
    ruling = latest_ruling(session, job.id)
    _check(session, job, from_json(ruling.decision))
    event = Event(
        tag=Tag.CLIP_APPEALED,
        actor=actor,
        partner=job.partner,
        job=job.id,
        facts={"state": job.state},
        private={"reason": reason.strip()},
    )
    # Guarded by the state: the second of two appeals at once finds the request held.
    now_ms = milliseconds(clock.now())
    move(session, job.id, State(job.state), State.HELD, now_ms=now_ms, held_at=_STEP[ruling.stage])
    record(session, event, clock, vault)
    session.flush()
    session.refresh(job)
    return job


def words(session: Session, job_id: str, vault: Vault) -> str | None:
    """Give what the caller wrote in their appeal; None without one, or when it was erased."""
    event = _appeal(session, job_id)
    if event is None:
        return None
    try:
        return str(opened(event, vault)["reason"])
    except KeyMissing:
        return None


def _appeal(session: Session, job_id: str) -> AuditEvent | None:
    wanted = select(AuditEvent).where(col(AuditEvent.job) == job_id, AuditEvent.tag == Tag.CLIP_APPEALED)
    return session.exec(wanted.limit(1)).first()


def _check(session: Session, job: Job, decision: Decision) -> None:
    if job.state not in (State.REFUSED, State.REJECTED):
        raise Conflict(f"The request is {job.state}; only what was refused or rejected can be appealed.")
    if any(hit.category in UNAPPEALABLE for hit in decision.rules):
        raise Conflict("This decision is final.")
    if job.erased_ms is not None:
        raise Conflict("This request was erased; there is nothing left to decide on.")
    if _appeal(session, job.id) is not None:
        raise Conflict("This request was appealed before; the decision stands.")
