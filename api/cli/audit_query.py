"""Ask the audit log, and check the answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import typer

from api.audits import desk_of
from api.cli import local
from api.cli.audit_saved import kept_filter
from api.cli.show import Json, answer, told
from audits.answer import check_answer
from audits.filters import EVERYTHING, Filter, make_filter, render_cursor
from audits.grants import OPERATOR
from audits.index import catch_up
from audits.queries import Entry, Page
from core.errors import BadInput
from core.events import pseudonym
from pipeline.tools import Tools

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
    saved: Annotated[str, typer.Option(help="Ask a kept question instead; see `audit save`.")] = "",
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
        tools = local.open_tools()
        with tools.store.reading() as session:
            # In the log a person of the house stands by pseudonym; asked is by name or by pseudonym.
            fields["reviewer"] = [pseudonym(session, name) or name for name in reviewer or ()]
        wanted = make_filter(fields, since=since, until=until)
        if saved and wanted != EVERYTHING:
            raise BadInput("A kept question is asked as it was kept, without further filters.")
        wanted = kept_filter(tools, saved) if saved else wanted
        page = _asked(tools, wanted, cursor, limit)
        if prove:
            check_answer(tools.settings.data_dir / "log", tools.trust, page, wanted)
    answer(_told(page, wanted, proven=prove), _shown(page, proven=prove), as_json=as_json)


def _asked(tools: Tools, wanted: Filter, cursor: str, limit: int) -> Page:
    tools.integrate()
    while catch_up(tools.store):
        pass
    desk = desk_of(tools)
    page = desk.ask(OPERATOR, wanted, cursor=cursor, limit=limit)
    while page.after is not None and len(page.entries) < limit:
        following = render_cursor(page.after, wanted)
        more = desk.ask(OPERATOR, wanted, cursor=following, limit=limit - len(page.entries))
        page = replace(more, entries=page.entries + more.entries, start=page.start)
    return page


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
