"""What the operator kept about a request, for a bundle of evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from audits.bundle import Bundled, write_bundle
from audits.filters import Filter
from core.clock import iso
from core.events import Event, Tag, record
from core.tables import Job, Manifest, Review
from pipeline.receipt import explanation, receipt
from pipeline.tools import Tools
from policies.engine import default_pack


def bundled(tools: Tools, wanted: Filter, title: str, into: Path) -> Bundled:
    """Write a bundle of everything that is known about the events that `wanted` lets through."""
    folder = tools.settings.data_dir / "log"
    packs = _packs(tools.settings.policy_pack or default_pack())
    with tools.store.reading() as session:
        kept = partial(papers, session)
        return write_bundle(session, folder, tools.trust, wanted, into, title=title, papers=kept, packs=packs)


def note_bundle(tools: Tools, wanted: Filter) -> None:
    """Record that somebody of the house takes evidence out; `wanted` stands in the log as its digest."""
    event = Event(tag=Tag.AUDIT_QUERIED, actor="operator", facts={"query": wanted.sha256})
    with tools.store.session() as session:
        record(session, event, tools.clock)
        session.commit()


def papers(session: Session, job_id: str) -> Iterator[tuple[str, bytes]]:
    """Give the receipt, the decisions in full, the reviews with their reasons, and the C2PA manifests."""
    job = session.get(Job, job_id)
    if job is None:
        return
    yield "receipt.json", _json(receipt(session, job))
    yield "decisions.json", _json(explanation(session, job, "auditor"))
    reviews = session.exec(select(Review).where(Review.job == job_id).order_by(col(Review.id))).all()
    if reviews:
        yield "reviews.json", _json([_review(review) for review in reviews])
    manifests = select(Manifest).where(Manifest.job == job_id).order_by(col(Manifest.at_ms), Manifest.label)
    for number, manifest in enumerate(session.exec(manifests), start=1):
        yield f"manifest-{number}.c2pa", manifest.store


def _packs(*files: Path) -> dict[str, bytes]:
    """Read policy packs and give them by their SHA-256."""
    contents = [file.read_bytes() for file in files]
    return {hashlib.sha256(content).hexdigest(): content for content in contents}


def _review(review: Review) -> dict[str, Any]:
    return {
        "reviewer": review.reviewer,
        "approved": review.approve,
        "reason": review.reason,
        "ruling": review.ruling,
        "at": iso(review.at_ms),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
