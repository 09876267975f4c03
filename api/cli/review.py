"""Decide on what was held, from the command line."""

from __future__ import annotations

import getpass
from typing import Annotated, Any, Literal

import typer

from api.auth import add_reviewer
from api.cli import local
from api.cli.show import Json, answer, decision_lines, told
from core.clock import iso
from core.state import State
from pipeline.intake import withdraw
from pipeline.restrictions import settled
from pipeline.review import Verdict, decide, queue

app = typer.Typer(no_args_is_help=True, help="Decide on held clips.")
Clip = Annotated[str, typer.Argument(help="Id of the request.")]
Reason = Annotated[str, typer.Option(help="Why; goes into the record.")]
Role = Literal["reviewer", "auditor", "regulator", "admin"]
As = Annotated[str, typer.Option("--as", help="Name of the reviewer.")]


@app.command("list")
def list_held(as_json: Json = False) -> None:
    """List what is held, oldest first."""
    with told():
        tools = local.open_tools()
        with tools.store.reading() as session:
            held = queue(session)
    rows: list[dict[str, Any]] = [
        {"id": job.id, "held_at": job.held_at, "since": iso(job.updated_ms), "prompt": job.prompt}
        for job in held
    ]
    text = "\n".join(f"{row['id']}  {row['held_at']}  {row['since']}  {row['prompt'][:60]}" for row in rows)
    answer(rows, text or "Nothing is held.", as_json=as_json)


@app.command()
def show(clip: Clip, as_json: Json = False) -> None:
    """Show every decision on a request, with the evidence."""
    with told():
        tools = local.open_tools()
        account = local.account(tools, local.look(tools, clip))
    text = "\n".join(decision_lines(decision) for decision in account["explanation"]["decisions"])
    answer(account, text, as_json=as_json)


@app.command()
def approve(clip: Clip, reason: Reason, reviewer: As = "", as_json: Json = False) -> None:
    """Let a held clip go on; the gravest rules need two different reviewers."""
    _decided(clip, "approve", reason, reviewer, as_json=as_json)


@app.command()
def reject(clip: Clip, reason: Reason, reviewer: As = "", as_json: Json = False) -> None:
    """Keep a held clip in for good."""
    _decided(clip, "reject", reason, reviewer, as_json=as_json)


@app.command()
def retry(clip: Clip, reason: Reason, reviewer: As = "", as_json: Json = False) -> None:
    """Have the check that held a clip made again."""
    _decided(clip, "retry", reason, reviewer, as_json=as_json)


@app.command("withdraw")
def withdraw_clip(clip: Clip, reason: Reason, reviewer: As = "", as_json: Json = False) -> None:
    """Take a released clip back: it is no longer served, and `verify` says so."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            job = withdraw(
                session, tools, clip, actor=f"reviewer:{reviewer or getpass.getuser()}", reason=reason
            )
            session.commit()
    answer({"id": job.id, "state": job.state}, f"{job.id}: {job.state}", as_json=as_json)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name to sign in to the console with.")],
    password: Annotated[
        str,
        typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="At least 12 characters."),
    ],
    role: Annotated[
        Role,
        typer.Option(
            help="reviewer decides, auditor and regulator read by a grant, admin also changes keys and grants."
        ),
    ] = "reviewer",
    as_json: Json = False,
) -> None:
    """Register a reviewer for the console, or change a password or role."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            add_reviewer(session, name, password, role)
            session.commit()
    answer({"reviewer": name}, f"{name} can sign in to the console.", as_json=as_json)


def _decided(clip: str, verdict: Verdict, reason: str, reviewer: str, *, as_json: bool) -> None:
    with told():
        tools = local.open_tools()
        name = reviewer or getpass.getuser()
        with tools.store.session() as session:
            job = decide(
                session, clip, verdict, reviewer=name, reason=reason, clock=tools.clock, vault=tools.vault
            )
            settled(session, tools, job, name)
            session.commit()
        if job.state not in {State.HELD, State.REJECTED}:
            job = local.see_through(tools, clip, "request")
    note = " (a second reviewer is needed)" if verdict == "approve" and job.state == State.HELD else ""
    answer({"id": job.id, "state": job.state}, f"{job.id}: {job.state}{note}", as_json=as_json)
