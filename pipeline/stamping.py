"""Give released files the time stamp that they went without, when the authority can be asked again.

The database says who is still without one. A file is changed in steps that may each be the last before a
crash: the new manifest is kept, so that whoever gets the new file finds our record by it; our own verifier
agrees to the new file; it replaces the old one; then the request is told. Until the last of these the clip
is still noted as unstamped, and all of it happens again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlmodel import Session, col, delete, select

from core.clock import milliseconds
from core.errors import BadMedia, GreenlightError, StaleFence, Unavailable
from core.events import Event, Tag, record
from core.models import file_sha256
from core.state import FINAL, State
from core.tables import Job, Manifest, Unstamped
from pipeline.steps import scratch_folder
from pipeline.tools import Tools
from provenance.manifest import SignedManifest

_log = structlog.get_logger("stamping")
AT_ONCE = 8
"""Clips in one sweep: a worker has other things to do."""
WAIT_MS = 60_000
_LONGEST_WAIT = 6  # doublings: about an hour


def note(session: Session, job_id: str, *, unstamped: bool, now_ms: int) -> None:
    """Note whether the manifest that a clip was just signed with wants a time stamp."""
    session.execute(delete(Unstamped).where(col(Unstamped.job) == job_id))
    if unstamped:
        session.add(Unstamped(job=job_id, due_ms=now_ms + WAIT_MS))


def stamp_released(tools: Tools) -> int:
    """Stamp some of the released clips that wait for it and answer how many; a silent authority ends it for now."""
    if tools.stamp is None:
        return 0
    _forget_unreleased(tools)
    done = 0
    while done < AT_ONCE and (job := _next(tools)) is not None:
        try:
            _stamp(tools, job)
        except Unavailable as error:
            _log.warning("no time stamp yet", job=job.id, why=error.message)
            break
        except StaleFence:
            _log.info("withdrawn while it was stamped", job=job.id)
        except GreenlightError as error:
            _log.error("cannot be given a time stamp", job=job.id, why=error.message)
            _forget(tools, job.id)
        else:
            done += 1
    return done


def _next(tools: Tools) -> Job | None:
    """Take the clip that waits longest, for this caller alone until it is due again."""
    now_ms = milliseconds(tools.clock.now())
    due = sa.and_(col(Unstamped.due_ms) <= now_ms, col(Job.state) == str(State.RELEASED))
    with tools.store.session() as session:
        waiting = select(Unstamped, Job).join(Job).where(due).order_by(col(Unstamped.due_ms)).limit(1)
        found = session.exec(waiting).first()
        if found is None:
            return None
        row, job = found
        later = now_ms + WAIT_MS * 2 ** min(row.tries, _LONGEST_WAIT)
        same = sa.and_(col(Unstamped.job) == row.job, col(Unstamped.due_ms) == row.due_ms)
        changed = session.execute(
            sa.update(Unstamped).where(same).values(due_ms=later, tries=row.tries + 1),
            execution_options={"synchronize_session": False},
        )
        session.commit()
    # another worker was faster: it looks after the rest too
    return job if changed.rowcount == 1 else None  # type: ignore[attr-defined]  # an UPDATE's CursorResult


def _stamp(tools: Tools, job: Job) -> None:
    assert tools.stamp is not None
    # from the public file: the private ones may have been cleared away by now
    source = tools.blobs.path("public", str(job.public))
    with scratch_folder(tools) as folder:
        target = folder / f"stamped{source.suffix}"
        stamped = tools.stamp(source, target)
        digest = file_sha256(target)
        name = tools.blobs.put("private", f"stamps/{job.id}{source.suffix}", target)
    try:
        _keep(tools, job, stamped)
        _check(tools, job, tools.blobs.path("private", name), stamped)
        # A crash after this line leaves the new file public; its manifest is known, and it is stamped once more.
        tools.blobs.publish(name, str(job.public))
        _tell(tools, job, digest, stamped)
    finally:
        tools.blobs.remove("private", name)


def _keep(tools: Tools, job: Job, stamped: SignedManifest) -> None:
    now_ms = milliseconds(tools.clock.now())
    with tools.store.session() as session:
        session.add(Manifest(label=stamped.label, job=job.id, store=stamped.bytes, at_ms=now_ms))
        session.commit()


def _check(tools: Tools, job: Job, path: Path, stamped: SignedManifest) -> None:
    """Let nothing replace a released file that our own verifier does not agree to."""
    report = tools.verify(path, job.id)
    if report.verdict == "verified":
        return
    with tools.store.session() as session:
        session.execute(delete(Manifest).where(col(Manifest.label) == stamped.label))
        session.commit()
    why = f"The stamped file does not verify ({report.verdict}): {' '.join(report.reasons)}"
    raise Unavailable(why) if report.verdict == "recovered" else BadMedia(why)


def _tell(tools: Tools, before: Job, digest: str, stamped: SignedManifest) -> None:
    store = hashlib.sha256(stamped.bytes).hexdigest()
    with tools.store.session() as session:
        job = session.get_one(Job, before.id, with_for_update=True)
        if job.state != State.RELEASED:
            if job.cleared_ms is not None:  # withdrawn and taken away meanwhile, and just now put back
                tools.blobs.remove("public", str(before.public))
            raise StaleFence
        job.manifest_label = stamped.label
        job.got = job.got | {"signed_sha256": digest, "store_sha256": store, "time_stamped": True}
        session.add(job)
        session.execute(delete(Unstamped).where(col(Unstamped.job) == job.id))
        facts = {
            "file": digest,
            "manifest": stamped.label,
            "store": store,
            "before": str(before.manifest_label),
        } | ({"signer": stamped.signer} if stamped.signer else {})
        event = Event(tag=Tag.CLIP_STAMPED, actor="system", partner=job.partner, job=job.id, facts=facts)
        record(session, event, tools.clock)
        session.commit()


def _forget_unreleased(tools: Tools) -> None:
    over = [str(state) for state in FINAL - {State.RELEASED}]
    with tools.store.session() as session:
        ended = select(Job.id).where(col(Job.state).in_(over))
        session.execute(delete(Unstamped).where(col(Unstamped.job).in_(ended)))
        session.commit()


def _forget(tools: Tools, job_id: str) -> None:
    with tools.store.session() as session:
        session.execute(delete(Unstamped).where(col(Unstamped.job) == job_id))
        session.commit()
