"""Take the fingerprints of clips that were released before clips had any.

A fingerprint is written when the clip is still released and has none; a crash leaves the rest to the next call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog
from sqlmodel import col, select

from core.errors import GreenlightError
from core.media.probe import probe
from core.state import State
from core.tables import Fingerprint, Job
from pipeline.credentials import keep_prints
from pipeline.tools import Tools
from provenance.mark import prints_of

_log = structlog.get_logger("reprint")


@dataclass(frozen=True, slots=True)
class Reprinted:
    """A released clip and the algorithms of the fingerprints that it got; `problem` says why it got none."""

    job: str
    algs: tuple[str, ...]
    problem: str | None = None


def reprint(tools: Tools) -> Iterator[Reprinted]:
    """Go through the released clips without fingerprints, one by one; what cannot be read is told and left."""
    for job_id, public in _without(tools):
        try:
            prints = prints_of(probe(tools.blobs.path("public", public)))
        except GreenlightError as error:
            _log.warning("no fingerprint", job=job_id, why=error.message)
            yield Reprinted(job_id, (), error.message)
            continue
        with tools.store.session() as session:
            job = session.get_one(Job, job_id, with_for_update=True)
            kept = session.exec(select(Fingerprint.id).where(col(Fingerprint.job) == job_id)).first()
            if job.state != State.RELEASED or kept is not None:
                continue
            keep_prints(session, job_id, prints)
            session.commit()
        problem = None if prints else "It is too flat, too quiet or too short to be recognised by."
        yield Reprinted(job_id, tuple(sorted(prints)), problem)


def _without(tools: Tools) -> Sequence[tuple[str, str]]:
    have = select(Fingerprint.job)
    wanted = (
        select(Job.id, Job.public)
        .where(col(Job.state) == str(State.RELEASED), col(Job.id).not_in(have))
        .order_by(col(Job.released_ms))
    )
    with tools.store.reading() as session:
        return [(job, str(public)) for job, public in session.exec(wanted)]
