"""Partners' users who are restricted after refusals: see them, and lift what is wrong."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from api.cli import local
from api.cli.show import Json, answer, told
from core.clock import iso, milliseconds
from pipeline import strikes
from pipeline.restrictions import terms_of
from pipeline.strikes import Standing

app = typer.Typer(no_args_is_help=True, help="Partners' users who are restricted after refusals.")
Partner = Annotated[str, typer.Argument(help="Id of the partner.")]
User = Annotated[str, typer.Argument(help="The id here (user_…), or the partner's own id of the user.")]


@app.command("list")
def list_users(as_json: Json = False) -> None:
    """List users who are restricted, those who appeal first."""
    with told():
        tools = local.open_tools()
        with tools.store.reading() as session:
            now_ms = milliseconds(tools.clock.now())
            found = strikes.listed(session, terms_of(session, tools), now_ms)
    rows = [
        {"partner": row.partner, "user": row.user, "appeals": row.appealed_ms is not None} | _shown(now)
        for row, now in found
    ]
    text = "\n".join(
        f"{row['partner']}  {row['user']}  {row['level']}  {row['total']:g} of {row['strikes']} strikes"
        + ("  appeals" if row["appeals"] else "")
        for row in rows
    )
    answer(rows, text or "Nobody is restricted.", as_json=as_json)


@app.command()
def show(partner: Partner, user: User, as_json: Json = False) -> None:
    """Show how a user stands, and for which requests."""
    with told():
        tools = local.open_tools()
        name = user if user.startswith("user_") else strikes.alias(tools.vault, partner, user)
        with tools.store.reading() as session:
            now_ms = milliseconds(tools.clock.now())
            now = strikes.standing(session, partner, name, terms_of(session, tools), now_ms)
            rows = strikes.strikes_of(session, partner, name)
    told_rows = [
        {
            "request": row.job,
            "category": row.category,
            "weight": row.weight / 1000,
            "at": iso(row.at_ms),
            "expires_at": iso(row.expires_ms),
            "lifted_at": iso(row.lifted_ms) if row.lifted_ms else None,
        }
        for row in rows
    ]
    value: dict[str, Any] = {"partner": partner, "user": name} | _shown(now) | {"list": told_rows}
    lines = [f"{name}: {now.level}, {now.total:g} of {now.strikes} strikes"]
    lines += [
        f"  {row['request']}  {row['category']}  {row['weight']:g}  until {row['expires_at']}"
        for row in told_rows
    ]
    answer(value, "\n".join(lines), as_json=as_json)


@app.command()
def lift(
    partner: Partner,
    user: User,
    reason: Annotated[str, typer.Option(help="Why; goes into the record, sealed.")],
    reviewer: Annotated[str, typer.Option("--as", help="Name of the reviewer.")] = "",
    as_json: Json = False,
) -> None:
    """Lift every strike of a user."""
    with told():
        tools = local.open_tools()
        name = user if user.startswith("user_") else strikes.alias(tools.vault, partner, user)
        with tools.store.session() as session:
            now = strikes.lift(
                session,
                partner,
                name,
                terms_of(session, tools),
                actor=f"reviewer:{reviewer or getpass.getuser()}",
                reason=reason,
                clock=tools.clock,
                vault=tools.vault,
            )
            session.commit()
    answer({"partner": partner, "user": name} | _shown(now), f"{name}: {now.level}", as_json=as_json)


def _shown(now: Standing) -> dict[str, Any]:
    expiry = iso(now.next_expiry_ms) if now.next_expiry_ms else None
    return {"level": now.level, "strikes": now.strikes, "total": now.total, "next_expiry_at": expiry}
