"""The console's pages of policies and of restricted users: reviewers look, admins change; a new policy takes two."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlmodel import Session

from api.auth import Administering, Deciding, FormToken, GateTools, SignedIn, checked_form
from api.changes import Reason, changed
from api.console import page
from api.schemas import IdInPath
from core.clock import milliseconds
from core.errors import BadInput, Conflict, NotFound
from core.tables import PolicyFile, Reviewer
from pipeline import packs, strikes
from pipeline.restrictions import terms_of
from pipeline.tools import Tools
from policies.overlay import effects, read_overlay
from policies.pack import MAX_BYTES

router = APIRouter(prefix="/console", include_in_schema=False)
Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


@router.get("/policies", response_class=HTMLResponse)
def get_policies(request: Request, tools: GateTools, reviewer: SignedIn) -> Response:
    """Show every pack, overlay and election, and what decides now."""
    return _policies_page(request, tools, reviewer)


@router.post("/policies/add")
def post_policy(
    request: Request,
    tools: GateTools,
    admin: Administering,
    form_token: FormToken,
    text: Annotated[str, Form(max_length=MAX_BYTES, pattern=r"^[^\x00]*$")],
) -> Response:
    """Add a pack, an overlay or an election as a draft."""
    checked_form(request, form_token)
    content = text.replace("\r\n", "\n").encode(errors="replace")
    return changed(
        request,
        tools,
        admin,
        lambda session: packs.add(session, tools.book, tools.pack, content, by=admin.name, clock=tools.clock),
        shown=_policies_page,
        path="/console/policies",
    )


@router.post("/policies/{digest}/{what}")
def post_policy_change(
    request: Request,
    tools: GateTools,
    admin: Administering,
    digest: Digest,
    what: Literal["shadow", "activate", "withdraw"],
    form_token: FormToken,
) -> Response:
    """Let a policy decide in the shadow, make it the active one, or end it."""
    checked_form(request, form_token)

    def change(session: Session) -> PolicyFile:
        if what == "shadow":
            return packs.shade(session, digest, by=admin.name, clock=tools.clock)
        if what == "withdraw":
            return packs.withdraw(session, digest, by=admin.name, clock=tools.clock)
        return packs.activate(session, tools.book, tools.pack, digest, by=admin.name, clock=tools.clock)

    return changed(request, tools, admin, change, shown=_policies_page, path="/console/policies")


@router.post("/policies/rollback")
def post_rollback(
    request: Request, tools: GateTools, admin: Administering, form_token: FormToken, reason: Reason
) -> Response:
    """Go back to the pack that was active before."""
    checked_form(request, form_token)
    return changed(
        request,
        tools,
        admin,
        lambda session: packs.roll_back(
            session,
            tools.book,
            tools.pack,
            by=admin.name,
            reason=reason,
            clock=tools.clock,
            vault=tools.vault,
        ),
        shown=_policies_page,
        path="/console/policies",
    )


@router.get("/users", response_class=HTMLResponse)
def get_users(request: Request, tools: GateTools, reviewer: SignedIn) -> Response:
    """Show users who are restricted, those who appeal first."""
    return _users_page(request, tools, reviewer)


@router.post("/users/{partner}/{user}/{what}")
def post_user_change(
    request: Request,
    tools: GateTools,
    reviewer: Deciding,
    partner: IdInPath,
    user: IdInPath,
    what: Literal["lift", "uphold"],
    form_token: FormToken,
    reason: Reason = "",
) -> Response:
    """Lift a user's strikes, or let the restriction stand against their appeal."""
    checked_form(request, form_token)
    actor = f"reviewer:{reviewer.name}"
    try:
        with tools.store.session() as session:
            terms = terms_of(session, tools)
            if what == "lift":
                strikes.lift(
                    session,
                    partner,
                    user,
                    terms,
                    actor=actor,
                    reason=reason,
                    clock=tools.clock,
                    vault=tools.vault,
                )
            else:
                strikes.uphold(session, partner, user, terms, actor=actor, clock=tools.clock)
            session.commit()
    except (BadInput, Conflict, NotFound) as error:
        return _users_page(request, tools, reviewer, status=error.status, problem=error.message)
    return RedirectResponse("/console/users", 303)


def _policies_page(
    request: Request, tools: Tools, reviewer: Reviewer, *, status: int = 200, problem: str = ""
) -> Response:
    with tools.store.reading() as session:
        base = tools.book.base(session, tools.pack)
        rows = packs.listed(session)
    overlays = {row.sha256: read_overlay(row.content) for row in rows if row.kind != "pack"}
    changes = {digest: effects(base.text, one) for digest, one in overlays.items()}
    return page(
        request,
        "policies.html",
        status=status,
        reviewer=reviewer,
        problem=problem,
        rows=rows,
        base=base,
        overlays=overlays,
        changes=changes,
    )


def _users_page(
    request: Request, tools: Tools, reviewer: Reviewer, *, status: int = 200, problem: str = ""
) -> Response:
    with tools.store.reading() as session:
        now_ms = milliseconds(tools.clock.now())
        users = [
            (row, now, strikes.strikes_of(session, row.partner, row.user, limit=10))
            for row, now in strikes.listed(session, terms_of(session, tools), now_ms)
        ]
    return page(request, "users.html", status=status, reviewer=reviewer, problem=problem, users=users)
