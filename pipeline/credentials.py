"""Durable credentials: keep manifests so that a watermark, a fingerprint or a name leads back to them.

What is kept here is written in the transactions of the steps that made it, before anything is released; what
is looked up is only ever what was released. A crash leaves rows that no question is answered with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session, col, select

from core.state import State
from core.tables import Fingerprint, Job, Manifest, SoftBinding
from provenance.manifest import AUDIO_ALG, VIDEO_ALG, binding_value

PUBLIC = frozenset({State.RELEASED, State.WITHDRAWN})
"""The states whose credentials anyone may be shown."""
_TRACKS = {"video": VIDEO_ALG, "audio": AUDIO_ALG}


@dataclass(frozen=True, slots=True)
class Credential:
    """A released clip, the label of its newest manifest, and whether it was withdrawn since."""

    job: str
    label: str
    withdrawn: bool


def bind(session: Session, job: Job, label: str, store: bytes, *, at_ms: int) -> None:
    """Keep the manifest a clip was just signed with, under every mark that the clip carries.

    Whatever an earlier signing left is taken away: a clip that went back to be marked again was never out.
    """
    session.execute(sa.delete(Manifest).where(col(Manifest.job) == job.id))
    session.execute(sa.delete(SoftBinding).where(col(SoftBinding.job) == job.id))
    session.add(Manifest(label=label, job=job.id, store=store, at_ms=at_ms))
    value = binding_value(int(job.payload, 16))
    marks = job.got.get("marks", {})
    algs = [alg for track, alg in _TRACKS.items() if marks.get(track)]
    session.add_all(SoftBinding(alg=alg, value=value, job=job.id) for alg in algs)


def keep_prints(session: Session, job_id: str, prints: Mapping[str, bytes]) -> None:
    """Keep the fingerprints of a clip, by algorithm, in place of any that an earlier marking left."""
    session.execute(sa.delete(Fingerprint).where(col(Fingerprint.job) == job_id))
    session.add_all(Fingerprint(job=job_id, alg=alg, data=data) for alg, data in prints.items())


def bound(session: Session, alg: str, value: str, limit: int) -> list[Credential]:
    """Find what a soft binding leads to, at most `limit`."""
    jobs = select(SoftBinding.job).where(col(SoftBinding.alg) == alg, col(SoftBinding.value) == value)
    return credentials(session, session.exec(jobs).all())[:limit]


def credentials(session: Session, jobs: Sequence[str]) -> list[Credential]:
    """Give the credentials of those of `jobs` that are public, in the order of `jobs`."""
    rows = session.exec(
        select(Job.id, Job.state, Manifest.label)
        .join(Manifest, col(Manifest.job) == col(Job.id))
        .where(col(Job.id).in_(jobs), col(Job.state).in_([str(state) for state in PUBLIC]))
        .order_by(col(Manifest.at_ms))
    )
    # of several manifests of a clip the newest, which comes last, remains
    found = {job: Credential(job, label, state == State.WITHDRAWN) for job, state, label in rows}
    return [found[job] for job in jobs if job in found]


def manifest(session: Session, label: str) -> tuple[bytes, bool] | None:
    """Give a public manifest store by its label, and whether the clip was withdrawn."""
    found = session.exec(
        select(Manifest.store, Job.state)
        .join(Job, col(Manifest.job) == col(Job.id))
        .where(col(Manifest.label) == label, col(Job.state).in_([str(state) for state in PUBLIC]))
    ).first()
    return None if found is None else (found[0], found[1] == State.WITHDRAWN)
