"""What can be shown to a stranger: one proof, the check of the whole log, a bundle, and the verifier."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from api.cli import local
from api.cli.show import Exit, Json, answer, told
from audits.bundle import VERIFIER, write_bundle
from audits.log.check import check as check_log
from audits.log.format import Checkpoint, Verifier, open_checkpoint, parse_verifier_key
from audits.log.proof import SUFFIX, Proof
from audits.log.signing import LogKey
from audits.log.trust import parse_policy
from audits.log.writer import log_key
from core.errors import BadInput
from pipeline.proofs import decided, end_of, proof_of, prove_entry
from pipeline.tools import Tools

Out = Annotated[Path | None, typer.Option("-o", "--out", help="File to write, or with --all the folder.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (proof, check, bundle, verifier):
        app.command()(command)


def proof(
    what: Annotated[str, typer.Argument(help="Log index of an entry, or id of a request.")],
    out: Out = None,
    every: Annotated[
        bool, typer.Option("--all", help="Of a request: also every decision of a reviewer.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Prove that an entry is in the log, or how a request ended (C2SP tlog-proof)."""
    with told():
        if every and out is None:
            raise BadInput("--all needs a folder: -o FOLDER.")
        tools = local.open_tools()
        tools.integrate()
        proofs = (
            [prove_entry(tools, int(what))] if what.isdecimal() else _of_request(tools, what, every=every)
        )
        paths = [_kept(item, out / f"{item.index}{SUFFIX}" if every else out) for item in proofs if out]
    if as_json:
        told_of = [{"index": item.index, "proof": item.render()} for item in proofs]
        answer({"proofs": told_of, "out": paths}, "", as_json=True)
    elif out is None:
        typer.echo(proofs[0].render(), nl=False)


def _of_request(tools: Tools, job_id: str, *, every: bool) -> list[Proof]:
    with tools.store.reading() as session:
        job = local.look(tools, job_id)
        events = decided(session, job_id) if every else [end_of(session, job)]
        return [proof_of(session, tools, event) for event in events]


def _kept(item: Proof, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(item.render(), encoding="utf-8")
    return path


def check(
    log: Annotated[
        Path | None, typer.Option("--log", help="Folder of the public log files; empty: this installation's.")
    ] = None,
    vkey: Annotated[
        str | None, typer.Option(help="Verifier key of the log; empty: this installation's.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Trust policy (C2SP tlog-policy), instead of --vkey.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that was seen before; the log must continue it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Re-derive the whole log from its public bytes; exit 1 and say which entry when something was changed."""
    with told():
        folder, trust = _trusted(log, vkey, policy)
        seen = [_seen(path, trust) for path in against or ()]
        report = check_log(folder, trust, seen=seen, workers=len(os.sched_getaffinity(0)))
    value = {"ok": report.ok, "size": report.size, "entries": report.entries, "problems": report.problems}
    lines = [f"[red]{problem}[/red]" for problem in report.problems]
    lines.append(
        f"[green]{report.size} entries, all in order[/green]"
        if report.ok
        else "[bold red]the log was changed[/]"
    )
    answer(value, "\n".join(lines), as_json=as_json)
    raise typer.Exit(Exit.GOOD if report.ok else Exit.REFUSED)


def _trusted(log: Path | None, vkey: str | None, policy: Path | None) -> tuple[Path, Verifier]:
    if (vkey is not None) + (policy is not None) != (log is not None):
        raise BadInput("Give --log together with --vkey or --policy.")
    if log is None:
        tools = local.open_tools()
        return folder_of(tools), tools.trust
    if policy is None:
        return log, parse_verifier_key(str(vkey))
    return log, parse_policy(local.existing(policy).read_text(encoding="utf-8"))


def _seen(path: Path, trust: Verifier) -> Checkpoint:
    return open_checkpoint(local.existing(path).read_text(encoding="utf-8"), trust)


def bundle(
    clip: Annotated[str, typer.Argument(help="Request id.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="ZIP file to write.")],
    as_json: Json = False,
) -> None:
    """Write the evidence of one request: events, proofs, receipt, decisions, and a page to read."""
    with told():
        tools = local.open_tools()
        tools.integrate()
        account = local.account(tools, local.look(tools, clip))
        papers = {f"{name}.json": json.dumps(value, indent=2).encode() for name, value in account.items()}
        with tools.store.reading() as session:
            count = write_bundle(session, folder_of(tools), key_of(tools).vkey, clip, out, papers=papers)
    answer({"out": str(out), "events": count}, f"{out}: {count} events", as_json=as_json)


def verifier(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("verify.py"),
    as_json: Json = False,
) -> None:
    """Write the verifier for strangers: one Python file that needs nothing of ours (`python3 -I verify.py`)."""
    out.write_bytes(VERIFIER.read_bytes())
    answer({"out": str(out)}, f"{out}: run it with python3 -I {out} --help", as_json=as_json)


def folder_of(tools: Tools) -> Path:
    """Say where the public files of this installation's log are."""
    return tools.settings.data_dir / "log"


def key_of(tools: Tools) -> LogKey:
    """Open the keys of this installation's log."""
    return log_key(tools.settings.data_dir / "keys" / "log", tools.settings.log_origin)
