"""Requests of partners: ask, follow, cancel, fetch, understand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Header, Query, UploadFile
from fastapi.responses import FileResponse, PlainTextResponse
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from api.auth import CallingPartner, FreeDecoders, GateTools
from api.problems import ANSWERS
from api.proofs import proof_file
from api.schemas import (
    AppealIn,
    Cursor,
    GenerationIn,
    GenerationList,
    GenerationOut,
    IdInPath,
    PrecheckIn,
    PrecheckOut,
    SoundtrackIn,
    UploadOut,
    Wanted,
    generation_out,
    upload_out,
)
from api.uploads import stored
from audits.erasure import erase_request, finish
from core.clock import iso
from core.errors import Conflict, NotFound
from core.events import Tag
from core.state import FINAL, State
from core.tables import AuditEvent, Job, Upload
from pipeline.appeals import appeal
from pipeline.intake import Ask, UploadKind, cancel, finalize, submit, upload
from pipeline.precheck import account, asked, note, precheck
from pipeline.proofs import end_of, proof_of
from pipeline.receipt import explanation, receipt
from pipeline.strikes import alias
from pipeline.tools import Tools

router = APIRouter(prefix="/v1", responses=ANSWERS, tags=["generations"])
POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0
_BINARY = {"schema": {"type": "string", "format": "binary"}}
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]


@router.post("/uploads", status_code=201)
async def post_upload(
    tools: GateTools,
    partner: CallingPartner,
    decoders: FreeDecoders,
    kind: Annotated[UploadKind, Form()],
    file: Annotated[UploadFile, File()],
) -> UploadOut:
    """Take in a picture, a voice recording or a video; it is decoded once, in a sandbox."""

    def taken_in(path: Path) -> Upload:
        with decoders.one(wait_seconds=_PATIENCE_SECONDS):
            return upload(tools, partner, kind, path, file.content_type or "application/octet-stream")

    async with stored(file, tools) as path:
        row = await run_in_threadpool(taken_in, path)
    with tools.store.session() as session:
        session.add(row)
        session.commit()
    return upload_out(row)


@router.post("/generations", status_code=202)
def post_generation(
    tools: GateTools, partner: CallingPartner, wanted: GenerationIn, idempotency_key: IdempotencyKey = None
) -> GenerationOut:
    """Ask for a clip."""
    return _submitted(
        tools, partner, _ask(wanted, picture=wanted.picture, sound=wanted.sound), wanted, idempotency_key
    )


@router.post("/soundtracks", status_code=202)
def post_soundtrack(
    tools: GateTools, partner: CallingPartner, wanted: SoundtrackIn, idempotency_key: IdempotencyKey = None
) -> GenerationOut:
    """Ask for music and effects to an uploaded video; its history becomes an ingredient."""
    return _submitted(tools, partner, _ask(wanted, picture=True, sound=True), wanted, idempotency_key)


@router.post("/precheck")
def post_precheck(tools: GateTools, partner: CallingPartner, wanted: PrecheckIn) -> PrecheckOut:
    """Decide on a request exactly as the pipeline would, without generating; only the audit event stays."""
    given: dict[str, Any] = {
        "project": wanted.project,
        "territory": wanted.territory,
        "identities": tuple(wanted.identities),
        "references": tuple(wanted.references),
        "source": wanted.source,
    }
    given["user"] = _alias(tools, partner, wanted.end_user)
    done = precheck(tools, partner, asked(wanted.prompt, wanted.modality, **given), wanted.modality)
    with tools.store.session() as session:
        note(session, tools, done, actor=f"partner:{partner}")
        session.commit()
    return PrecheckOut.model_validate(account(done))


@router.get("/generations")
def list_generations(
    tools: GateTools,
    partner: CallingPartner,
    state: State | None = None,
    after: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> GenerationList:
    """List the partner's requests, newest first."""
    wanted = (
        select(Job).where(Job.partner == partner).order_by(col(Job.created_ms).desc(), col(Job.id).desc())
    )
    with tools.store.reading() as session:
        if state is not None:
            wanted = wanted.where(Job.state == str(state))
        if after is not None:
            last = _mine(session, after, partner)
            older = col(Job.created_ms) < last.created_ms
            wanted = wanted.where(
                older | ((col(Job.created_ms) == last.created_ms) & (col(Job.id) < last.id))
            )
        jobs = list(session.exec(wanted.limit(limit + 1)))
    page = jobs[:limit]
    return GenerationList(
        data=[generation_out(job) for job in page], next=page[-1].id if len(jobs) > limit else None
    )


