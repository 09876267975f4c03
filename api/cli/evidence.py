"""What can be shown to a stranger: one proof, the check of the whole log, a bundle, and the verifier."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.cli import local
from api.cli.show import Exit, Json, answer, told
from api.cli.trust import Log, PolicyFile, Vkey, text_of, trusted
from audits.bundle import VERIFIER
from audits.filters import Filter, make_filter
from audits.index import catch_up
from audits.log.check import check as check_log
from audits.log.format import Checkpoint, Verifier, open_checkpoint
from audits.log.proof import SUFFIX, Proof
from core.errors import BadInput, LogCorrupt
from pipeline.dossier import bundled, note_bundle
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
        # Anything longer is no index that a log could have, and is looked for among the requests.
        is_index = what.isascii() and what.isdecimal() and len(what) < 19
        proofs = [prove_entry(tools, int(what))] if is_index else _of_request(tools, what, every=every)
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
    log: Log = None,
    vkey: Vkey = None,
    policy: PolicyFile = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that was seen before; the log must continue it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Re-derive the whole log from its public bytes; exit 1 and say which entry when something was changed."""
    with told():
        folder, trust = trusted(log, vkey, policy)
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


def _seen(path: Path, trust: Verifier) -> Checkpoint:
    try:
        return open_checkpoint(text_of(path), trust)
    except LogCorrupt as error:
        raise BadInput(f"{path} is no checkpoint to compare with: {error.message}.") from error


def bundle(
    clips: Annotated[list[str] | None, typer.Argument(help="Request ids.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="ZIP file to write.")] = Path("evidence.zip"),
    case: Annotated[str, typer.Option(help="Name of a case of several requests.")] = "",
    partner: Annotated[str | None, typer.Option(help="Partner id, with --month.")] = None,
    month: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m"], help="Month (UTC), with --partner.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the evidence of a request, of a case or of a partner's month into one archive; it is logged."""
    with told():
        wanted, title = _asked_for(clips or [], case, partner, month)
        tools = local.open_tools()
        tools.integrate()
        catch_up(tools.store)
        note_bundle(tools, wanted)
        made = bundled(tools, wanted, title, out)
    value = {"out": str(out), "events": made.events, "clips": made.clips, "size": made.size}
    answer(value, f"{out}: {made.events} events of {made.clips} requests", as_json=as_json)


def _asked_for(
    clips: list[str], case: str, partner: str | None, month: datetime | None
) -> tuple[Filter, str]:
    if (partner is None) != (month is None) or bool(clips) == (partner is not None):
        raise BadInput("Give the ids of requests, or --partner together with --month.")
    if partner is not None and month is not None:
        until = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        return make_filter({"partner": [partner]}, since=month, until=until), f"{partner}, {month:%Y-%m}"
    if len(clips) > 1 and not case:
        raise BadInput("Several requests are a case: name it with --case.")
    return make_filter({"job": clips}), case or clips[0]


def verifier(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("verify.py"),
    as_json: Json = False,
) -> None:
    """Write the verifier for strangers: one Python file that needs nothing of ours (`python3 -I verify.py`)."""
    out.write_bytes(VERIFIER.read_bytes())
    answer({"out": str(out)}, f"{out}: run it with python3 -I {out} --help", as_json=as_json)
