"""Forget a person, or the words of a request: the key goes, and with it everything sealed under it.

An erasure is two things. One transaction clears what stands in plain columns, appends `subject:erased`, and
writes down what is left to destroy elsewhere: keys and files. Then `finish` destroys that, and empties the
write-ahead log. If we crash in between, the leftovers are still written down and the sweeper goes on with
them. The log keeps its entries and their proofs: they hold ids, digests and commitments, and the commitments
lose their meaning with the key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal, Protocol

import sqlalchemy as sa
from sqlmodel import Session, col, delete, select

from audits.holds import refuse_held, under_hold
from core.blobs import Blobs, Room
from core.clock import Clock, milliseconds
from core.decision import RuleHit, from_json, to_json
from core.errors import Conflict, NotFound
from core.events import Event, Tag, record
from core.state import FINAL, State
from core.store import Store, change_gallery
from core.store import job as find_job
from core.tables import (
    Consent,
    ConsentUse,
    IdempotencyKey,
    Identity,
    Job,
    KeptReference,
    Leftover,
    Review,
    Ruling,
    Template,
    Upload,
    VoiceProof,
)
from core.vault import Vault


class Holdings(Protocol):
    """Where personal data are: all that an erasure has to reach."""

    @property
    def store(self) -> Store:
        """The database."""
        ...

    @property
    def vault(self) -> Vault:
        """The subjects' keys."""
        ...

    @property
    def blobs(self) -> Blobs:
        """The files."""
        ...

    @property
    def clock(self) -> Clock:
        """The time that events are given."""
        ...


Why = Literal["demand", "retention", "person"]
_ROOMS: tuple[Room, ...] = ("private", "public")
_BATCH = 500
_TOUCHED = (Job, Ruling, Review, Identity, Template, KeptReference, Upload, IdempotencyKey)


def erase_person(session: Session, identity: str, *, actor: str, clock: Clock) -> None:
    """Forget a person: names, templates and the references they were made of; raises `Conflict` under a legal hold."""
    person = session.get(Identity, identity)
    if person is None or person.erased:
        raise NotFound("There is no such identity.")
    refuse_held(session, identity)
    templates = session.exec(select(Template).where(Template.identity == identity)).all()
    uploads = [upload for row in templates for upload in row.uploads]
    for table in (Template, KeptReference, VoiceProof):
        session.execute(delete(table).where(col(table.identity) == identity))
    for kind, count in Counter(row.kind for row in templates).items():
        change_gallery(session, kind, identity, templates=-count)
    person.name, person.aliases, person.erased = "", [], True
    session.add(person)
    files = drop_uploads(session, uploads)
    session.add(Leftover(kind="key", name=identity))
    facts = {"kind": "person", "why": "demand", "templates": len(templates), "files": files}
    record(session, Event(tag=Tag.SUBJECT_ERASED, actor=actor, identity=identity, facts=facts), clock)


def erase_mentions(home: Holdings, identity: str, *, actor: str) -> list[str]:
    """Erase the words of every request that names, shows or rests on a person; those under way when they end.

    Each is a transaction of its own. Answers the ids of the erased ones.
    """
    with home.store.reading() as session:
        named = select(Ruling.job).where(_names(col(Ruling.decision), identity))
        rests = select(ConsentUse.job).join(Consent).where(Consent.identity == identity)
        jobs = sorted({*session.exec(named), *session.exec(rests)})
    return [job for job in jobs if _erased_or_later(home, job, actor)]


def _erased_or_later(home: Holdings, job_id: str, actor: str) -> bool:
    with home.store.session() as session:
        job = find_job(session, job_id)
        ended = State(job.state) in FINAL and not under_hold(session, job.id, job.partner)
        if ended:
            erase_request(session, job_id, actor=actor, why="person", clock=home.clock)
        else:
            job.forget = True
            session.add(job)
        session.commit()
    return ended