@router.get("/generations/{job_id}")
def get_generation(tools: GateTools, partner: CallingPartner, job_id: IdInPath) -> GenerationOut:
    """Tell where a request stands, and why."""
    with tools.store.reading() as session:
        job = _mine(session, job_id, partner)
        decisions = explanation(session, job, "caller")["decisions"]
    return generation_out(job, decisions[-1] if decisions else None)


@router.post("/generations/{job_id}/cancel")
def post_cancel(tools: GateTools, partner: CallingPartner, job_id: IdInPath) -> GenerationOut:
    """Stop a request, as long as that is still possible."""
    with tools.store.session() as session:
        _mine(session, job_id, partner)
        job = cancel(session, tools, job_id, actor=f"partner:{partner}")
        session.commit()
    return generation_out(job)


@router.post("/generations/{job_id}/appeal")
def post_appeal(
    tools: GateTools, partner: CallingPartner, job_id: IdInPath, wanted: AppealIn
) -> GenerationOut:
    """Have people look at a refusal, once; the request is held until they have decided."""
    with tools.store.session() as session:
        job = _mine(session, job_id, partner)
        job = appeal(
            session,
            job,
            actor=f"partner:{partner}",
            reason=wanted.reason,
            clock=tools.clock,
            vault=tools.vault,
        )
        session.commit()
    return generation_out(job)


@router.post("/generations/{job_id}/final", status_code=202)
def post_final(
    tools: GateTools, partner: CallingPartner, job_id: IdInPath, idempotency_key: IdempotencyKey = None
) -> GenerationOut:
    """Ask for the final delivery of a released draft: the same clip, judged anew, with every label."""
    with tools.store.session() as session:
        _mine(session, job_id, partner)
        job, _ = finalize(session, tools, partner, job_id, key=idempotency_key)
        session.commit()
    return generation_out(job)


@router.delete("/generations/{job_id}", status_code=204)
def delete_generation(tools: GateTools, partner: CallingPartner, job_id: IdInPath) -> None:
    """Forget a request that has ended: its words, references and working files; a released clip stays released."""
    with tools.store.session() as session:
        _mine(session, job_id, partner)
        erase_request(session, job_id, actor=f"partner:{partner}", why="demand", clock=tools.clock)
        session.commit()
    finish(tools)


@router.get(
    "/generations/{job_id}/content",
    response_class=FileResponse,
    responses={
        200: {"content": dict.fromkeys(("video/mp4", "audio/mp4"), _BINARY)},
        206: {
            "content": dict.fromkeys(("video/mp4", "audio/mp4"), _BINARY),
            "description": "The range asked for",
        },
        416: {"description": "The file has no such range"},
    },
)
def get_content(tools: GateTools, partner: CallingPartner, job_id: IdInPath) -> FileResponse:
    """Fetch the released file; ranges are served. Nothing but a released file has a way out."""
    with tools.store.reading() as session:
        job = _mine(session, job_id, partner)
    if job.state != State.RELEASED or job.public is None:
        raise Conflict(f"The request is {job.state}; there is a file only when it is released.")
    path = tools.blobs.path("public", job.public)
    mime = "video/mp4" if path.suffix == ".mp4" else "audio/mp4"
    # A withdrawn clip must not live on in a cache: it is asked for again each time.
    headers = {"Cache-Control": "private, no-cache"}
    return FileResponse(path, media_type=mime, filename=f"{job.id}{path.suffix}", headers=headers)


