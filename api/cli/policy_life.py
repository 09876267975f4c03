"""The life of a policy from the command line: added by one admin, made active by another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlmodel import Session

from api.cli import local
from api.cli.show import Json, answer, told
from core.clock import iso
from core.tables import PolicyFile
from pipeline import packs
from pipeline.tools import Tools
from policies.overlay import effects, read_overlay
from policies.pack import MAX_BYTES

PolicyId = Annotated[str, typer.Argument(metavar="ID", help="Digest of the policy, or how it begins.")]
As = Annotated[str, typer.Option("--as", prompt="Admin", help="Name of the admin.")]
Password = Annotated[str, typer.Option(prompt=True, hide_input=True, help="The admin's password.")]
Change = Callable[[Session, Tools, str], PolicyFile | None]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (
        ("list", list_policies),
        ("show", show),
        ("add", add),
        ("shadow", shadow),
        ("activate", activate),
        ("withdraw", withdraw),
        ("rollback", rollback),
    ):
        app.command(name)(command)


def list_policies(as_json: Json = False) -> None:
    """List every pack, overlay and election with its state."""
    with told():
        tools = local.open_tools()
        with tools.store.reading() as session:
            rows = [_shown(row) for row in packs.listed(session)]
            base = tools.book.base(session, tools.pack)
    now = {"name": base.name, "version": base.version, "sha256": base.sha256}
    text = [f"{base.name} {base.version} {base.sha256[:16]} decides."]
    text += [
        f"{one['id'][:16]}  {one['kind']:8}  {one['state']:9}  {one['name']} {one['version']}" for one in rows
    ]
    answer({"decides": now, "policies": rows}, "\n".join(text), as_json=as_json)


def show(policy: PolicyId, as_json: Json = False) -> None:
    """Show a policy as it was written, and what an overlay changes."""
    with told():
        tools = local.open_tools()
        with tools.store.reading() as session:
            row = packs.found(session, policy)
            base = tools.book.base(session, tools.pack).text
        changes = [] if row.kind == "pack" else packs.told(effects(base, read_overlay(row.content)))
    text = row.content.decode(errors="replace")
    answer(_shown(row) | {"changes": changes, "text": text}, text.replace("[", "\\["), as_json=as_json)


def add(
    file: Annotated[Path, typer.Argument(help="A pack, an overlay or an election, as YAML.")],
    password: Password,
    admin: As,
    as_json: Json = False,
) -> None:
    """Add a policy as a draft; it must pass lint and its own tests."""
    with told(), local.existing(file).open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    _changed(
        lambda session, tools, name: packs.add(
            session, tools.book, tools.pack, content, by=name, clock=tools.clock
        ),
        admin,
        password,
        as_json=as_json,
    )


def shadow(policy: PolicyId, password: Password, admin: As, as_json: Json = False) -> None:
    """Let a pack decide beside the active one; where it differs is in the log, and nothing comes of it."""
    _changed(
        lambda session, tools, name: packs.shade(session, policy, by=name, clock=tools.clock),
        admin,
        password,
        as_json=as_json,
    )


def activate(policy: PolicyId, password: Password, admin: As, as_json: Json = False) -> None:
    """Make a policy the active one; takes another admin than the one who added it."""
    _changed(
        lambda session, tools, name: packs.activate(
            session, tools.book, tools.pack, policy, by=name, clock=tools.clock
        ),
        admin,
        password,
        as_json=as_json,
    )


def withdraw(policy: PolicyId, password: Password, admin: As, as_json: Json = False) -> None:
    """Take a draft back, or end an overlay or an election before its time, which takes two admins."""
    _changed(
        lambda session, tools, name: packs.withdraw(session, policy, by=name, clock=tools.clock),
        admin,
        password,
        as_json=as_json,
    )


def rollback(
    password: Password,
    admin: As,
    reason: Annotated[str, typer.Option(prompt=True, help="Why; goes into the record, sealed.")],
    as_json: Json = False,
) -> None:
    """Go back to the pack that was active before; one admin is enough."""
    _changed(
        lambda session, tools, name: packs.roll_back(
            session, tools.book, tools.pack, by=name, reason=reason, clock=tools.clock, vault=tools.vault
        ),
        admin,
        password,
        as_json=as_json,
    )


def _changed(change: Change, admin: str, password: str, *, as_json: bool) -> None:
    with told():
        row, own = local.by_admin(
            lambda session, tools, name: (change(session, tools, name), tools.pack.sha256), admin, password
        )
    if row is None:
        answer(
            {"id": own, "state": "kept"},
            "The installation's own pack decides.",
            as_json=as_json,
        )
    else:
        answer(_shown(row), f"{row.kind} {row.name} {row.version}: {row.state}", as_json=as_json)


def _shown(row: PolicyFile) -> dict[str, Any]:
    return {
        "id": row.sha256,
        "kind": row.kind,
        "name": row.name,
        "version": row.version,
        "state": row.state,
        "starts_at": iso(row.starts_ms) if row.starts_ms else None,
        "ends_at": iso(row.ends_ms) if row.ends_ms else None,
        "added_by": row.added_by,
        "approved_by": row.approved_by,
        "ending_by": row.ending_by,
        "active_since": iso(row.active_ms) if row.active_ms else None,
    }
