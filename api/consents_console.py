"""The console's pages of consents: what was granted, what rests on it, and an admin's way to end it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlmodel import Session, col, select

from api.auth import Administering, FormToken, GateTools, SignedIn, checked_form
from api.console import page
from api.schemas import Cursor, IdInPath
from core.clock import milliseconds
from core.errors import NotFound
from core.events import Event, Tag, record
from core.tables import Consent, Identity
from pipeline.consents import released_of, revoke, uses

router = APIRouter(prefix="/console/consents", include_in_schema=False)
_SHOWN = 100


@router.get("", response_class=HTMLResponse)
def get_consents(request: Request, tools: GateTools, reviewer: SignedIn, after: Cursor = None) -> Response:
    """List grants by their id, some at a time."""
    wanted = select(Consent).where(col(Consent.id) > (after or "")).order_by(Consent.id).limit(_SHOWN)
    with tools.store.reading() as session:
        found = session.exec(wanted).all()
        names = {consent.identity: _name(session, consent.identity) for consent in found}
    more = found[-1].id if len(found) == _SHOWN else None
    now_ms = milliseconds(tools.clock.now())
    shown: dict[str, Any] = {"consents": found, "names": names, "more": more, "now_ms": now_ms}
    return page(request, "consents.html", reviewer=reviewer, **shown)


@router.get("/{consent_id}", response_class=HTMLResponse)
def get_consent(request: Request, tools: GateTools, reviewer: SignedIn, consent_id: IdInPath) -> Response:
    """Show one grant with what rests on it; looking is logged."""
    with tools.store.session() as session:
        found = _found(session, consent_id)
        name, used = _name(session, found.identity), uses(session, consent_id)
        actor = f"{reviewer.role}:{reviewer.name}"
        event = Event(tag=Tag.AUDIT_QUERIED, actor=actor, partner=found.partner, identity=found.identity)
        record(session, event, tools.clock)
        session.commit()
    shown: dict[str, Any] = {"consent": found, "who": name, "used": used, "released": released_of(used)}
    shown["now_ms"] = milliseconds(tools.clock.now())
    return page(request, "consent.html", reviewer=reviewer, **shown)


@router.post("/{consent_id}/revoke")
def post_revocation(
    request: Request,
    tools: GateTools,
    admin: Administering,
    consent_id: IdInPath,
    form_token: FormToken,
) -> Response:
    """End a grant: what is not released stops, what is out is listed."""
    checked_form(request, form_token)
    with tools.store.session() as session:
        revoke(session, consent_id, actor=f"admin:{admin.name}", clock=tools.clock)
        session.commit()
    return RedirectResponse(f"/console/consents/{consent_id}", 303)


def _found(session: Session, consent_id: str) -> Consent:
    found = session.get(Consent, consent_id)
    if found is None:
        raise NotFound("There is no such consent.")
    return found


def _name(session: Session, identity: str) -> str:
    person = session.get(Identity, identity)
    return person.name if person and person.name else identity
