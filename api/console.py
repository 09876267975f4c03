"""The reviewer's console: a queue, the evidence, and a decision with a reason. Plain HTML, no scripts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi import Form as Field
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates
from sqlmodel import Session, col, select

from api.auth import Deciding, FormToken, GateTools, KnownPerson, SignedIn, checked_form, checked_reviewer
from api.proofs import proof_file
from api.schemas import IdInPath, Label
from core.clock import iso
from core.errors import BadInput, Conflict, Unauthenticated
from core.events import Event, Tag, record
from core.media.exhibit import LONGEST_S
from core.state import State
from core.store import job as find_job
from core.tables import Identity, Review, Reviewer
from pipeline import appeals
from pipeline.evidence import At, Form, exhibit, is_match, kept_references, reference
from pipeline.proofs import decided, decision, proof_of
from pipeline.receipt import explanation
from pipeline.restrictions import settled
from pipeline.review import decide, queue
from pipeline.tools import Tools

router = APIRouter(prefix="/console", include_in_schema=False)
pages = Jinja2Templates(Path(__file__).with_name("templates"))
pages.env.filters["iso"] = iso
pages.env.tests["match"] = is_match
pages.env.filters["moment"] = lambda ms: iso(ms)[:19].replace("T", " ") + " UTC"
RowId = Annotated[int, InPath(ge=1, lt=2**53)]
Number = Annotated[int, InPath(ge=0, lt=10_000)]


def problem_page(request: Request, status: int, message: str) -> Response:
    """Tell a person at the console what went wrong, or ask them to sign in."""
    if status == Unauthenticated.status:
        return RedirectResponse("/console/login", 303)
    return answered(request, "problem.html", status, {"problem": message})


@router.get("/login", response_class=HTMLResponse)
def get_login(request: Request) -> Response:
    """Show the sign-in form."""
    return page(request, "login.html")


@router.post("/login")
def post_login(
    request: Request,
    tools: GateTools,
    name: Annotated[Label, Field()],
    password: Annotated[str, Field(max_length=200)],
    form_token: FormToken,
) -> Response:
    """Sign in."""
    checked_form(request, form_token)
    try:
        with tools.store.reading() as session:
            reviewer = checked_reviewer(session, name, password)
    except Unauthenticated as error:
        return page(request, "login.html", status=401, problem=error.message)
    # A new session for a new person: nothing set before signing in survives it.
    request.session.clear()
    # The token of the forms comes now and not with the first page, so that pages opened side by side agree.
    request.session.update(reviewer=reviewer.name, form_token=secrets.token_urlsafe(16))
    with tools.store.session() as session:
        actor, facts = f"{reviewer.role}:{reviewer.name}", {"role": reviewer.role}
        record(session, Event(tag=Tag.SESSION_OPENED, actor=actor, facts=facts), tools.clock)
        session.commit()
    return RedirectResponse("/console/audit" if reviewer.role == "regulator" else "/console/", 303)


@router.post("/logout")
def post_logout(request: Request, reviewer: KnownPerson, form_token: FormToken) -> Response:
    """Sign out."""
    checked_form(request, form_token)
    request.session.clear()
    return RedirectResponse("/console/login", 303)


@router.get("/", response_class=HTMLResponse)
def get_queue(request: Request, tools: GateTools, reviewer: SignedIn) -> Response:
    """Show what waits for a decision, oldest first."""
    with tools.store.reading() as session:
        waiting = [(job, _latest(explanation(session, job, "auditor"))) for job in queue(session)]
    return page(request, "queue.html", reviewer=reviewer, waiting=waiting)


@router.get("/clips/{job_id}", response_class=HTMLResponse)
def get_clip(request: Request, tools: GateTools, reviewer: SignedIn, job_id: IdInPath) -> Response:
    """Show one held clip with everything known about it; looking is logged."""
    return _clip_page(request, tools, reviewer, job_id)


@router.get("/clips/{job_id}/evidence/{ruling}/{rule}/{item}/{form}")
def get_evidence(
    tools: GateTools,
    reviewer: Deciding,
    job_id: IdInPath,
    ruling: RowId,
    rule: Number,
    item: Number,
    form: Form,
) -> Response:
    """Show one match: the face, the frame, the seconds, or their spectrogram; looking is logged."""
    at = At(ruling, rule, item)
    return _shown(exhibit(tools, job_id, at, form, reviewer=reviewer.name))


@router.get("/clips/{job_id}/evidence/{ruling}/{rule}/{item}/references/{kept}")
def get_reference(
    tools: GateTools,
    reviewer: Deciding,
    job_id: IdInPath,
    ruling: RowId,
    rule: Number,
    item: Number,
    kept: RowId,
) -> Response:
    """Show a reference that was kept of the person a match is about; looking is logged."""
    at = At(ruling, rule, item)
    return _shown(reference(tools, job_id, at, kept, reviewer=reviewer.name))


@router.get("/clips/{job_id}/proofs/{event_id}")
def get_proof(tools: GateTools, reviewer: SignedIn, job_id: IdInPath, event_id: RowId) -> Response:
    """Prove to anybody, offline, what a reviewer decided or how a request ended."""
    with tools.store.reading() as session:
        return proof_file(proof_of(session, tools, decision(session, job_id, event_id)))


@router.post("/clips/{job_id}/decide")
def post_decision(
    request: Request,
    tools: GateTools,
    reviewer: Deciding,
    job_id: IdInPath,
    verdict: Annotated[Literal["approve", "reject", "retry"], Field()],
    reason: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")],
    form_token: FormToken,
) -> Response:
    """Approve, reject, or have the check made again."""
    checked_form(request, form_token)
    try:
        with tools.store.session() as session:
            job = decide(
                session,
                job_id,
                verdict,
                reviewer=reviewer.name,
                reason=reason,
                clock=tools.clock,
                vault=tools.vault,
            )
            settled(session, tools, job, reviewer.name)
            session.commit()
    except (BadInput, Conflict) as error:
        return _clip_page(
            request, tools, reviewer, job_id, status=error.status, problem=error.message, reason=reason
        )
    if job.state == State.HELD:
        return RedirectResponse(f"/console/clips/{job_id}", 303)
    return RedirectResponse("/console/", 303)


def _clip_page(
    request: Request, tools: Tools, reviewer: Reviewer, job_id: str, *, status: int = 200, **shown: Any
) -> Response:
    with tools.store.session() as session:
        job = find_job(session, job_id)
        explained = explanation(session, job, "auditor")
        names = {person.id: person.name for person in _people(session, explained)}
        shown["kept"] = _kept(session, explained)
        reviews = session.exec(select(Review).where(Review.job == job_id).order_by(col(Review.id))).all()
        event = Event(
            tag=Tag.AUDIT_QUERIED, actor=f"reviewer:{reviewer.name}", partner=job.partner, job=job.id
        )
        record(session, event, tools.clock)
        session.commit()
        proofs = decided(session, job_id)
        appeal = appeals.words(session, job_id, tools.vault)
    shown |= {
        "job": job,
        "appeal": appeal,
        "proofs": proofs,
        "decisions": explained["decisions"],
        "names": names,
        "reviews": reviews,
    }
    return page(request, "clip.html", status=status, reviewer=reviewer, longest=LONGEST_S, **shown)


def _shown(made: tuple[str, bytes]) -> Response:
    mime, content = made
    return Response(content, media_type=mime, headers={"Cache-Control": "no-store"})


def _kept(session: Session, explained: dict[str, Any]) -> dict[tuple[str, str], list[int]]:
    """List the kept references of everybody who was found, by person and kind."""
    return {
        (item["identity"], item["kind"]): kept_references(session, item)
        for item in _evidence(explained)
        if is_match(item)
    }


def _evidence(explained: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for decided_on in explained["decisions"]:
        for rule in decided_on["rules"]:
            yield from rule["evidence"]


def _latest(explained: dict[str, Any]) -> dict[str, Any] | None:
    return explained["decisions"][-1] if explained["decisions"] else None


def _people(session: Session, explained: dict[str, Any]) -> list[Identity]:
    found = {item["identity"] for item in _evidence(explained) if "identity" in item}
    found |= {name for item in _evidence(explained) for name, _ in item.get("neighbours", ())}
    return [person for name in found if (person := session.get(Identity, name)) is not None]


def page(request: Request, name: str, *, status: int = 200, **shown: Any) -> Response:
    """Answer a page of the console, with the token that its forms carry."""
    token = request.session.setdefault("form_token", secrets.token_urlsafe(16))
    return answered(request, name, status, {"form_token": token, **shown})


def answered(request: Request, name: str, status: int, shown: dict[str, Any]) -> Response:
    """Answer with a page that can load nothing from elsewhere, run no script, and is not kept by a cache."""
    response = pages.TemplateResponse(request, name, shown, status_code=status)
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self'; media-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["Cache-Control"] = "no-store"
    return response
