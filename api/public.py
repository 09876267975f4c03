"""What anyone may ask: is this file yours, what does the log say, are you well."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Request, Response, UploadFile
from fastapi.responses import FileResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlmodel import col, func, select
from starlette.concurrency import run_in_threadpool

from api.auth import FreeDecoders, GateTools
from api.problems import ANSWERS
from api.uploads import Decoders, stored
from core.clock import milliseconds
from core.errors import NotFound
from core.state import State
from core.tables import AuditEvent, GateKey, Job, LogCheckpoint, Unstamped
from pipeline.tools import Tools
from pipeline.verification import report_json

router = APIRouter(responses=ANSWERS, tags=["public"])
_PATIENCE_SECONDS = 5.0
_PUBLIC = re.compile(r"checkpoint|tile/(?:entries|\d{1,2})/(?:x\d{3}/){0,6}\d{3}(?:\.p/\d{1,3})?", re.ASCII)


@router.post("/v1/verify")
async def post_verify(
    tools: GateTools, decoders: FreeDecoders, file: Annotated[UploadFile, File()]
) -> dict[str, Any]:
    """Say whether a file came from here and whether it was changed; nothing of it is kept."""
    return await verified(tools, decoders, file)


async def verified(tools: Tools, decoders: Decoders, file: UploadFile) -> dict[str, Any]:
    """Give the public report on an upload, and forget it."""

    def examined(path: Path) -> dict[str, Any]:
        with decoders.one(wait_seconds=_PATIENCE_SECONDS):
            return report_json(tools.verify_untrusted(path))

    async with stored(file, tools) as path:
        return await run_in_threadpool(examined, path)


@router.get(
    "/log/{name:path}",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}, "text/plain": {}}}},
)
def get_log(tools: GateTools, name: str) -> Response:
    """Serve checkpoint, tiles and entry bundles of the audit log (C2SP tlog-tiles), and whom to believe about it."""
    if name == "policy":
        return PlainTextResponse(tools.trust.render(), headers={"Cache-Control": "no-cache"})
    path = tools.settings.data_dir / "log" / name
    # Only names that the format knows reach the disk.
    if not _PUBLIC.fullmatch(name) or not path.is_file():
        raise NotFound("The log has no such file.")
    fixed = name != "checkpoint"
    headers = {"Cache-Control": "public, max-age=31536000, immutable" if fixed else "no-cache"}
    mime = "application/octet-stream" if fixed else "text/plain; charset=utf-8"
    return FileResponse(path, media_type=mime, headers=headers)


@router.post(
    "/witness/add-checkpoint",
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"text/plain": {}}},
        409: {"content": {"text/x.tlog.size": {}, "text/plain": {}}},
    },
    openapi_extra={
        "requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}
    },
)
async def post_add_checkpoint(tools: GateTools, request: Request) -> Response:
    """Cosign a checkpoint of this installation's log that extends the last one (C2SP tlog-witness)."""
    answer = await run_in_threadpool(tools.witness, await request.body())
    # As a header, since the size type of tlog-witness takes no charset.
    return Response(answer.body, status_code=answer.status, headers={"Content-Type": answer.type})


@router.get("/healthz", response_class=PlainTextResponse)
def healthz(tools: GateTools) -> str:
    """Answer `ok` when the database answers."""
    with tools.store.reading() as session:
        session.exec(select(1)).one()
    return "ok"


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(tools: GateTools) -> Response:
    """Report requests by state, refusals by rule, the log's lag and the end of certificates, for Prometheus."""
    return Response(generate_latest(_measured(tools)), media_type=CONTENT_TYPE_LATEST)


def _measured(tools: Tools) -> CollectorRegistry:
    registry = CollectorRegistry()
    states = Gauge("greenlight_requests", "Requests by state", ["state"], registry=registry)
    rules = Gauge("greenlight_rulings", "Events by tag and first rule", ["tag", "rule"], registry=registry)
    events = Gauge("greenlight_audit_events", "Audit events committed", registry=registry)
    size = Gauge("greenlight_log_size", "Leaves of the signed log", registry=registry)
    expires = Gauge(
        "greenlight_signing_certificate_expires_seconds",
        "Seconds until a signing certificate expires; negative after",
        ["key", "state"],
        registry=registry,
    )
    unstamped = Gauge("greenlight_unstamped_clips", "Signed clips without a time stamp", registry=registry)
    tries = Gauge(
        "greenlight_unstamped_tries", "Failed attempts to stamp those clips later", registry=registry
    )
    now_ms = milliseconds(tools.clock.now())
    with tools.store.reading() as session:
        counted = dict(session.exec(select(Job.state, func.count()).group_by(Job.state)).all())
        for state in State:
            states.labels(state).set(counted.get(str(state), 0))
        ruled = select(AuditEvent.tag, AuditEvent.rule, func.count()).group_by(
            col(AuditEvent.tag), col(AuditEvent.rule)
        )
        for tag, rule, count in session.exec(ruled):
            rules.labels(tag, rule or "").set(count)
        events.set(session.exec(select(func.count()).select_from(AuditEvent)).one())
        for key in session.exec(select(GateKey).where(col(GateKey.expires_ms).is_not(None))):
            expires.labels(key.id[:16], key.state).set(((key.expires_ms or 0) - now_ms) / 1000)
        waiting = select(func.count(), func.coalesce(func.sum(Unstamped.tries), 0)).select_from(Unstamped)
        for gauge, value in zip((unstamped, tries), session.exec(waiting).one(), strict=True):
            gauge.set(value)
        size.set(session.exec(select(func.max(LogCheckpoint.size))).one() or 0)
    return registry
