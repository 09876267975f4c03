"""Check policy packs before they decide anything, and what they would change."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlmodel import col, select

from api.cli import local
from api.cli.show import Exit, Json, answer, told
from core.decision import Decision, RuleHit
from core.errors import BadInput
from core.tables import Ruling
from pipeline.tools import Tools
from policies.backtest import Again, Totals, decided_again
from policies.engine import Pack, default_pack, load
from policies.lint import lint as objections
from policies.lint import run_tests
from policies.overlay import laid, read_kind, read_overlay

app = typer.Typer(no_args_is_help=True, help="Policy packs.")
PackFile = Annotated[
    Path | None, typer.Argument(help="The pack, or an overlay on the default pack; empty: the default pack.")
]
Stored = Annotated[
    Path | None, typer.Option("--from", help="Decisions as JSON lines; empty: those of this installation.")
]
_BATCH = 500
_SHOWN = 3


@app.command()
def lint(pack: PackFile = None, as_json: Json = False) -> None:
    """Say what a reviewer of the pack would object to; exit 1 when anything."""
    with told():
        found = objections(_opened(pack)) if pack is None or _is_pack(pack) else []
    answer({"objections": found}, "\n".join(found) or "No objections.", as_json=as_json)
    raise typer.Exit(Exit.REFUSED if found else Exit.GOOD)


@app.command("test")
def run_cases(pack: PackFile = None, as_json: Json = False) -> None:
    """Run the pack's own tests; exit 1 when any fails."""
    with told():
        loaded = _opened(pack)
        failed = run_tests(loaded)
    text = "\n".join(failed) or f"{len(loaded.tests)} tests passed."
    answer({"tests": len(loaded.tests), "failures": failed}, text, as_json=as_json)
    raise typer.Exit(Exit.REFUSED if failed else Exit.GOOD)


@app.command()
def backtest(
    pack: PackFile = None,
    stored: Stored = None,
    own: Annotated[bool, typer.Option("--own", help="Each under the pack that made it.")] = False,
    as_json: Json = False,
) -> None:
    """Decide every stored case again from its facts; exit 1 where the same pack does not decide the same."""
    start, totals = time.process_time(), Totals()
    with told():
        if own and (pack is not None or stored is not None):
            raise BadInput("--own takes the packs of this installation, and no other.")
        for again in _under_their_own() if own else _compared(pack, stored, None):
            totals.count(again)
    value = totals.json() | {"cpu_seconds": round(time.process_time() - start, 3)}
    lines = [f"{totals.decisions} decisions, {totals.changed} would change."]
    lines += [f"  {change}: {count}" for change, count in totals.outcomes.most_common()]
    lines += [
        f"  {rule}: fires {counts['more']} times more, {counts['fewer']} times fewer"
        for rule, counts in value["rules"].items()
    ]
    if totals.same_pack:
        lines.append(
            f"{totals.same_pack} were made by this very pack, {totals.not_identical} of them differ."
        )
    answer(value, "\n".join(lines), as_json=as_json)
    raise typer.Exit(Exit.REFUSED if totals.not_identical else Exit.GOOD)


@app.command()
def diff(
    pack: PackFile = None,
    against: Annotated[
        Path | None, typer.Option(help="Another pack, to compare with instead of what was decided.")
    ] = None,
    stored: Stored = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 1000,
    as_json: Json = False,
) -> None:
    """Show which stored decisions a pack would change, and by which rules and facts."""
    with told():
        changing = (one for one in _compared(pack, stored, against) if one.was.outcome != one.now.outcome)
        changes = [_change(one) for one in islice(changing, limit)]
    lines = [line for row in changes for line in _change_lines(row)]
    answer(changes, "\n".join(lines) or "Nothing would change.", as_json=as_json)


def _is_pack(path: Path) -> bool:
    try:
        return read_kind(path.read_bytes()) == "pack"
    except OSError:
        return True  # `load` says what is wrong with it


def _opened(path: Path | None) -> Pack:
    """Load a pack, or lay an overlay or an election over the default pack."""
    if path is None or _is_pack(path):
        return load(path or default_pack())
    return laid(load(default_pack()), [read_overlay(path.read_bytes())])


def _compared(pack: Path | None, stored: Path | None, against: Path | None) -> Iterator[Again]:
    loaded = _opened(pack)
    other = None if against is None else _opened(against)
    records = _rulings(local.open_tools()) if stored is None else _lines(stored)
    yield from decided_again(records, loaded, other)


def _under_their_own() -> Iterator[Again]:
    tools = local.open_tools()
    with tools.store.reading() as session:
        packs = partial(tools.book.that_decided, session, installed=tools.pack)
        yield from decided_again(_rulings(tools), packs)


def _rulings(tools: Tools) -> Iterator[tuple[str, Mapping[str, Any]]]:
    wanted = select(Ruling.job, Ruling.decision).order_by(col(Ruling.id))
    with tools.store.reading() as session:
        yield from session.exec(wanted.execution_options(yield_per=_BATCH))


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with local.existing(path).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"line {number}", _decision_of(line, number)


def _decision_of(line: str, number: int) -> Mapping[str, Any]:
    try:
        body = json.loads(line)
        fits = isinstance(body, dict) and {"stage", "outcome", "rules", "facts"} <= body.keys()
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise BadInput(f"Line {number} is no stored decision.")
    found: Mapping[str, Any] = body
    return found


def _change(one: Again) -> dict[str, Any]:
    return {
        "job": one.job,
        "stage": one.was.stage,
        "was": one.was.outcome,
        "now": one.now.outcome,
        "rules": [hit.id for hit in one.now.rules],
        "came": [_why(hit) for hit in one.came],
        "went": [_why(hit) for hit in one.went],
        "same": [hit.id for hit in _both(one.was, one.now)],
    }


def _both(was: Decision, now: Decision) -> list[RuleHit]:
    before = {hit.id for hit in was.rules}
    return [hit for hit in now.rules if hit.id in before]


def _why(hit: RuleHit) -> dict[str, Any]:
    return {"rule": hit.id, "outcome": hit.outcome, "facts": list(hit.evidence[:_SHOWN])}


def _change_lines(row: dict[str, Any]) -> list[str]:
    lines = [f"{row['job']} {row['stage']}: {row['was']} → {row['now']}"]
    for how, sign in (("came", "+"), ("went", "-")):
        for hit in row[how]:
            facts = json.dumps(hit["facts"], ensure_ascii=False).replace("[", "\\[")
            lines.append(f"  {sign} {hit['rule']} ({hit['outcome']}) {facts}")
    if not row["came"] and not row["went"]:
        lines.append(f"  other outcomes of {', '.join(row['same'])}")
    return lines
