"""Take in requests and uploads: checked, stored, and never twice under one idempotency key."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from sqlmodel import Session, col, func, select

from core.clock import milliseconds, new_id
from core.errors import BadInput, Conflict, KeyReused, NotFound, TooMany
from core.events import Event, Tag, record
from core.media import sandbox
from core.models import file_sha256
from core.state import CANCELLABLE, FINAL, State
from core.store import job as find_job
from core.store import move
from core.tables import IdempotencyKey, Identity, Job, Outbox, Partner, Upload
from generation.engines import DOUBLES
from pipeline import labelling, leaves, strikes
from pipeline.restrictions import terms_of
from pipeline.steps import scratch_folder
from pipeline.tools import Tools
from provenance.labels import Purpose
from safety.prompt import checked_text

UploadKind = Literal["picture", "voice", "video"]
MAX_REFERENCES = 8
_INGEST = {
    "picture": ("core.media.ingest:ingest_picture", ".png"),
    "voice": ("core.media.ingest:ingest_voice", ".mkv"),
    "video": ("core.media.ingest:ingest_video", ".mkv"),
}
_COLUMNS = frozenset(("prompt", "project", "territory", "user"))
_MAX_SECONDS = {"picture": 0.0, "voice": 60.0, "video": 60.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for a clip, or (with `source`) for sound to an existing video. Seconds, pixels, frames/s."""

    prompt: str
    seconds: float = 8.0
    width: int = 704
    height: int = 480
    fps: int = 24
    picture: bool = True
    sound: bool = True
    engine: str = ""
    seed: int | None = None
    project: str = ""
    territory: str = ""
    identities: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    source: str | None = None
    purpose: Purpose = ""
    draft: bool = False
    """For the studio's eyes: labels that the territory's rules let wait are left out."""
    draft_of: str = ""
    """The draft whose clip this is the final delivery of."""
    user: str = ""
    """For which of the partner's users, as `strikes.alias` gives it."""


def submit(
    session: Session, tools: Tools, partner_id: str, ask: Ask, *, key: str | None = None
) -> tuple[Job, bool]:
    """Store a request and answer it, with whether it was already there under this idempotency key."""
    partner = _partner(session, partner_id)
    digest = hashlib.sha256(json.dumps(asdict(ask), sort_keys=True).encode()).hexdigest()
    known = session.get(IdempotencyKey, (partner_id, key)) if key else None
    if known is not None:
        if known.request_sha256 != digest:
            raise KeyReused
        return find_job(session, known.job), True
    job = _checked(session, tools, partner, ask)
    _check_quota(session, tools, partner)
    _check_user(session, tools, job)
    labelling.planned(job, tools.settings.provider)  # a territory that cannot be served is said at once
    session.add(job)
    session.flush()
    if key:
        now_ms = job.created_ms
        session.add(
            IdempotencyKey(partner=partner_id, key=key, request_sha256=digest, job=job.id, created_ms=now_ms)
        )
    session.add(Outbox(job=job.id, at_ms=job.created_ms))
    event = Event(
        tag=Tag.REQUEST_RECEIVED,
        actor=f"partner:{partner_id}",
        partner=partner_id,
        job=job.id,
        facts=leaves.asked(job),
        private={"prompt": job.prompt},
    )
    record(session, event, tools.clock, tools.vault)
    return job, False


def finalize(
    session: Session, tools: Tools, partner_id: str, job_id: str, *, key: str | None = None
) -> tuple[Job, bool]:
    """Ask for the final delivery of a released draft: the same clip, judged anew and fully labelled."""
    drafted = find_job(session, job_id)
    if not drafted.ask.get("draft") or drafted.state != State.RELEASED:
        raise Conflict("Only a released draft can be made final.")
    if drafted.cleared_ms is not None:
        raise Conflict("The draft's working files were given up; ask for the clip anew.")
    asked = {field.name: drafted.ask[field.name] for field in fields(Ask) if field.name in drafted.ask}
    asked |= {name: tuple(asked[name]) for name in ("identities", "references")}
    asked |= {"prompt": drafted.prompt, "project": drafted.project, "territory": drafted.territory}
    asked["user"] = drafted.user or ""
    ask = Ask(**(asked | {"draft": False, "draft_of": drafted.id}))
    return submit(session, tools, partner_id, ask, key=key)


