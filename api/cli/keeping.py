"""What the log keeps in private, and what goes: reading it, erasure on demand, deadlines, legal holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from sqlmodel import select

from api.cli import local
from api.cli.show import Json, answer, told
from audits import holds
from audits.erasure import erase_request, finish
from audits.payload import open_payload
from audits.retention import due, enforce
from core.clock import iso
from core.errors import BadInput, NotFound
from core.events import Event, Tag, record
from core.tables import Pseudonym
from pipeline import reprint as prints

OPERATOR = "operator"


def add_to(app: typer.Typer) -> None:
    """Add the commands to `greenlight audit`."""
    app.command("open")(open_entry)
    app.command()(erase)
    app.command()(who)
    app.command()(retention)
    app.command()(reprint)
    app.command()(hold)
    app.command()(unhold)


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


def who(
    pseudonym: Annotated[str, typer.Argument(help="As it stands in the log, such as staff_….")],
    as_json: Json = False,
) -> None:
    """Tell which person of the house a pseudonym in the log stands for; the look becomes an event."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            person = session.exec(select(Pseudonym).where(Pseudonym.id == pseudonym)).one_or_none()
            if person is None:
                raise NotFound("This stands for nobody, or for somebody who is no longer known.")
            record(session, Event(tag=Tag.AUDIT_QUERIED, actor=OPERATOR), tools.clock)
            session.commit()
    answer({"pseudonym": pseudonym, "name": person.name}, person.name, as_json=as_json)


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is due, delete nothing.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Delete what is due.")] = False,
    as_json: Json = False,
) -> None:
    """Show or delete what has passed its deadline; workers do it every hour."""
    with told():
        if dry_run == now:
            raise BadInput("Say --dry-run or --now.")
        tools = local.open_tools()
        found = enforce(tools, tools.settings) if now else due(tools, tools.settings)
    rows = [{"class": one.kind, "count": one.count, "before": iso(one.before_ms)} for one in found]
    verb = "deleted" if now else "due"
    lines = [f"{row['class']:<12}  {row['count']:>7} {verb}, of before {row['before']}" for row in rows]
    answer({"deleted": now, "classes": rows}, "\n".join(lines) or "Nothing is due.", as_json=as_json)


def reprint(as_json: Json = False) -> None:
    """Take the fingerprints of clips that were released before clips had any."""
    with told():
        done = [asdict(one) for one in prints.reprint(local.open_tools())]
    lines = [f"{one['job']}  {one['problem'] or ', '.join(one['algs'])}" for one in done]
    answer({"clips": done}, "\n".join(lines) or "Every released clip has its fingerprints.", as_json=as_json)


def hold(
    name: Annotated[str, typer.Argument(help="Name of the hold, such as case-17.")],
    subject: Annotated[str, typer.Argument(help="Id of a request, a partner or a person.")],
    as_json: Json = False,
) -> None:
    """Keep what concerns a request, a partner or a person, whatever the deadlines say."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            holds.place(session, name, subject, actor=OPERATOR, clock=tools.clock)
            session.commit()
    answer({"hold": name, "subject": subject}, f"{subject} is kept by {name}.", as_json=as_json)


def unhold(
    name: Annotated[str, typer.Argument(help="Name of the hold.")],
    as_json: Json = False,
) -> None:
    """Lift a hold; the deadlines apply again at once."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            kept = holds.lift(session, name, actor=OPERATOR, clock=tools.clock)
            session.commit()
    answer({"hold": name, "subjects": kept}, f"{name} is lifted: {', '.join(kept)}", as_json=as_json)
