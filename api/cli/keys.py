"""The keys that sign and mark: what there is, whether it is as it should be, and changing it with two people."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from sqlmodel import Session

from api.cli import local
from api.cli.show import Exit, Json, answer, told
from core.clock import iso, milliseconds
from core.errors import BadInput, GreenlightError
from core.tables import GateKey
from pipeline.keyring import configured, credential_of
from pipeline.keys import approve, found, listed, propose_mark, propose_signer, revoke
from pipeline.tools import Tools
from provenance.keys import (
    Credential,
    Custody,
    PemKey,
    ProgramKey,
    TokenKey,
    departures,
    open_keys,
    read_certificates,
)

app = typer.Typer(no_args_is_help=True, help="The keys that sign and mark.")
KeyId = Annotated[str, typer.Argument(metavar="ID", help="Id of the key, or how it begins.")]
As = Annotated[str, typer.Option("--as", prompt="Admin", help="Name of the admin.")]
Password = Annotated[str, typer.Option(prompt=True, hide_input=True, help="The admin's password.")]


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List every key with its state and its end."""
    with told():
        tools = local.open_tools()
        with tools.store.reading() as session:
            rows = [_shown(row) for row in listed(session)]
    text = "\n".join(
        f"{row['id'][:16]}  {row['kind']:5}  {row['state']:8}  {row['kept']:11}  expires {row['expires_at'] or 'never'}"
        for row in rows
    )
    answer(rows, text, as_json=as_json)


@app.command()
def check(
    key: Annotated[str, typer.Argument(metavar="[ID]", help="Which; the active signer if left out.")] = "",
    as_json: Json = False,
) -> None:
    """Say where a signer departs from the C2PA programme's profile and whether it signs; exit 1 if it cannot."""
    with told():
        tools = local.open_tools()
        row = _signer(tools, key)
        level, now = tools.settings.signing_level, tools.clock.now()
        departed = [asdict(one) for one in departures(credential_of(row).certificates, now, level)]
        trouble = _trouble(tools, row)
    value = _shown(row) | {
        "level": level,
        "departures": departed,
        "signs": trouble is None,
        "trouble": trouble,
    }
    lines = [f"{row.id[:16]} {row.state}, checked for {level}"]
    lines += [f"  {one['severity']} {one['code']}: {one['message']}" for one in departed]
    lines.append("  signs: yes" if trouble is None else f"  signs: no. {trouble}")
    answer(value, "\n".join(lines), as_json=as_json)
    raise typer.Exit(Exit.GOOD if trouble is None else Exit.REFUSED)


@app.command()
def propose(
    kind: Annotated[Literal["claim", "mark"], typer.Argument(help="A claim signer, or a watermark key.")],
    password: Password,
    admin: As,
    chain: Annotated[Path | None, typer.Option(help="PEM chain; the settings' signer if left out.")] = None,
    roots: Annotated[Path | None, typer.Option(help="PEM roots.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM key.")] = None,
    secret: Annotated[Path | None, typer.Option(help="File with passphrase or PIN.")] = None,
    module: Annotated[Path | None, typer.Option(help="PKCS#11 library.")] = None,
    token: Annotated[str, typer.Option(help="Label of the PKCS#11 token.")] = "",
    token_key: Annotated[str, typer.Option(help="Label of the key in it.")] = "",
    program: Annotated[str, typer.Option(help="Program that signs.")] = "",
    as_json: Json = False,
) -> None:
    """Propose a new key; another admin approves it."""

    def proposed(session: Session, tools: Tools, name: str) -> GateKey:
        if kind == "mark":
            folder = tools.settings.data_dir / "keys"
            return propose_mark(session, folder, by=name, clock=tools.clock)
        credential = configured(tools.settings)
        if chain is not None:
            custody = _custody(tools, key, secret, module, token, token_key, program)
            credential = Credential(read_certificates(chain, roots or chain), custody)
        if credential is None:
            raise BadInput("Name the chain, the roots and where the key is kept.")
        return propose_signer(session, credential, by=name, clock=tools.clock)

    _changed(proposed, admin, password, as_json=as_json)


@app.command("approve")
def approve_key(key: KeyId, password: Password, admin: As, as_json: Json = False) -> None:
    """Make a proposed key the active one; the old one keeps verifying."""
    _changed(
        lambda session, tools, name: approve(session, key, by=name, clock=tools.clock),
        admin,
        password,
        as_json=as_json,
    )


@app.command("revoke")
def revoke_key(
    key: KeyId,
    password: Password,
    admin: As,
    reason: Annotated[str, typer.Option(prompt=True, help="Why; goes into the record.")],
    since: Annotated[
        datetime | None,
        typer.Option(help="UTC; what it signed from then on does not count. Now if left out."),
    ] = None,
    as_json: Json = False,
) -> None:
    """End a key at once; one admin is enough to stop."""
    since_ms = milliseconds(since.replace(tzinfo=UTC)) if since else None
    _changed(
        lambda session, tools, name: revoke(
            session, key, by=name, reason=reason, clock=tools.clock, vault=tools.vault, since_ms=since_ms
        ),
        admin,
        password,
        as_json=as_json,
    )


def _changed(
    change: Callable[[Session, Tools, str], GateKey], admin: str, password: str, *, as_json: bool
) -> None:
    with told():
        row = local.by_admin(change, admin, password)
    answer(_shown(row), f"{row.id}: {row.state}", as_json=as_json)


def _custody(
    tools: Tools,
    key: Path | None,
    secret: Path | None,
    module: Path | None,
    token: str,
    token_key: str,
    program: str,
) -> Custody:
    if key is not None:
        return PemKey(key, secret)
    if module is not None and secret is not None:
        return TokenKey(module, token, token_key, secret)
    if program:
        return ProgramKey(tuple(shlex.split(program)), tools.settings.signing_seconds)
    raise BadInput("Say where the key is kept: --key, --program, or --module with --secret.")


def _signer(tools: Tools, key: str) -> GateKey:
    with tools.store.reading() as session:
        rows = [found(session, key)] if key else [one for one in listed(session) if one.state == "active"]
    for row in rows:
        if row.kind == "claim":
            return row
    raise BadInput("There is no such signer; only claim signers have certificates to check.")


def _trouble(tools: Tools, row: GateKey) -> str | None:
    try:
        open_keys(credential_of(row), tools.clock)
    except GreenlightError as error:
        return error.message
    return None


def _shown(row: GateKey) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "kept": "development" if row.development else row.custody.get("kind", "file"),
        "expires_at": iso(row.expires_ms) if row.expires_ms else None,
        "proposed_by": row.proposed_by,
        "approved_by": row.approved_by,
        "active_since": iso(row.active_ms) if row.active_ms else None,
        "revoked_since": iso(row.revoked_ms) if row.revoked_ms is not None else None,
    }
