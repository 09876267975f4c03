"""Transparency reports from the command line."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.cli.show import Json, answer, told
from api.cli.trust import Log, PolicyFile, Vkey, trusted
from core.clock import milliseconds


def report(
    since: Annotated[datetime, typer.Option(help="From this time (UTC).")],
    until: Annotated[datetime, typer.Option(help="Before this time (UTC).")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="HTML page to write.")] = None,
    partner: Annotated[str | None, typer.Option(help="Count this partner only.")] = None,
    log: Log = None,
    vkey: Vkey = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Write the transparency report of a period, counted from the log's public bytes alone."""
    from audits.report import page, public_leaves
    from audits.report import report as counted

    with told():
        leaves = public_leaves(*trusted(log, vkey, policy, fresh=True))
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
