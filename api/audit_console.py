"""The auditor's pages: ask the log, look at an entry, take proofs and evidence away. Plain HTML, no scripts."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from starlette.background import BackgroundTask

from api.audits import Index, desk_of, exported
from api.auth import FormToken, GateTools, KnownPerson, checked_form
from api.console import page
from api.proofs import proof_file
from api.readers import AskingPage, new_token
from api.schemas import IdInPath
from audits.filters import Filter, make_filter, render_cursor
from audits.grants import Asker
from audits.log.proof import prove
from audits.queries import all_events
from audits.terms import Field
from core.errors import BadInput, NotFound
from core.events import Tag
from core.state import State
from pipeline.dossier import bundled
from pipeline.tools import Tools

router = APIRouter(prefix="/console/audit", include_in_schema=False)
_PAGE_ENTRIES = 50
_CHOICES = {Field.TAG: sorted(Tag), Field.STATE: list(State)}
Form_ = Annotated[str, Path(pattern="^(jsonl|csv|ocsf)$")]


@router.get("", response_class=HTMLResponse)
def get_audit(request: Request, tools: GateTools, person: KnownPerson, who: AskingPage) -> Response:
    """Ask the log by a form; the address of the page is the question."""
    asked = _given(request)
    cursor = asked.pop("cursor", "")
    try:
        wanted = _filter(asked)
        answer = desk_of(tools).ask(who, wanted, cursor=cursor, limit=_PAGE_ENTRIES)
    except BadInput as error:
        return _form(request, person, who, asked, status=error.status, problem=error.message)
    following = None
    if answer.after is not None:
        following = urlencode(asked | {"cursor": render_cursor(answer.after, wanted)})
    shown: dict[str, Any] = {"answer": answer, "following": following, "query": urlencode(asked)}
    return _form(request, person, who, asked, **shown)


@router.get("/export/{form}")
def get_export(request: Request, tools: GateTools, who: AskingPage, form: Form_) -> Response:
    """Take the whole answer away."""
    return exported(tools, who, _filter(_given(request)), form)


@router.get("/entries/{index}", response_class=HTMLResponse)
def get_entry(
    request: Request, tools: GateTools, person: KnownPerson, who: AskingPage, index: Index
) -> Response:
    """Show one entry with its exact bytes."""
    entry = desk_of(tools).entry(who, index)
    said = json.dumps(json.loads(entry.leaf), indent=2, ensure_ascii=False)
    return page(request, "entry.html", reviewer=person, entry=entry, said=said)


@router.get("/entries/{index}/proof")
def get_proof(tools: GateTools, who: AskingPage, index: Index) -> Response:
    """Take the proof of an entry away."""
    desk = desk_of(tools)
    return proof_file(prove(desk.folder, desk.trust, desk.entry(who, index).index))


@router.get("/requests/{job_id}/bundle")
def get_bundle(tools: GateTools, who: AskingPage, job_id: IdInPath) -> Response:
    """Take the evidence of a request away, all of which must be in what the asker may see."""
    wanted = Filter(values={Field.JOB: (job_id,)})
    desk_of(tools).ask(who, wanted, limit=1)
    if not _sees_all(tools, who, wanted):
        raise NotFound("There is no such request in what you may see.")
    scratch: FilePath = tools.settings.data_dir / "scratch" / f"bundle-{secrets.token_hex(8)}"
    scratch.mkdir(parents=True, mode=0o700)
    path = scratch / "evidence.zip"
    bundled(tools, wanted, job_id, path)
    return FileResponse(
        path, media_type="application/zip", filename=f"{job_id}.zip", background=BackgroundTask(_tidy, path)
    )


@router.post("/token", response_class=HTMLResponse)
def post_token(
    request: Request,
    tools: GateTools,
    person: KnownPerson,
    who: AskingPage,
    form_token: FormToken,
) -> Response:
    """Make the bearer token of one's own grant and show it, once."""
    checked_form(request, form_token)
    with tools.store.session() as session:
        token = new_token(session, person.name, tools.clock)
        session.commit()
    return _form(request, person, who, {}, token=token)


def _sees_all(tools: Tools, who: Asker, wanted: Filter) -> bool:
    with tools.store.reading() as session:
        every = [entry.index for entry in all_events(session, wanted)]
        seen = [entry.index for entry in all_events(session, wanted, within=who.within)]
    return every == seen != []


def _tidy(path: FilePath) -> None:
    path.unlink(missing_ok=True)
    path.parent.rmdir()


def _form(
    request: Request, person: Any, who: Asker, asked: dict[str, str], *, status: int = 200, **shown: Any
) -> Response:
    fields = [name for name in Field if name not in _CHOICES]
    told = {"reviewer": person, "who": who, "asked": asked, "fields": fields, "choices": _CHOICES}
    return page(request, "audit.html", status=status, **told, **shown)


def _given(request: Request) -> dict[str, str]:
    """Give what the form says; a field that was left empty asks for nothing."""
    return {name: value.strip() for name, value in request.query_params.items() if value.strip()}


def _filter(asked: dict[str, str]) -> Filter:
    span = {name: _day(asked[name]) for name in ("since", "until") if name in asked}
    fields = {name: [value] for name, value in asked.items() if name not in span}
    return make_filter(fields, **span)


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise BadInput("Write a day as YYYY-MM-DD.") from error
