"""The console's page of keys: everybody looks, admins change; a new key takes two of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from sqlmodel import col, func, select

from api.auth import Administering, FormToken, GateTools, SignedIn, checked_form
from api.changes import Reason, changed
from api.console import page
from core.clock import milliseconds
from core.tables import Job, Reviewer
from pipeline.keys import approve, listed, propose_mark, revoke
from pipeline.run import NEEDS_KEY
from pipeline.tools import Tools

router = APIRouter(prefix="/console/keys", include_in_schema=False)
KeyInPath = Annotated[str, Path(pattern=r"^[0-9a-f]{12,64}$")]
_DAY_MS = 86_400_000


@router.get("", response_class=HTMLResponse)
def get_keys(request: Request, tools: GateTools, reviewer: SignedIn) -> Response:
    """Show every key, and how many clips wait for one."""
    return _keys_page(request, tools, reviewer)


@router.post("/propose")
def post_proposal(
    request: Request, tools: GateTools, admin: Administering, form_token: FormToken
) -> Response:
    """Make a watermark key and propose it."""
    checked_form(request, form_token)
    folder = tools.settings.data_dir / "keys"
    return changed(
        request,
        tools,
        admin,
        lambda session: propose_mark(session, folder, by=admin.name, clock=tools.clock),
        shown=_keys_page,
        path="/console/keys",
    )


@router.post("/{key}/approve")
def post_approval(
    request: Request,
    tools: GateTools,
    admin: Administering,
    key: KeyInPath,
    form_token: FormToken,
) -> Response:
    """Make a proposed key the active one."""
    checked_form(request, form_token)
    return changed(
        request,
        tools,
        admin,
        lambda session: approve(session, key, by=admin.name, clock=tools.clock),
        shown=_keys_page,
        path="/console/keys",
    )


@router.post("/{key}/revoke")
def post_revocation(
    request: Request,
    tools: GateTools,
    admin: Administering,
    key: KeyInPath,
    reason: Reason,
    form_token: FormToken,
) -> Response:
    """End a key at once."""
    checked_form(request, form_token)
    return changed(
        request,
        tools,
        admin,
        lambda session: revoke(
            session, key, by=admin.name, reason=reason, clock=tools.clock, vault=tools.vault
        ),
        shown=_keys_page,
        path="/console/keys",
    )


def _keys_page(
    request: Request, tools: Tools, reviewer: Reviewer, *, status: int = 200, problem: str = ""
) -> Response:
    with tools.store.reading() as session:
        keys = listed(session)
        waiting = session.exec(
            select(func.count())
            .select_from(Job)
            .where(col(Job.state).in_([str(state) for state in NEEDS_KEY]), col(Job.problem).is_not(None))
        ).one()
    return page(
        request,
        "keys.html",
        status=status,
        reviewer=reviewer,
        problem=problem,
        keys=keys,
        waiting=waiting,
        now_ms=milliseconds(tools.clock.now()),
        warning_ms=tools.settings.key_warning_days * _DAY_MS,
    )
