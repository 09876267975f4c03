"""What the log keeps in private, and what goes: reading it, erasure on demand."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from api.cli import local
from api.cli.show import Json, answer, told
from audits.payload import open_payload
from pipeline.erasure import erase_request, finish

OPERATOR = "operator"


def add_to(app: typer.Typer) -> None:
    """Add the commands to `greenlight audit`."""
    app.command("open")(open_entry)
    app.command()(erase)


def open_entry(
    index: Annotated[int, typer.Argument(help="Log index of the entry.")], as_json: Json = False
) -> None:
    """Read the private part of one entry, checked against the commitment in it; the look becomes an event."""
    with told():
        tools = local.open_tools()
        tools.integrate()
        with tools.store.session() as session:
            leaf, private = open_payload(session, tools.vault, index, actor=OPERATOR, clock=tools.clock)
            # Nothing is shown before this line: a log that cannot remember the look allows none.
            session.commit()
    value = {"index": index, "tag": leaf.tag, "commit": leaf.commit, "private": private}
    lines = [f"{leaf.tag}, as committed to in the log", *(f"  {name}: {private[name]}" for name in private)]
    answer(value, escape("\n".join(lines)), as_json=as_json)


def erase(
    clip: Annotated[str, typer.Argument(help="Request id.")],
    as_json: Json = False,
) -> None:
    """Forget the words, references and working files of a request that has ended; its entries stay proven."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            erase_request(session, clip, actor=OPERATOR, why="demand", clock=tools.clock)
            session.commit()
        finish(tools)
    answer({"id": clip, "erased": True}, f"{clip} is erased.", as_json=as_json)
