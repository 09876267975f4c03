"""Check policy packs before they decide anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlmodel import col, select

from api.cli import local
from api.cli.show import Exit, Json, answer, told
from core.decision import Decision, from_json
from core.tables import Ruling
from pipeline.tools import Tools
from policies.engine import Pack, default_pack, load
from policies.lint import lint as objections
from policies.lint import run_tests

app = typer.Typer(no_args_is_help=True, help="Policy packs.")
PackFile = Annotated[Path | None, typer.Argument(help="The pack; empty: the default pack.")]


@app.command()
def lint(pack: PackFile = None, as_json: Json = False) -> None:
    """Say what a reviewer of the pack would object to; exit 1 when anything."""
    with told():
        found = objections(load(pack or default_pack()))
    answer({"objections": found}, "\n".join(found) or "No objections.", as_json=as_json)
    raise typer.Exit(Exit.REFUSED if found else Exit.GOOD)


@app.command("test")
def run_cases(pack: PackFile = None, as_json: Json = False) -> None:
    """Run the pack's own tests; exit 1 when any fails."""
    with told():
        loaded = load(pack or default_pack())
        failed = run_tests(loaded)
    text = "\n".join(failed) or f"{len(loaded.tests)} tests passed."
    answer({"tests": len(loaded.tests), "failures": failed}, text, as_json=as_json)
    raise typer.Exit(Exit.REFUSED if failed else Exit.GOOD)


@app.command()
def backtest(pack: PackFile = None, as_json: Json = False) -> None:
    """Decide every stored case again from its facts; say how many decisions would change."""
    changes, count = _compared(pack)
    value = {"decisions": count, "changed": len(changes)}
    answer(value, f"{count} decisions, {len(changes)} would change.", as_json=as_json)


@app.command()
def diff(pack: PackFile = None, as_json: Json = False) -> None:
    """Show which stored decisions a pack would change, and by which rules."""
    changes, _ = _compared(pack)
    lines = [
        f"{row['job']} {row['stage']}: {row['was']} → {row['now']} ({', '.join(row['rules']) or 'no rule'})"
        for row in changes
    ]
    answer(changes, "\n".join(lines) or "Nothing would change.", as_json=as_json)


def _compared(pack: Path | None) -> tuple[list[dict[str, Any]], int]:
    with told():
        loaded = load(pack or default_pack())
        pairs = list(_decided_again(local.open_tools(), loaded))
    changes = [
        {
            "job": job,
            "stage": was.stage,
            "was": was.outcome,
            "now": now.outcome,
            "rules": [hit.id for hit in now.rules],
        }
        for job, was, now in pairs
        if was.outcome != now.outcome
    ]
    return changes, len(pairs)


def _decided_again(tools: Tools, pack: Pack) -> Iterator[tuple[str, Decision, Decision]]:
    with tools.store.reading() as session:
        for ruling in session.exec(select(Ruling).order_by(col(Ruling.id))):
            was = from_json(ruling.decision)
            # What was decided because the gate was broken, or was erased since, has no facts to decide again from.
            if not {"fault", "erased"} & was.facts.keys():
                yield ruling.job, was, pack.decide(was.stage, was.facts)
