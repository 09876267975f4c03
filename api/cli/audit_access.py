"""Let auditors and regulators read the audit log: one admin proposes, another approves, either ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from sqlmodel import Session

from api.auth import checked_reviewer
from api.cli import local
from api.cli.show import Json, answer, told
from api.readers import new_token
from audits.filters import make_filter
from audits.grants import approve, listed, propose, revoke
from core.clock import iso
from core.tables import AuditGrant
from pipeline.tools import Tools

GrantId = Annotated[str, typer.Argument(metavar="GRANT", help="Id of the grant.")]
As = Annotated[str, typer.Option("--as", prompt="Admin", help="Name of the admin.")]
Password = Annotated[str, typer.Option(prompt=True, hide_input=True, help="Password of who acts.")]
Reason = Annotated[str, typer.Option(help="Why; goes into the record, sealed.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `greenlight audit`."""
    app.command("grant")(grant)
    app.command("approve")(approve_grant)
    app.command("revoke")(revoke_grant)
    app.command()(grants)
    app.command()(token)


def grant(
    person: Annotated[str, typer.Argument(help="A registered auditor or regulator.")],
    reason: Reason,
    password: Password,
    admin: As,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it lasts.")] = 30,
    partner: Annotated[list[str] | None, typer.Option(help="Only these partners.")] = None,
    territory: Annotated[list[str] | None, typer.Option(help="Only requests for these territories.")] = None,
    clip: Annotated[list[str] | None, typer.Option(help="Only these requests.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only from this time (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only before this time (UTC).")] = None,
    as_json: Json = False,
) -> None:
    """Propose to let somebody read the log: an auditor all of it, a regulator what the options say."""

    def proposed(session: Session, tools: Tools, by: str) -> AuditGrant:
        fields = {"partner": partner, "territory": territory, "job": clip}
        scope = make_filter(fields, since=since, until=until)
        ends = tools.clock.now() + timedelta(days=days)
        return propose(
            session,
            person=person,
            scope=scope,
            ends=ends,
            by=by,
            reason=reason,
            clock=tools.clock,
            vault=tools.vault,
        )

    _changed(proposed, admin, password, as_json=as_json)


def approve_grant(grant: GrantId, password: Password, admin: As, as_json: Json = False) -> None:
    """Let a grant that another admin proposed stand."""

    def approved(session: Session, tools: Tools, by: str) -> AuditGrant:
        return approve(session, grant, by=by, clock=tools.clock, vault=tools.vault)

    _changed(approved, admin, password, as_json=as_json)


def revoke_grant(
    grant: GrantId, reason: Reason, password: Password, admin: As, as_json: Json = False
) -> None:
    """End a grant at once."""

    def revoked(session: Session, tools: Tools, by: str) -> AuditGrant:
        return revoke(session, grant, by=by, reason=reason, clock=tools.clock, vault=tools.vault)

    _changed(revoked, admin, password, as_json=as_json)


def grants(as_json: Json = False) -> None:
    """List every grant with its scope, its end, and the two admins behind it."""
    with told():
        tools = local.open_tools()
        with tools.store.reading() as session:
            rows = [_shown(row) for row in listed(session)]
    text = "\n".join(
        f"{row['id']}  {row['state']:8}  {row['person']} ({row['role']})  until {row['ends_at']}"
        for row in rows
    )
    answer(rows, text or "There are no grants.", as_json=as_json)


def token(
    password: Password,
    person: Annotated[str, typer.Option("--as", prompt="Name", help="Who will read.")],
    as_json: Json = False,
) -> None:
    """Make the bearer token of one's own grant; the one before ends, and this one is shown only now."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            name = checked_reviewer(session, person, password).name
            made = new_token(session, name, tools.clock)
            session.commit()
    answer({"token": made}, made, as_json=as_json)


def _changed(
    change: Callable[[Session, Tools, str], AuditGrant], admin: str, password: str, *, as_json: bool
) -> None:
    with told():
        row = local.by_admin(change, admin, password)
    answer(_shown(row), f"{row.id}: {row.state}", as_json=as_json)


def _shown(row: AuditGrant) -> dict[str, Any]:
    return {
        "id": row.id,
        "person": row.person,
        "role": row.role,
        "scope": row.scope,
        "state": row.state,
        "ends_at": iso(row.ends_ms),
        "proposed_by": row.proposed_by,
        "approved_by": row.approved_by,
    }
