"""What a caller, a reviewer and an auditor are told about a request."""

from __future__ import annotations

from typing import Any, Literal

from sqlmodel import Session, col, select

from audits.log.writer import index_of
from core.clock import iso
from core.decision import Decision, from_json
from core.state import FINAL, State
from core.tables import ConsentUse, Job, Review, Ruling
from pipeline.labelling import sheet

Audience = Literal["caller", "auditor"]


def receipt(session: Session, job: Job) -> dict[str, Any]:
    """Give the account of a request: what was asked and made, by what, under which decisions and consents."""
    got = job.got
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "project": job.project,
        "territory": job.territory,
        "created_at": iso(job.created_ms),
        "released_at": iso(job.released_ms) if job.released_ms else None,
        "engine": got.get("engine"),
        "asked": got.get("asked"),
        "got": got.get("got"),
        "screened": got.get("screened", []),
        "marks": got.get("marks"),
        "labels": sheet(job),
        "watermark_id": job.payload if job.state in {State.RELEASED, State.WITHDRAWN} else None,
        "manifest": job.manifest_label,
        "sha256": got.get("signed_sha256"),
        "time_stamped": got.get("time_stamped", False),
        "decisions": [_summary(ruling) for ruling in _rulings(session, job)],
        "reviews": [_reviewed(review) for review in _reviews(session, job)],
        "consents": sorted(session.exec(select(ConsentUse.consent).where(ConsentUse.job == job.id))),
        "log_index": index_of(session, job.record_event) if job.record_event else None,
        "proof": f"/v1/generations/{job.id}/proof" if job.state in FINAL else None,
        "decoded_in": got.get("sandbox"),
        "development_doubles": got.get("doubles", {}),
    }


def explanation(session: Session, job: Job, audience: Audience) -> dict[str, Any]:
    """Explain every decision on a request; callers learn less about the gravest rules, auditors everything."""
    decisions = [
        explained(from_json(ruling.decision), audience)
        | ({"ruling": ruling.id} if audience == "auditor" else {})
        for ruling in _rulings(session, job)
    ]
    return {"id": job.id, "state": job.state, "problem": job.problem, "decisions": decisions}


def explained(decision: Decision, audience: Audience) -> dict[str, Any]:
    """Explain one decision in the words of its rules, with the evidence that the audience may see."""
    full = audience == "auditor"
    return {
        "stage": decision.stage,
        "decision": decision.outcome,
        "rules": [_rule(hit, audience) for hit in decision.rules],
        "consents": list(decision.consents),
        "policy": {"name": decision.pack, "version": decision.version, "sha256": decision.pack_sha256},
        "reviewers_needed": (2 if decision.grave else 1) if decision.outcome != "allow" else 0,
    } | ({"facts": decision.facts} if full else {})


def _rule(hit: Any, audience: Audience) -> dict[str, Any]:
    told = {
        "id": hit.id,
        "outcome": hit.outcome,
        "reason_code": hit.reason_code,
        "category": hit.category,
        "message": hit.message,
    }
    if hit.grave and audience == "caller":
        return told
    return told | {
        "advice": hit.advice,
        "span": list(hit.span) if hit.span else None,
        "view": hit.view,
        "evidence": [_shown(item, audience) for item in hit.evidence],
    }


def _shown(item: dict[str, Any], audience: Audience) -> dict[str, Any]:
    """Leave out what is for reviewers alone: who else a face or a voice is like."""
    return {name: value for name, value in item.items() if audience == "auditor" or name != "neighbours"}


def _summary(ruling: Ruling) -> dict[str, Any]:
    decision = from_json(ruling.decision)
    return {
        "stage": decision.stage,
        "outcome": decision.outcome,
        "rules": [hit.id for hit in decision.rules],
        "consents": list(decision.consents),
        "policy": decision.pack_sha256,
        "at": iso(ruling.at_ms),
    }


def _reviewed(review: Review) -> dict[str, Any]:
    # Reviewers are not named to partners: a decision is the installation's, not a person's.
    return {"approved": review.approve, "at": iso(review.at_ms)}


def _rulings(session: Session, job: Job) -> list[Ruling]:
    return list(session.exec(select(Ruling).where(Ruling.job == job.id).order_by(col(Ruling.id))))


def _reviews(session: Session, job: Job) -> list[Review]:
    return list(session.exec(select(Review).where(Review.job == job.id).order_by(col(Review.id))))
