"""Proofs of what was decided: every release, refusal and decision of a reviewer has one."""

from __future__ import annotations

from sqlmodel import Session, col, select

from audits.log.proof import Proof, prove
from audits.log.writer import index_of
from core.errors import Conflict, NotFound
from core.events import Tag
from core.state import FINAL, State
from core.tables import AuditEvent, Job
from pipeline.tools import Tools

ENDS = {state: Tag(f"clip:{state}") for state in FINAL}
"""The event with which a request comes to each of its ends."""


def decided(session: Session, job_id: str) -> list[AuditEvent]:
    """List the decisions of reviewers on a request and the ends it came to, oldest first."""
    tags = [str(tag) for tag in (Tag.REVIEW_DECIDED, *ENDS.values())]
    wanted = select(AuditEvent).where(AuditEvent.job == job_id, col(AuditEvent.tag).in_(tags))
    return list(session.exec(wanted.order_by(col(AuditEvent.id))))


def end_of(session: Session, job: Job) -> AuditEvent:
    """Find the event with which a request ended; raises Conflict while it goes on."""
    ends = [event for event in decided(session, job.id) if event.tag == ENDS.get(State(job.state))]
    if not ends:
        raise Conflict(f"The request is {job.state}; there is a proof of its end once it has one.")
    return ends[-1]


def decision(session: Session, job_id: str, event_id: int) -> AuditEvent:
    """Find one of the decisions on a request."""
    event = session.get(AuditEvent, event_id)
    if event is None or event.job != job_id or event.tag not in {Tag.REVIEW_DECIDED, *ENDS.values()}:
        raise NotFound("There is no such decision on this request.")
    return event


def prove_entry(tools: Tools, index: int) -> Proof:
    """Prove that the entry with this index is in the public log."""
    return prove(tools.settings.data_dir / "log", tools.trust, index)


def proof_of(session: Session, tools: Tools, event: AuditEvent) -> Proof:
    """Prove that an event is in the public log; raises Conflict until a published checkpoint covers it."""
    index = index_of(session, event.id or 0)
    if index is None:
        raise Conflict("The log has not taken this event in yet; ask again in a few seconds.")
    return prove_entry(tools, index)
