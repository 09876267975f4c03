"""Run preemptive suites, by hand or by schedule, and look back at their runs."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from api.cli import local
from api.cli.show import Exit, Json, answer, told
from audits.preemptive.sound.clips import sounds
from audits.preemptive.sound.listening import listening_page
from audits.preemptive.suites import run as run_suite
from audits.preemptive.suites import settle
from core.clock import iso
from core.tables import AuditRun
from pipeline import audits


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(run)
    app.command()(due)
    app.command()(runs)
    app.command()(listening)


def run(
    suite: Annotated[str, typer.Argument(help="Name of the suite, such as log-tamper.")],
    quick: Annotated[bool, typer.Option("--quick", help="A small sample.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    data: Annotated[
        Path | None, typer.Option("--data", "--clips", help="Folder of clips or other data.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a preemptive suite, keep and log the result, and say what got worse; exit 1 when it falls short.

    A long suite (video-mark, audio-mark) that was cut short goes on where it stopped.
    """
    with told():
        tools = local.open_tools()
        folder = tools.settings.data_dir / "audits"
        result = run_suite(suite, quick=quick, seed=seed, data=data, keep=folder)
        done = audits.remember(tools, result, "operator")
        page = audits.write_report(done, folder)
        settle(result, folder)
    lines = [result.markdown(), *(f"[red]worse:[/red] {change.case}: {change.why}" for change in done.worse)]
    value = json.loads(result.json()) | {
        "run": done.run.id,
        "report": str(page),
        "worse": [{"case": change.case, "why": change.why} for change in done.worse],
    }
    answer(value, "\n".join([*lines, f"report: {page}"]), as_json=as_json)
    raise typer.Exit(Exit.GOOD if result.passed else Exit.REFUSED)


def listening(
    out: Annotated[Path, typer.Argument(help="The HTML page to write.")],
    data: Annotated[Path | None, typer.Option("--data", "--clips", help="Folder of sounds.")] = None,
    count: Annotated[int, typer.Option(help="How many sounds, at most.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the order.")] = 0,
    as_json: Json = False,
) -> None:
    """Write a page on which a person can try to hear the sound's mark, blind."""
    with told():
        key = local.open_tools().ring.marking()
        clips = islice(sounds(seed, data, seconds=10.0, count=count), count)
        out.write_text(listening_page(clips, key, np.random.default_rng(seed)))
    answer({"page": str(out)}, f"{out}: open it in a browser", as_json=as_json)


def due(as_json: Json = False) -> None:
    """Run every scheduled suite that is due; exit 1 when one falls short."""
    with told():
        tools = local.open_tools()
        done = audits.run_due(tools)
        for one in done:
            audits.write_report(one, tools.settings.data_dir / "audits")
    answer([_shown(one.run) for one in done], "\n".join(_line(one.run) for one in done), as_json=as_json)
    raise typer.Exit(Exit.GOOD if all(one.run.passed for one in done) else Exit.REFUSED)


def runs(
    suite: Annotated[str | None, typer.Argument(help="Name of the suite; empty: all.")] = None,
    as_json: Json = False,
) -> None:
    """List past runs, newest first; exit 1 while a required suite has not passed."""
    with told():
        tools = local.open_tools()
        with tools.store.reading() as session:
            found = audits.history(session, suite)
            missing = audits.lacking(session, tools)
    lines = [_line(one) for one in found]
    lines += [
        f"[red]required, and not passed by the present code, pack and models:[/red] {name}"
        for name in missing
    ]
    answer({"runs": [_shown(one) for one in found], "lacking": missing}, "\n".join(lines), as_json=as_json)
    raise typer.Exit(Exit.REFUSED if missing else Exit.GOOD)


def _shown(run: AuditRun) -> dict[str, object]:
    about = {"run": run.id, "suite": run.suite, "at": iso(run.at_ms), "quick": run.quick}
    return about | {"subject": run.subject, "passed": run.passed}


def _line(run: AuditRun) -> str:
    colour = "[green]passed[/green]" if run.passed else "[red]FAILED[/red]"
    return f"{iso(run.at_ms)}  {run.suite:<16} {'quick' if run.quick else 'full '}  {colour}  {run.id}"
