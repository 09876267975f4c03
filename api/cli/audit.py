"""Query the audit log, prove and check it, bundle evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from api.cli import local, suites
from api.cli.report import report
from api.cli.show import Exit, Json, answer, told
from audits.bundle import write_bundle
from audits.log.check import check as check_log
from audits.log.format import parse_verifier_key
from audits.log.proof import SUFFIX, prove
from audits.log.writer import log_key
from core.errors import BadInput
from core.schema import described
from pipeline.tools import Tools

app = typer.Typer(no_args_is_help=True, help="The audit log.")
suites.add_to(app)
app.command()(report)
Folder = Annotated[
    Path | None, typer.Option("--log", help="Folder of the public log files; empty: this installation's.")
]


@app.command()
def proof(
    index: Annotated[int, typer.Argument(help="Log index of the entry.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help=f"File to write; usually *{SUFFIX}.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the inclusion proof of one entry (C2SP tlog-proof)."""
    with told():
        tools = local.open_tools()
        tools.integrate()
        text = prove(_folder(tools), _key(tools).vkey, index).render()
    if out is not None:
        out.write_text(text)
    if as_json:
        answer({"index": index, "proof": text, "out": out}, "", as_json=True)
    elif out is None:
        typer.echo(text, nl=False)


@app.command()
def check(
    log: Folder = None,
    vkey: Annotated[
        str | None, typer.Option(help="Verifier key of the log; empty: this installation's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Re-derive the whole log from its public bytes; exit 1 and say which entry when something was changed."""
    with told():
        if (log is None) != (vkey is None):
            raise BadInput("Give --log and --vkey together.")
        if log is None or vkey is None:
            tools = local.open_tools()
            folder, key = _folder(tools), _key(tools).vkey
        else:
            folder, key = log, parse_verifier_key(vkey)
        report = check_log(folder, key)
    value = {"ok": report.ok, "size": report.size, "entries": report.entries, "problems": report.problems}
    lines = [f"[red]{problem}[/red]" for problem in report.problems]
    lines.append(
        f"[green]{report.size} entries, all in order[/green]"
        if report.ok
        else "[bold red]the log was changed[/]"
    )
    answer(value, "\n".join(lines), as_json=as_json)
    raise typer.Exit(Exit.GOOD if report.ok else Exit.REFUSED)


@app.command()
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
            count = write_bundle(session, _folder(tools), _key(tools).vkey, clip, out, papers=papers)
    answer({"out": str(out), "events": count}, f"{out}: {count} events", as_json=as_json)


@app.command()
def schema(as_json: Json = False) -> None:
    """Show what the leaves of the log may hold: every tag, with its facts and their types."""
    whole = described()
    rows = []
    for tag, about in whole["tags"].items():
        rows += [f"[bold]{tag}[/bold]  {about['about']}"]
        rows += [f"    {name}: {escape(json.dumps(shape))}" for name, shape in about["facts"].items()]
    answer(whole, "\n".join(rows), as_json=as_json)


def _folder(tools: Tools) -> Path:
    return tools.settings.data_dir / "log"


def _key(tools: Tools) -> Any:
    return log_key(tools.settings.data_dir / "keys" / "log", tools.settings.log_origin)