def erase_request(session: Session, job_id: str, *, actor: str, why: Why, clock: Clock) -> None:
    """Forget the words and working files of a request that has ended; what was released stays released.

    Raises `Conflict` while it is under way or under a legal hold. Doing it twice is harmless.
    """
    job = find_job(session, job_id)
    session.refresh(job, with_for_update=True)
    if State(job.state) not in FINAL:
        raise Conflict(f"The request is {job.state}; it can be erased when it has ended.")
    refuse_held(session, job.id, job.partner)
    if job.erased_ms is not None:
        return
    now_ms = milliseconds(clock.now())
    for ruling in session.exec(select(Ruling).where(Ruling.job == job_id)):
        ruling.decision = bare(ruling.decision)
        session.add(ruling)
    session.execute(sa.update(Review).where(col(Review.job) == job_id).values(reason=""))
    session.execute(delete(IdempotencyKey).where(col(IdempotencyKey.job) == job_id))
    job.prompt, job.project, job.problem, job.forget, job.erased_ms = "", "", None, False, now_ms
    files = clear_files(session, job, now_ms) + drop_uploads(session, _uploads(job))
    session.add(job)
    session.add(Leftover(kind="key", name=job_id))
    event = Event(
        tag=Tag.SUBJECT_ERASED,
        actor=actor,
        partner=job.partner,
        job=job_id,
        facts={"kind": "request", "why": why, "files": files},
    )
    record(session, event, clock)


def clear_files(session: Session, job: Job, now_ms: int) -> int:
    """Give up the working files of a request that has ended, and the file of one that was withdrawn."""
    if job.cleared_ms is not None:
        return 0
    given_up = [Leftover(kind="private", name=f"jobs/{job.id}")]
    if job.state == State.WITHDRAWN and job.public:
        given_up.append(Leftover(kind="public", name=job.public))
    session.add_all(given_up)
    job.mezzanine = job.marked = job.signed = None
    job.cleared_ms = now_ms
    session.add(job)
    return len(given_up)


def drop_uploads(session: Session, uploads: Iterable[str]) -> int:
    """Delete uploads that no request still needs, and answer how many files that gives up."""
    rows = [session.get(Upload, name) for name in sorted(set(uploads))]
    return sum(drop_upload(session, row) for row in rows if row is not None and not _needed(session, row.id))


def drop_upload(session: Session, row: Upload) -> int:
    """Delete one upload and answer how many files that gives up."""
    files = [blob for blob in (row.blob, row.original) if blob]
    session.add_all(Leftover(kind="private", name=blob) for blob in files)
    session.delete(row)
    return len(files)


def finish(home: Holdings) -> bool:
    """Destroy what committed erasures left to destroy, and answer whether nothing is left.

    A crash at any point, or a reader that keeps old pages alive, leaves the leftovers written down; another
    call does all of it again, which is harmless.
    """
    while rows := _leftovers(home):
        keys = [row.name for row in rows if row.kind == "key"]
        clean = home.vault.destroy(keys)
        for room in _ROOMS:
            for name in (row.name for row in rows if row.kind == room):
                home.blobs.remove(room, name)
        if not (home.store.scrub(*_TOUCHED) and clean):
            return False
        with home.store.session() as session:
            session.execute(delete(Leftover).where(col(Leftover.id).in_([row.id for row in rows])))
            session.commit()
    return True


def _leftovers(home: Holdings) -> list[Leftover]:
    with home.store.reading() as session:
        return list(session.exec(select(Leftover).order_by(col(Leftover.id)).limit(_BATCH)))


def bare(body: dict[str, Any]) -> dict[str, Any]:
    """Take from a stored decision all that quotes the request: its facts, and the words of its rules."""
    decision = from_json(body)
    return to_json(
        replace(decision, facts={"erased": 1}, rules=tuple(_bare_rule(hit) for hit in decision.rules))
    )


def _bare_rule(hit: RuleHit) -> RuleHit:
    return replace(hit, message="Erased.", advice="", span=None, view=None, evidence=())


def _uploads(job: Job) -> list[str]:
    source = job.ask.get("source")
    return [*job.ask["references"], *([source] if source else [])]


def _needed(session: Session, upload: str) -> bool:
    other = select(Job.id).where(_names(col(Job.ask), upload), col(Job.erased_ms).is_(None)).limit(1)
    return session.exec(other).first() is not None


def _names(column: Any, name: str) -> Any:
    """Give the SQL condition that a JSON column holds this string."""
    return sa.cast(column, sa.String).contains(f'"{name}"', autoescape=True)
