"""What our own books say about a mark or a manifest, for the verifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from audits.log.format import Verifier
from audits.log.proof import prove, verify_proof
from audits.log.writer import index_of
from core.clock import iso
from core.errors import BadInput
from core.state import State
from core.store import Store
from core.tables import AuditEvent, Fingerprint, Job, Manifest
from pipeline import credentials
from pipeline.finder import Finder
from provenance.fingerprint import audio, video
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from provenance.readings import LogProof, Record

_CANDIDATES = 4
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Books:
    """Look records up in the database.

    Only what was released counts, and beside it `releasing`: the one request whose release is being
    decided, so that the gate asks exactly the question that the public will ask.
    """

    store: Store
    finder: Finder
    releasing: str = ""

    def by_payload(self, payload: int) -> Record | None:
        """Find the record a watermark leads to."""
        return self._found(col(Job.payload) == f"{payload:016x}")

    def by_label(self, label: str) -> Record | None:
        """Find the record a manifest names."""
        return self._found(col(Manifest.label) == label)

    def by_content(self, seen: VideoPrint | None, heard: AudioPrint | None) -> Record | None:
        """Find the release whose picture, or else whose sound, is most like this, among tracks made here."""
        pictures = self.finder.pictures(seen, _CANDIDATES) if seen and seen.speaks else []
        sounds = self.finder.sounds(heard, _CANDIDATES) if heard and heard.speaks else []
        for track, alike in (("video", pictures), ("audio", sounds)):
            for one in alike:
                record = self._found(col(Job.id) == one.credential.job)
                if record is not None and track in record.made:
                    return record
        return None

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
    kept = select(Fingerprint.alg, Fingerprint.data).where(col(Fingerprint.job) == job.id)
    prints: dict[str, bytes] = dict(session.exec(kept).all())
    labels = session.exec(select(Manifest.label).where(col(Manifest.job) == job.id)).all()
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
        made=("audio",) if job.kind == "soundtrack" else ("video", "audio"),
        video_print=_readable(video.decode, prints.get(video.ALG)),
        audio_print=_readable(audio.decode, prints.get(audio.ALG)),
        labels=tuple(labels),
        recorded_ms=session.exec(select(AuditEvent.at_ms).where(AuditEvent.id == job.record_event)).first(),
    )


def _readable(decode: Callable[[bytes], P], data: bytes | None) -> P | None:
    """Decode a print; one that cannot be read is none, and then nothing is recovered by a mark alone."""
    try:
        return None if data is None else decode(data)
    except BadInput:
        return None


def prover(folder: Path, verifier: Verifier) -> Callable[[int], LogProof]:
    """Make the function with which the verifier checks that a record is in the public log.

    It reads public files only, and checks the proof it made as a stranger would.
    """

    def proved(index: int) -> LogProof:
        proof = prove(folder, verifier, index)
        checkpoint = verify_proof(proof.render(), None, verifier)
        return LogProof(included=True, index=index, size=checkpoint.size, checkpoint=proof.note)

    return proved
