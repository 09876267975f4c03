"""What our own books say about a mark or a manifest, for the verifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from audits.log.format import Verifier
from audits.log.proof import prove, verify_proof
from audits.log.writer import index_of
from core.clock import iso
from core.state import State
from core.store import Store
from core.tables import Job, Manifest
from pipeline import credentials
from provenance.verdict import LogProof, Record


@dataclass(frozen=True, slots=True)
class Books:
    """Look records up in the database.

    Only what was released counts, and beside it `releasing`: the one request whose release is being
    decided, so that the gate asks exactly the question that the public will ask.
    """

    store: Store
    releasing: str = ""

    def by_payload(self, payload: int) -> Record | None:
        """Find the record a watermark leads to."""
        return self._found(col(Job.payload) == f"{payload:016x}")

    def by_label(self, label: str) -> Record | None:
        """Find the record a manifest names."""
        return self._found(col(Manifest.label) == label)

    def _found(self, condition: ColumnElement[bool]) -> Record | None:
        with self.store.reading() as session:
            newest = select(Manifest, Job).join(Job).where(condition).order_by(col(Manifest.at_ms).desc())
            row = session.exec(newest).first()
            if row is None:
                return None
            manifest, job = row
            counts = State(job.state) in credentials.PUBLIC or job.id == self.releasing
            return _record(session, manifest, job) if counts else None


def _record(session: Session, manifest: Manifest, job: Job) -> Record:
    marks = job.got["marks"]
    return Record(
        id=job.id,
        payload=int(job.payload, 16),
        manifest_label=manifest.label,
        released_at=iso(job.released_ms) if job.released_ms else None,
        withdrawn=job.state == State.WITHDRAWN,
        seconds=job.got["got"]["seconds"],
        video=marks["video"],
        audio=marks["audio"],
        log_index=index_of(session, job.record_event) if job.record_event else None,
        digest=job.got["signed_sha256"],
    )


def prover(folder: Path, verifier: Verifier) -> Callable[[int], LogProof]:
    """Make the function with which the verifier checks that a record is in the public log.

    It reads public files only, and checks the proof it made as a stranger would.
    """

    def proved(index: int) -> LogProof:
        proof = prove(folder, verifier, index)
        checkpoint = verify_proof(proof.render(), None, verifier)
        return LogProof(included=True, index=index, size=checkpoint.size, checkpoint=proof.note)

    return proved
