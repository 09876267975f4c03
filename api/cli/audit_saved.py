"""Questions to the audit log that are kept, and answers that are taken away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from api.audits import desk_of
from api.cli import local
from api.cli.show import Json, answer, told
from audits.exports import csv_lines, json_lines
from audits.filters import Filter, make_filter
from audits.grants import OPERATOR
from audits.index import catch_up
from audits.ocsf import ocsf_lines
from audits.queries import Entry
from audits.saved import kept, one_kept, question, save
from core.errors import BadInput
from pipeline.tools import Tools

Where = Annotated[
    list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Such as partner=ID or tag=clip:held; repeat.")
]
Form = Literal["jsonl", "csv", "ocsf"]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `greenlight audit`."""
    app.command()(export)
    app.command("save")(save_query)
    app.command()(saved)


def export(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")],
    where: Where = None,
    saved: Annotated[str, typer.Option(help="Name of a kept question instead.")] = "",
    form: Annotated[Form, typer.Option(help="Exact leaves, a table, or OCSF events.")] = "jsonl",
    as_json: Json = False,
) -> None:
    """Write every entry that matches to a file, whole or not at all."""
    with told():
        tools = local.open_tools()
        wanted = _wanted(tools, where, saved)
        tools.integrate()
        while catch_up(tools.store):
            pass
        head, entries = desk_of(tools).export(OPERATOR, wanted, form)
        count = _written(out, entries, _writer(form, tools))
    text = f"{out}: {count} of the log entries 0 to {head.size}"
    answer({"out": str(out), "count": count, "start": 0, "end": head.size}, text, as_json=as_json)


def save_query(
    name: Annotated[str, typer.Argument(help="What to call it.")], where: Where = None, as_json: Json = False
) -> None:
    """Keep a question under a name; `audit query --saved NAME` asks it."""
    with told():
        tools = local.open_tools()
        with tools.store.session() as session:
            row = save(session, OPERATOR.actor, name, fields_of(where), tools.clock)
            session.commit()
    answer({"id": row.id, "name": row.name, "filter": row.filter}, f"{row.id}  {row.name}", as_json=as_json)


def saved(as_json: Json = False) -> None:
    """List the questions that the operator keeps."""
    with told():
        tools = local.open_tools()
        with tools.store.reading() as session:
            rows = [{"id": r.id, "name": r.name, "filter": r.filter} for r in kept(session, OPERATOR.actor)]
    text = "\n".join(f"{row['id']}  {row['name']}  {row['filter']}" for row in rows)
    answer(rows, text or "Nothing is kept.", as_json=as_json)


def kept_filter(tools: Tools, name: str) -> Filter:
    """Read the filter that the operator keeps under a name."""
    with tools.store.reading() as session:
        return question(one_kept(session, OPERATOR.actor, name))


def fields_of(where: Iterable[str] | None) -> Filter:
    """Read `FIELD=VALUE` pairs; a field that comes again has one value more."""
    fields: dict[str, list[str]] = {}
    for pair in where or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadInput(f"Write FIELD=VALUE, not {pair!r}.")
        fields.setdefault(name, []).append(value)
    return make_filter(fields)


def _wanted(tools: Tools, where: list[str] | None, name: str) -> Filter:
    if where and name:
        raise BadInput("Give --where or --saved, not both.")
    return kept_filter(tools, name) if name else fields_of(where)


def _writer(form: Form, tools: Tools) -> Callable[[Iterable[Entry]], Iterator[str]]:
    plain = {"jsonl": json_lines, "csv": csv_lines}
    return plain.get(form, lambda entries: ocsf_lines(entries, tools.version))


def _written(out: Path, entries: Iterator[Entry], write: Callable[[Iterable[Entry]], Iterator[str]]) -> int:
    count = 0

    def counted() -> Iterator[Entry]:
        nonlocal count
        for entry in entries:
            count += 1
            yield entry

    scratch = out.with_name(f".{out.name}.part")
    try:
        with scratch.open("w", encoding="utf-8", newline="") as file:
            file.writelines(write(counted()))
        scratch.replace(out)
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
    return count