def draft(session: Session, tools: Tools, partner_id: str, ask: Ask) -> Job:
    """Build a request without storing it, for a precheck that decides exactly as the pipeline would."""
    return _checked(session, tools, _partner(session, partner_id), ask)


def cancel(session: Session, tools: Tools, job_id: str, *, actor: str) -> Job:
    """Ask for a request to stop; raise `Conflict` where it is too late for that."""
    job = find_job(session, job_id)
    state = State(job.state)
    if state is State.CANCELLED:
        return job
    if state not in CANCELLABLE:
        raise Conflict(f"The request is {state} and can no longer be cancelled.")
    now_ms = milliseconds(tools.clock.now())
    if state is State.HELD or job.lease_until_ms < now_ms:
        move(session, job.id, state, State.CANCELLED, now_ms=now_ms, cancel=True)
        event = Event(
            tag=Tag.CLIP_CANCELLED, actor=actor, partner=job.partner, job=job.id, facts={"state": state}
        )
        record(session, event, tools.clock)
    else:
        # A worker is at it; its next tick or its next step ends it.
        job.cancel = True
        session.add(job)
    session.flush()
    session.refresh(job)
    return job


def withdraw(session: Session, tools: Tools, job_id: str, *, actor: str, reason: str) -> Job:
    """Take a released clip back: its file is no longer served, and `verify` says that it was withdrawn."""
    job = find_job(session, job_id)
    if job.state != State.RELEASED:
        raise Conflict(f"The request is {job.state}; only a released clip can be withdrawn.")
    move(session, job.id, State.RELEASED, State.WITHDRAWN, now_ms=milliseconds(tools.clock.now()))
    event = Event(
        tag=Tag.CLIP_WITHDRAWN,
        actor=actor,
        partner=job.partner,
        job=job.id,
        facts={"file": job.got["signed_sha256"]},
        private={"reason": reason},
    )
    record(session, event, tools.clock, tools.vault)
    session.refresh(job)
    return job


def upload(tools: Tools, partner_id: str, kind: UploadKind, source: Path, mime: str) -> Upload:
    """Decode an uploaded file once in the sandbox and keep it in our own form; a bad file leaves nothing."""
    target, suffix = _INGEST[kind]
    upload_id = new_id("upload")
    settings = tools.settings
    cage = sandbox.Cage(memory_mib=settings.sandbox_memory_mib, seconds=settings.sandbox_seconds)
    with scratch_folder(tools) as folder:
        into = folder / f"ingested{suffix}"
        arguments = {
            "source": str(source.resolve()),
            "into": str(into.resolve()),
            "max_mib": settings.max_upload_mib,
            "max_seconds": _MAX_SECONDS[kind],
        }
        about = sandbox.run(
            target, arguments, cage=cage, readable=[source.resolve()], writable=[folder.resolve()]
        )
        digest = file_sha256(source)
        blob = tools.blobs.put("private", f"uploads/{upload_id}{suffix}", into)
        original = _kept(tools, upload_id, source, folder) if kind == "video" else None
    return Upload(
        id=upload_id,
        partner=partner_id,
        kind=kind,
        blob=blob,
        original=original,
        mime=mime,
        sha256=digest,
        about=about | {"sandbox": sandbox.kind()},
        created_ms=milliseconds(tools.clock.now()),
    )


def _kept(tools: Tools, upload_id: str, source: Path, folder: Path) -> str:
    copy = folder / f"original{source.suffix or '.mp4'}"
    shutil.copyfile(source, copy)
    return tools.blobs.put("private", f"uploads/{upload_id}.original{copy.suffix}", copy)


