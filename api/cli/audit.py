"""The commands of the audit log, put together."""

from __future__ import annotations

import json

import typer
from rich.markup import escape

from api.cli import evidence, suites
from api.cli.report import report
from api.cli.show import Json, answer
from core.schema import described

app = typer.Typer(no_args_is_help=True, help="The audit log.")
evidence.add_to(app)
suites.add_to(app)
app.command()(report)


@app.command()
def schema(as_json: Json = False) -> None:
    """Show what the leaves of the log may hold: every tag, with its facts and their types."""
    whole = described()
    rows = []
    for tag, about in whole["tags"].items():
        rows += [f"[bold]{tag}[/bold]  {about['about']}"]
        rows += [f"    {name}: {escape(json.dumps(shape))}" for name, shape in about["facts"].items()]
    answer(whole, "\n".join(rows), as_json=as_json)
