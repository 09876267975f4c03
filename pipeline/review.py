"""People decide on what was held: one of them, or two different ones for the gravest rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlmodel import Session, col, select

from core.clock import Clock, milliseconds
from core.decision import Decision, from_json
from core.errors import BadInput, Conflict
from core.events import Event, Tag, record
from core.state import State
from core.store import job as find_job
from core.store import move
from core.tables import Job, Review, Ruling
from core.vault import Vault
from pipeline import leaves

Verdict = Literal["approve", "reject", "retry"]
MIN_REASON = 5
_ONWARD = {"admit": State.ADMITTED, "screen": State.CLEARED}
_AGAIN = {"admit": State.RECEIVED, "screen": State.GENERATED}
_TAGS = {State.CLEARED: Tag.CLIP_CLEARED, State.REJECTED: Tag.CLIP_REJECTED}


@dataclass(frozen=True, slots=True)
class _Given:
    """A decision as one person gives it."""

    verdict: Verdict
    reviewer: str
    reason: str
    at_ms: int
    clock: Clock
    vault: Vault


def queue(session: Session, limit: int = 100) -> list[Job]:
    """List what is held, oldest first."""
    held = select(Job).where(Job.state == str(State.HELD)).order_by(col(Job.created_ms)).limit(limit)
    return list(session.exec(held))


def latest_ruling(session: Session, job_id: str) -> Ruling:
    """Find the decision a request was last held for."""
    found = session.exec(select(Ruling).where(Ruling.job == job_id).order_by(col(Ruling.id).desc())).first()
    if found is None:
        raise Conflict("Nothing has been decided about this request yet.")
    return found


def decide(
    session: Session,
    job_id: str,
    verdict: Verdict,
    *,
    reviewer: str,
    reason: str,
    clock: Clock,
    vault: Vault,
) -> Job:
    """Approve, reject, or send back to be checked again; raise `Conflict` when it is not held.

    A grave decision takes two different reviewers to approve; the first approval leaves it held.
    """
    job = find_job(session, job_id)
    # One decision at a time on a request: the second of two approvals must see the first.
    session.refresh(job, with_for_update=True)
    if job.state != State.HELD:
        raise Conflict(f"The request is {job.state}, not held.")
    if len(reason.strip()) < MIN_REASON:
        raise BadInput("Give a reason that another person can understand.")
    ruling = latest_ruling(session, job_id)
    given = _Given(verdict, reviewer, reason.strip(), milliseconds(clock.now()), clock, vault)
    final = _note(session, job, ruling, given)
    if not final:
        return job
    _moved(session, job, ruling, verdict, reviewer=reviewer, clock=clock)
    session.flush()
    session.refresh(job)
    return job


def _note(session: Session, job: Job, ruling: Ruling, given: _Given) -> bool:
    """Write down what one person decided and answer whether that settles it."""
    if given.verdict != "retry":
        _add_review(session, job, ruling, given)
    final = given.verdict != "approve" or _enough(session, ruling)
    facts = {
        "verdict": given.verdict,
        "ruling": int(ruling.id or 0),
        "waited": max(given.at_ms - job.updated_ms, 0),
        "final": int(final),
        "overturned": int(final and given.verdict == "approve"),
    }
    event = Event(
        tag=Tag.REVIEW_DECIDED,
        actor=f"reviewer:{given.reviewer}",
        partner=job.partner,
        job=job.id,
        facts=facts | leaves.why(from_json(ruling.decision)),
        private={"reason": given.reason},
    )
    record(session, event, given.clock, given.vault)
    return final


def _add_review(session: Session, job: Job, ruling: Ruling, given: _Given) -> None:
    mine = select(Review).where(Review.ruling == ruling.id, Review.reviewer == given.reviewer)
    if session.exec(mine).first() is not None:
        raise Conflict("You have already decided on this; a second person is needed.")
    session.add(
        Review(
            job=job.id,
            ruling=int(ruling.id or 0),
            reviewer=given.reviewer,
            approve=given.verdict == "approve",
            reason=given.reason,
            at_ms=given.at_ms,
        )
    )
    session.flush()


def _enough(session: Session, ruling: Ruling) -> bool:
    decision: Decision = from_json(ruling.decision)
    approvals = session.exec(
        select(Review).where(Review.ruling == ruling.id, col(Review.approve).is_(True))
    ).all()
    return len({review.reviewer for review in approvals}) >= (2 if decision.grave else 1)


def _moved(
    session: Session, job: Job, ruling: Ruling, verdict: Verdict, *, reviewer: str, clock: Clock
) -> None:
    step = job.held_at or "screen"
    to = {"approve": _ONWARD[step], "reject": State.REJECTED, "retry": _AGAIN[step]}[verdict]
    move(session, job.id, State.HELD, to, now_ms=milliseconds(clock.now()), held_at=None)
    if to in _TAGS:
        event = Event(
            tag=_TAGS[to],
            actor=f"reviewer:{reviewer}",
            partner=job.partner,
            job=job.id,
            facts=leaves.why(from_json(ruling.decision)),
        )
        record(session, event, clock)
