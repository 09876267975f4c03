"""Ask the audit log, and check the answers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from api.cli import local
from api.cli.show import Json, answer, told
from audits.answer import check_answer
from audits.filters import Filter, make_filter, parse_cursor, render_cursor
from audits.index import catch_up
from audits.log.writer import log_key
from audits.queries import Entry, Page, gathered
from core.events import Event, Tag, record
from pipeline.tools import Tools

OPERATOR = "operator"
Since = Annotated[datetime | None, typer.Option(help="From this time (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Before this time (UTC).")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `greenlight audit`."""
    app.command()(query)


def query(
    partner: Annotated[list[str] | None, typer.Option(help="Partner id.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Such as clip:released.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="The state that the event brought about.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Rule id.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Such as hate or likeness.")] = None,
    identity: Annotated[list[str] | None, typer.Option(help="Identity id.")] = None,
    reviewer: Annotated[list[str] | None, typer.Option(help="Who decided.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="SHA-256 of a model.")] = None,
    policy: Annotated[list[str] | None, typer.Option(help="SHA-256 of a policy pack.")] = None,
    clip: Annotated[list[str] | None, typer.Option(help="Request id.")] = None,
    actor: Annotated[list[str] | None, typer.Option(help="Such as worker:NAME.")] = None,
    territory: Annotated[list[str] | None, typer.Option(help="Where the request was for.")] = None,
    since: Since = None,
    until: Until = None,
    cursor: Annotated[str, typer.Option(help="Where an earlier answer says that it goes on.")] = "",
    limit: Annotated[int, typer.Option(help="Entries to show.")] = 100,
    prove: Annotated[
        bool, typer.Option("--prove", help="Derive the answer again from the public log.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find events in the log; options may be repeated; the query itself becomes an event."""
    fields = {"partner": partner, "tag": tag, "state": state, "rule": rule, "category": category}
    fields |= {"identity": identity, "reviewer": reviewer, "model": model, "policy": policy}
    fields |= {"job": clip, "actor": actor, "territory": territory}
    with told():
        wanted = make_filter(fields, since=since, until=until)
        after = parse_cursor(cursor, wanted) if cursor else 0
        tools = local.open_tools()
        page = _asked(tools, wanted, after, limit)
        if prove:
            _proven(tools, page, wanted)
    answer(_told(page, wanted, proven=prove), _shown(page, proven=prove), as_json=as_json)


def _asked(tools: Tools, wanted: Filter, after: int, limit: int) -> Page:
    tools.integrate()
    catch_up(tools.store)
    with tools.store.session() as session:
        page = gathered(session, wanted, after=after, limit=limit)
        facts = {"query": wanted.sha256, "start": page.start, "end": page.end, "count": len(page.entries)}
        event = Event(tag=Tag.AUDIT_QUERIED, actor=OPERATOR, facts=facts, private={"query": wanted.json()})
        record(session, event, tools.clock, tools.vault)
        # Nothing is shown before this line: a log that cannot remember the question gives no answer.
        session.commit()
    return page


def _proven(tools: Tools, page: Page, wanted: Filter) -> None:
    data = tools.settings.data_dir
    vkey = log_key(data / "keys" / "log", tools.settings.log_origin).vkey
    check_answer(data / "log", vkey, page, wanted)


def _told(page: Page, wanted: Filter, *, proven: bool) -> dict[str, Any]:
    return {
        "entries": [{"index": entry.index, "leaf": json.loads(entry.leaf)} for entry in page.entries],
        "start": page.start,
        "end": page.end,
        "next": None if page.after is None else render_cursor(page.after, wanted),
        "checkpoint": page.note,
        "query": wanted.json(),
        "proven": proven,
    }


def _shown(page: Page, *, proven: bool) -> str:
    lines = [_line(entry) for entry in page.entries]
    lines.append(f"{len(page.entries)} of the log entries {page.start} to {page.end} match")
    if proven:
        lines.append("[green]the public log gives the same answer: nothing was left out[/green]")
    return "\n".join(lines)


def _line(entry: Entry) -> str:
    about = entry.job or entry.identity or ""
    return f"{entry.index:>7}  {entry.at}  {entry.tag:<18}  {about}  {entry.rule or ''}"
