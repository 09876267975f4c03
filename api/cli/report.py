"""Transparency reports from the command line."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.cli import local
from api.cli.show import Json, answer, told
from audits.log.format import Verifier, parse_verifier_key
from audits.log.writer import log_key
from core.clock import milliseconds
from core.errors import BadInput


def report(
    since: Annotated[datetime, typer.Option(help="From this time (UTC).")],
    until: Annotated[datetime, typer.Option(help="Before this time (UTC).")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="HTML page to write.")] = None,
    partner: Annotated[str | None, typer.Option(help="Count this partner only.")] = None,
    log: Annotated[
        Path | None, typer.Option(help="Folder of the public log files; empty: this installation's.")
    ] = None,
    vkey: Annotated[str | None, typer.Option(help="Verifier key of that log.")] = None,
    as_json: Json = False,
) -> None:
    """Write the transparency report of a period, counted from the log's public bytes alone."""
    from audits.report import page, public_leaves
    from audits.report import report as counted

    with told():
        leaves = public_leaves(*_log(log, vkey))
        head = leaves.head
        made = counted(
            leaves,
            origin=head.origin,
            size=head.size,
            root=head.root,
            since_ms=milliseconds(since.replace(tzinfo=UTC)),
            until_ms=milliseconds(until.replace(tzinfo=UTC)),
            partner=partner,
        )
    value = asdict(made)
    if out is not None:
        out.write_text(page(made), encoding="utf-8")
    lines = [f"{count:>8}  {tag}" for tag, count in made.events.items()]
    lines.append(f"counted from {made.size} entries" + (f"; {out}" if out else ""))
    answer(value, "\n".join(lines), as_json=as_json)


def _log(folder: Path | None, vkey: str | None) -> tuple[Path, Verifier]:
    if (folder is None) != (vkey is None):
        raise BadInput("Give --log and --vkey together.")
    if folder is not None and vkey is not None:
        return folder, parse_verifier_key(vkey)
    tools = local.open_tools()
    tools.integrate()
    settings = tools.settings
    return settings.data_dir / "log", log_key(settings.data_dir / "keys" / "log", settings.log_origin).policy