@router.get("/generations/{job_id}/receipt")
def get_receipt(tools: GateTools, partner: CallingPartner, job_id: IdInPath) -> dict[str, Any]:
    """Give the account of a request."""
    with tools.store.reading() as session:
        return receipt(session, _mine(session, job_id, partner))


@router.get("/generations/{job_id}/explanation")
def get_explanation(tools: GateTools, partner: CallingPartner, job_id: IdInPath) -> dict[str, Any]:
    """Explain every decision on a request."""
    with tools.store.reading() as session:
        return explanation(session, _mine(session, job_id, partner), "caller")


@router.get(
    "/generations/{job_id}/proof",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_proof(tools: GateTools, partner: CallingPartner, job_id: IdInPath) -> PlainTextResponse:
    """Prove to anybody, offline, how a request ended: the log entry and its way to a signed checkpoint."""
    with tools.store.reading() as session:
        proof = proof_of(session, tools, end_of(session, _mine(session, job_id, partner)))
    return proof_file(proof)


@router.get(
    "/generations/{job_id}/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def get_events(
    tools: GateTools,
    partner: CallingPartner,
    job_id: IdInPath,
    last_event_id: Annotated[int, Header(ge=0, lt=2**53)] = 0,
) -> EventSourceResponse:
    """Follow a request until it ends, as server-sent events; `Last-Event-ID` resumes."""
    with tools.store.reading() as session:
        _mine(session, job_id, partner)
    return EventSourceResponse(_followed(tools, job_id, last_event_id))


async def _followed(tools: Tools, job_id: str, seen: int) -> AsyncIterator[ServerSentEvent]:
    progress = -1.0
    while True:
        job, rows = await run_in_threadpool(_news, tools, job_id, seen)
        for row in rows:
            seen = row.id or seen
            yield ServerSentEvent(
                json.dumps({"tag": row.tag, "at": iso(row.at_ms)}), event=row.tag, id=str(seen)
            )
        if job.progress != progress and job.state not in FINAL:
            progress = job.progress
            yield ServerSentEvent(json.dumps({"state": job.state, "progress": progress}), event="progress")
        if job.state in FINAL:
            yield ServerSentEvent(json.dumps({"state": job.state}), event="end")
            return
        await asyncio.sleep(POLL_SECONDS)


def _news(tools: Tools, job_id: str, seen: int) -> tuple[Job, list[AuditEvent]]:
    with tools.store.reading() as session:
        # That somebody of the house looked is not the partner's to know.
        newer = select(AuditEvent).where(
            AuditEvent.job == job_id, col(AuditEvent.id) > seen, AuditEvent.tag != Tag.AUDIT_QUERIED
        )
        rows = list(session.exec(newer.order_by(col(AuditEvent.id))))
        return session.get_one(Job, job_id), rows


def _ask(wanted: Wanted, *, picture: bool, sound: bool) -> Ask:
    given = wanted.model_dump(exclude={"picture", "sound", "end_user"})
    for name in ("identities", "references"):
        given[name] = tuple(given.get(name, ()))
    return Ask(picture=picture, sound=sound, **given)


def _alias(tools: Tools, partner: str, end_user: str) -> str:
    return alias(tools.vault, partner, end_user) if end_user else ""


def _submitted(tools: Tools, partner: str, plain: Ask, wanted: Wanted, key: str | None) -> GenerationOut:
    ask = replace(plain, user=_alias(tools, partner, wanted.end_user))
    try:
        return _stored(tools, partner, ask, key)
    except IntegrityError:
        # Where writers run side by side, another call under this key was quicker; its request is there now.
        return _stored(tools, partner, ask, key)


def _stored(tools: Tools, partner: str, ask: Ask, key: str | None) -> GenerationOut:
    with tools.store.session() as session:
        job, _ = submit(session, tools, partner, ask, key=key)
        session.commit()
    return generation_out(job)


def _mine(session: Session, job_id: str, partner: str) -> Job:
    """Find a request of this partner; another's looks exactly like one that does not exist."""
    job = session.get(Job, job_id)
    if job is None or job.partner != partner:
        raise NotFound("There is no such request.")
    return job
