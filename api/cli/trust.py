"""Which log a command reads, and whom it believes about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli import local
from audits.log.format import MAX_NOTE, Verifier, parse_verifier_key
from audits.log.trust import parse_policy
from core.errors import BadInput, LogCorrupt

Log = Annotated[
    Path | None, typer.Option("--log", help="Folder of the public log files; empty: this installation's.")
]
Vkey = Annotated[str | None, typer.Option(help="Verifier key of the log; empty: this installation's.")]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="Trust policy (C2SP tlog-policy), instead of --vkey.")
]


def trusted(
    log: Path | None, vkey: str | None, policy: Path | None, *, fresh: bool = False
) -> tuple[Path, Verifier]:
    """Give the folder of a log and whom to believe about it; `fresh` brings this installation's up to date."""
    if (vkey is not None) + (policy is not None) != (log is not None):
        raise BadInput("Give --log together with --vkey or --policy.")
    if log is None:
        tools = local.open_tools()
        if fresh:
            tools.integrate()
        return tools.settings.data_dir / "log", tools.trust
    try:
        return log, parse_verifier_key(str(vkey)) if policy is None else parse_policy(text_of(policy))
    except LogCorrupt as error:
        raise BadInput(f"The log cannot be checked against this: {error.message}.") from error


def text_of(path: Path) -> str:
    """Read a note or a policy; LogCorrupt when it is no text or longer than any note."""
    with local.existing(path).open("rb") as file:
        data = file.read(MAX_NOTE + 1)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise LogCorrupt("it is not text") from error
    if len(data) > MAX_NOTE:
        raise LogCorrupt("it is too long")
    return text