def _partner(session: Session, partner_id: str) -> Partner:
    partner = session.get(Partner, partner_id)
    if partner is None:
        raise NotFound("There is no such partner.")
    return partner


def _checked(session: Session, tools: Tools, partner: Partner, ask: Ask) -> Job:
    prompt = checked_text(ask.prompt)
    _check_measures(ask, tools)
    _check_references(session, partner.id, ask)
    _check_identities(session, ask.identities)
    now_ms = milliseconds(tools.clock.now())
    asked = {name: value for name, value in asdict(ask).items() if name not in _COLUMNS}
    asked |= {
        "engine": ask.engine or tools.settings.engine,
        "seed": secrets.randbits(31) if ask.seed is None else ask.seed,
    }
    asked |= {"identities": list(ask.identities), "references": list(ask.references)}
    return Job(
        id=new_id("clip"),
        partner=partner.id,
        kind="soundtrack" if ask.source else "generation",
        state=State.RECEIVED,
        project=ask.project,
        territory=ask.territory,
        prompt=prompt,
        user=ask.user or None,
        ask=asked,
        payload=f"{secrets.randbits(64):016x}",
        got={"sandbox": sandbox.kind(), "doubles": _doubles(tools, str(asked["engine"]))},
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def _doubles(tools: Tools, engine: str) -> dict[str, str]:
    """Name the development doubles that this request meets: the installation's, and the engine it asked for."""
    return dict(tools.doubles) | ({"engine": DOUBLES[engine]} if engine in DOUBLES else {})


def _check_measures(ask: Ask, tools: Tools) -> None:
    if not (ask.picture or ask.sound):
        raise BadInput("Ask for a picture, a sound, or both.")
    limits = tools.engine(ask.engine or tools.settings.engine).limits
    if not 0 < ask.seconds <= limits.max_seconds:
        raise BadInput(f"seconds must be above 0 and at most {limits.max_seconds:g} for this engine.")
    if ask.picture and not (
        ask.width >= 64 and ask.height >= 64 and ask.width * ask.height <= limits.max_pixels
    ):
        raise BadInput(f"The picture must be at least 64x64 and at most {limits.max_pixels} pixels.")
    if ask.picture and not 1 <= ask.fps <= 60:
        raise BadInput("fps must be between 1 and 60.")


def _check_references(session: Session, partner_id: str, ask: Ask) -> None:
    if len(ask.references) > MAX_REFERENCES:
        raise BadInput(f"At most {MAX_REFERENCES} references are accepted.")
    wanted: Sequence[tuple[str, set[str]]] = [
        (reference, {"picture", "voice"}) for reference in ask.references
    ]
    if ask.source:
        wanted = [*wanted, (ask.source, {"video"})]
    for name, kinds in wanted:
        found = session.get(Upload, name)
        if found is None or found.partner != partner_id or found.kind not in kinds:
            raise BadInput(f"There is no upload {name} of the right kind.")


def _check_identities(session: Session, identities: Sequence[str]) -> None:
    for name in identities:
        person = session.get(Identity, name)
        if person is None or person.erased:
            raise BadInput(f"There is no identity {name}.")


def _check_user(session: Session, tools: Tools, job: Job) -> None:
    if job.user is not None:
        strikes.check_pace(session, job.partner, job.user, terms_of(session, tools), job.created_ms)


def _check_quota(session: Session, tools: Tools, partner: Partner) -> None:
    now_ms = milliseconds(tools.clock.now())
    mine = select(func.count()).select_from(Job).where(Job.partner == partner.id)
    lately = session.exec(mine.where(col(Job.created_ms) > now_ms - 60_000)).one()
    if lately >= partner.per_minute:
        raise TooMany(f"At most {partner.per_minute} requests a minute are accepted.")
    unfinished = session.exec(
        mine.where(col(Job.state).not_in([str(state) for state in FINAL | {State.HELD}]))
    ).one()
    if unfinished >= partner.at_once:
        raise TooMany(f"At most {partner.at_once} unfinished requests are accepted.")
