"""The admins' page of who may read the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse
from sqlmodel import Session, col, select

from api.auth import Administering, FormToken, GateTools, checked_form
from api.changes import Reason, changed
from api.console import page
from api.schemas import IdInPath, Label
from audits.filters import make_filter
from audits.grants import MAX_DAYS, ROLES, approve, listed, propose, revoke
from core.tables import AuditGrant, Reviewer
from pipeline.tools import Tools

router = APIRouter(prefix="/console/grants", include_in_schema=False)
Ids = Annotated[str, Form(max_length=4000, pattern=r"^[^\x00]*$")]


@router.get("", response_class=HTMLResponse)
def get_grants(request: Request, tools: GateTools, admin: Administering) -> Response:
    """Show every grant."""
    return _grants_page(request, tools, admin)


@router.post("/propose")
def post_proposal(
    request: Request,
    tools: GateTools,
    admin: Administering,
    form_token: FormToken,
    person: Annotated[Label, Form()],
    days: Annotated[int, Form(ge=1, le=MAX_DAYS)],
    reason: Reason,
    partner: Ids = "",
    territory: Ids = "",
    job: Ids = "",
) -> Response:
    """Propose a grant; ids are separated by spaces."""
    checked_form(request, form_token)

    def change(session: Session) -> AuditGrant:
        fields = {"partner": partner.split(), "territory": territory.split(), "job": job.split()}
        ends = tools.clock.now() + timedelta(days=days)
        told: dict[str, Any] = {"by": admin.name, "reason": reason}
        told |= {"clock": tools.clock, "vault": tools.vault}
        return propose(session, person=person, scope=make_filter(fields), ends=ends, **told)

    return changed(request, tools, admin, change, shown=_grants_page, path="/console/grants")


@router.post("/{grant}/approve")
def post_approval(
    request: Request, tools: GateTools, admin: Administering, grant: IdInPath, form_token: FormToken
) -> Response:
    """Let a grant stand."""
    checked_form(request, form_token)
    return changed(
        request,
        tools,
        admin,
        lambda session: approve(session, grant, by=admin.name, clock=tools.clock, vault=tools.vault),
        shown=_grants_page,
        path="/console/grants",
    )


@router.post("/{grant}/revoke")
def post_revocation(
    request: Request,
    tools: GateTools,
    admin: Administering,
    grant: IdInPath,
    reason: Reason,
    form_token: FormToken,
) -> Response:
    """End a grant at once."""
    checked_form(request, form_token)
    told = {"by": admin.name, "reason": reason}
    return changed(
        request,
        tools,
        admin,
        lambda session: revoke(session, grant, clock=tools.clock, vault=tools.vault, **told),
        shown=_grants_page,
        path="/console/grants",
    )


def _grants_page(
    request: Request, tools: Tools, admin: Reviewer, *, status: int = 200, problem: str = ""
) -> Response:
    readers = select(Reviewer).where(col(Reviewer.role).in_(ROLES)).order_by(Reviewer.name)
    with tools.store.reading() as session:
        shown = {"grants": listed(session), "people": session.exec(readers).all()}
    return page(
        request, "grants.html", status=status, reviewer=admin, problem=problem, days=MAX_DAYS, **shown
    )
