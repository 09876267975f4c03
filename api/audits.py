"""The audit log for auditors and regulators: questions, proofs, exports. Read only, and each reading is logged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from api.audit_bodies import (
    AnswerOut,
    EntryOut,
    EventsIn,
    ExportIn,
    GrantOut,
    PageIn,
    PrivateOut,
    SavedIn,
    SavedOut,
    answer_out,
    entry_out,
    grant_out,
    saved_out,
)
from api.auth import GateTools
from api.problems import ANSWERS
from api.readers import Asking
from api.schemas import IdInPath
from audits import saved
from audits.asking import Desk
from audits.exports import csv_lines, json_lines
from audits.filters import Filter
from audits.grants import Asker, found
from audits.ocsf import ocsf_lines
from audits.payload import open_payload
from audits.queries import Entry
from core.errors import BadInput
from pipeline.tools import Tools

router = APIRouter(prefix="/v1/audit", responses=ANSWERS, tags=["audit"])
MAX_PROOFS = 100
Index = Annotated[int, Path(ge=0, lt=2**53)]
_TEXT = {"schema": {"type": "string"}}


@router.get("/grant")
def get_grant(tools: GateTools, who: Asking) -> GrantOut:
    """Say what this token may read, and until when."""
    with tools.store.reading() as session:
        return grant_out(found(session, who.grant or ""))


@router.get("/events")
def list_events(tools: GateTools, who: Asking, wanted: Annotated[EventsIn, Query()]) -> AnswerOut:
    """Find entries of the log."""
    return _answered(tools, who, wanted.filter(), wanted)


@router.get("/events/{index}")
def get_event(tools: GateTools, who: Asking, index: Index) -> EntryOut:
    """Give one entry with the proof that it is in the log."""
    desk = desk_of(tools)
    entry = desk.entry(who, index)
    return entry_out(entry, desk.proofs([entry])[0])


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": _TEXT, "text/csv": _TEXT}}},
)
def get_export(tools: GateTools, who: Asking, wanted: Annotated[ExportIn, Query()]) -> StreamingResponse:
    """Stream every entry that matches: the exact leaves, a table for spreadsheets, or OCSF events."""
    return exported(tools, who, wanted.filter(), wanted.form)


@router.post("/queries", status_code=201)
def post_query(tools: GateTools, who: Asking, wanted: SavedIn) -> SavedOut:
    """Keep a question under a name."""
    with tools.store.session() as session:
        row = saved.save(session, who.actor, wanted.name, wanted.filter.filter(), tools.clock)
        session.commit()
    return saved_out(row)


@router.get("/queries")
def list_queries(tools: GateTools, who: Asking) -> list[SavedOut]:
    """List the questions that the caller keeps."""
    with tools.store.reading() as session:
        return [saved_out(row) for row in saved.kept(session, who.actor)]


@router.get("/queries/{query_id}/events")
def run_query(
    tools: GateTools, who: Asking, query_id: IdInPath, page: Annotated[PageIn, Query()]
) -> AnswerOut:
    """Ask a kept question again."""
    with tools.store.reading() as session:
        wanted = saved.question(saved.one_kept(session, who.actor, query_id))
    return _answered(tools, who, wanted, page)


@router.delete("/queries/{query_id}", status_code=204)
def delete_query(tools: GateTools, who: Asking, query_id: IdInPath) -> None:
    """Keep a question no longer."""
    with tools.store.session() as session:
        saved.forget(session, who.actor, query_id)
        session.commit()


@router.get("/events/{index}/private")
def get_private(tools: GateTools, who: Asking, index: Index) -> PrivateOut:
    """Open the private part of an entry, checked against the commitment in its leaf; gone once erased."""
    desk_of(tools).entry(who, index)
    with tools.store.session() as session:
        leaf, private = open_payload(session, tools.vault, index, actor=who.actor, clock=tools.clock)
        session.commit()
    return PrivateOut(index=index, commit=leaf.commit or "", private=private)


def desk_of(tools: Tools) -> Desk:
    """Give the desk at which this installation's log is asked."""
    folder = tools.settings.data_dir / "log"
    return Desk(tools.store, tools.clock, tools.vault, folder, tools.trust)


def _answered(tools: Tools, who: Asker, wanted: Filter, asked: PageIn) -> AnswerOut:
    if asked.proofs and asked.limit > MAX_PROOFS:
        raise BadInput(f"At most {MAX_PROOFS} entries are proven at once.")
    desk = desk_of(tools)
    page = desk.ask(who, wanted, cursor=asked.cursor, limit=asked.limit)
    proofs = desk.proofs(page.entries) if asked.proofs else None
    return answer_out(page, wanted, who.within, proofs)


def exported(tools: Tools, who: Asker, wanted: Filter, form: str) -> StreamingResponse:
    """Stream what matches, up to the size the log has now, in memory for one page."""
    head, entries = desk_of(tools).export(who, wanted, form)
    write: Callable[[Iterable[Entry]], Iterator[str]] = {
        "jsonl": json_lines,
        "csv": csv_lines,
        "ocsf": lambda some: ocsf_lines(some, tools.version),
    }[form]
    mime = "text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson"
    name = {"jsonl": "jsonl", "csv": "csv", "ocsf": "ocsf.jsonl"}[form]
    headers = {
        "Content-Disposition": f'attachment; filename="audit-{head.size}.{name}"',
        "Cache-Control": "no-store",
        # The entries of this range were looked through; their bundles under /log/ show whether all are here.
        "Greenlight-Range": f"0-{head.size}",
    }
    return StreamingResponse(write(entries), media_type=mime, headers=headers)
