"""Make media through the gate, and run the gate itself."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli import local
from api.cli.show import Exit, Json, answer, decision_lines, told
from core.errors import BadInput
from core.state import State
from core.tables import Job, Upload
from pipeline.audits import schedule
from pipeline.intake import Ask
from pipeline.supervise import AUDITOR, SEQUENCER, supervised
from pipeline.tools import Tools
from provenance.labels import Purpose

Prompt = Annotated[str, typer.Argument(help="What to make, in words.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Where to put the released file.")]
Engine = Annotated[str, typer.Option(help="Engine to use; empty means the configured one.")]
Seed = Annotated[int | None, typer.Option(help="Seed; the same seed makes the same clip.")]
Territory = Annotated[str, typer.Option(help="Where it will be shown, such as EU, DE, CN or US-NY.")]
Purposes = Annotated[Purpose, typer.Option(help="What for; New York asks.")]
Pictures = Annotated[
    list[Path] | None, typer.Option("--reference", help="Reference picture (PNG, JPEG, WebP).")
]
Recordings = Annotated[list[Path] | None, typer.Option("--voice", help="Reference recording.")]
People = Annotated[
    list[str] | None, typer.Option("--identity", help="Id of a protected person the prompt names.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(up)
    app.command()(demo)
    app.command()(generate)
    app.command()(soundtrack)
    app.command()(precheck)


def up() -> None:
    """Run API, console and workers on the embedded default."""
    import uvicorn

    from api.app import create_app

    with told():
        tools = local.open_tools()
        auditors = 1 if schedule(tools.settings.audit_schedule) else 0
    settings = tools.settings
    # uvicorn ends by raising the signal again; as an exit it unwinds, and the workers end with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.GOOD))
    with supervised(settings.workers), supervised(1, SEQUENCER), supervised(auditors, AUDITOR):
        uvicorn.run(create_app(tools), host=settings.host, port=settings.port, log_level="warning")


def demo(
    folder: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for what the demo leaves behind.")
    ] = Path("demo-out"),
) -> None:
    """Show one clip through every step, and the gate holding."""
    from api.cli.demo import run

    with told():
        run(folder)


def generate(
    prompt: Prompt,
    out: Out,
    seconds: Annotated[float, typer.Option(help="Length.")] = 8.0,
    width: Annotated[int, typer.Option(help="Pixels.")] = 704,
    height: Annotated[int, typer.Option(help="Pixels.")] = 480,
    fps: Annotated[int, typer.Option(help="Frames per second.")] = 24,
    sound: Annotated[bool, typer.Option(help="With sound.")] = True,
    picture: Annotated[bool, typer.Option(help="With a picture.")] = True,
    engine: Engine = "",
    seed: Seed = None,
    project: Annotated[str, typer.Option(help="Project, for consents bound to one.")] = "",
    territory: Territory = "",
    purpose: Purposes = "",
    as_draft: Annotated[bool, typer.Option("--draft", help="Leave out the labels that may wait.")] = False,
    identity: People = None,
    reference: Pictures = None,
    voice: Recordings = None,
    as_json: Json = False,
) -> None:
    """Make a clip; exit 1 when it is refused or held."""
    with told():
        tools = local.open_tools()
        uploads = _taken(tools, reference, voice)
        wanted = Ask(
            prompt=prompt,
            seconds=seconds,
            width=width,
            height=height,
            fps=fps,
            picture=picture,
            sound=sound,
            engine=engine,
            seed=seed,
            project=project,
            territory=territory,
            purpose=purpose,
            draft=as_draft,
            identities=tuple(identity or ()),
            references=tuple(row.id for row in uploads),
        )
        _made(tools, local.ask(tools, wanted), out, as_json=as_json)


def soundtrack(
    video: Annotated[Path, typer.Argument(help="The video that is to get sound.")],
    prompt: Prompt,
    out: Out,
    engine: Engine = "",
    seed: Seed = None,
    territory: Territory = "",
    purpose: Purposes = "",
    as_json: Json = False,
) -> None:
    """Make music and effects for an existing video; its manifest becomes an ingredient."""
    with told():
        tools = local.open_tools()
        (source,) = local.take_in(tools, "video", [video])
        wanted = Ask(
            prompt=prompt,
            engine=engine,
            seed=seed,
            source=source.id,
            territory=territory,
            purpose=purpose,
            **measures_of(source.about),
        )
        _made(tools, local.ask(tools, wanted), out, as_json=as_json)


def _taken(tools: Tools, pictures: Sequence[Path] | None, voices: Sequence[Path] | None) -> list[Upload]:
    return local.take_in(tools, "picture", pictures or []) + local.take_in(tools, "voice", voices or [])


def measures_of(about: dict[str, Any]) -> dict[str, Any]:
    """Take length and size of the output from the source video."""
    return {"seconds": about["seconds"], "width": about["width"], "height": about["height"]}


def precheck(
    prompt: Annotated[str | None, typer.Argument(help="The prompt to judge.")] = None,
    jsonl: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Judge lines {id, prompt, modality}: IN OUT.")
    ] = None,
    reference: Pictures = None,
    voice: Recordings = None,
    as_json: Json = False,
) -> None:
    """Decide on a prompt and references exactly as the pipeline would, without generating; exit 1 unless allowed."""
    from api.cli.precheck import judge_lines, judge_one

    with told():
        if (prompt is None) == (jsonl is None) or (jsonl is not None and (reference or voice)):
            raise BadInput("Give a prompt, with references or without, or --jsonl IN OUT.")
        tools = local.open_tools()
        if jsonl is not None:
            count = judge_lines(tools, local.LOCAL_PARTNER, *jsonl)
            answer({"lines": count, "file": str(jsonl[1])}, f"{count} lines → {jsonl[1]}", as_json=as_json)
            return
        uploads = _taken(tools, reference, voice)
        try:
            decision = judge_one(tools, local.LOCAL_PARTNER, str(prompt), tuple(row.id for row in uploads))
        finally:
            local.give_up(tools, uploads)
    answer(decision, decision_lines(decision), as_json=as_json)
    raise typer.Exit(Exit.GOOD if decision["decision"] == "allow" else Exit.REFUSED)


def _made(tools: Tools, job: Job, out: Path, *, as_json: bool) -> None:
    job = local.see_through(tools, job.id, "request")
    account = local.account(tools, job)
    released = job.state == State.RELEASED
    if released:
        local.fetch(tools, job, out)
    lines = [f"[bold]{job.id}[/bold]: {job.state}" + (f" → {out}" if released else "")]
    lines += [decision_lines(decision) for decision in account["explanation"]["decisions"]]
    if job.problem and not released:
        lines.append(f"[red]{job.problem}[/red]")
    if job.state == State.HELD:
        lines.append(f"A reviewer can decide: greenlight review show {job.id}")
    answer(
        account | {"state": job.state, "file": str(out) if released else None},
        "\n".join(lines),
        as_json=as_json,
    )
    raise typer.Exit(Exit.GOOD if released else Exit.BROKEN if job.state == State.FAILED else Exit.REFUSED)
