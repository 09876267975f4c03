"""Work with the installation of this machine, as its operator."""

from __future__ import annotations

import mimetypes
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlmodel import Session

from api.auth import checked_admin, checked_reviewer
from api.cli.show import err
from audits.erasure import drop_uploads, finish
from core.clock import milliseconds
from core.errors import BadInput
from core.settings import Settings
from core.state import FINAL, State
from core.store import job as find_job
from core.tables import Job, Partner, Upload
from pipeline.assemble import assemble
from pipeline.intake import Ask, UploadKind, submit, upload
from pipeline.receipt import explanation, receipt
from pipeline.run import advance
from pipeline.tools import Tools
from pipeline.worker import holder_name

_Row = TypeVar("_Row")

LOCAL_PARTNER = "local"
_RETRY_SECONDS = 0.5
_STATES = ("received", "admitted", "generated", "cleared", "marked", "signed", "recorded", "released")


def open_tools(settings: Settings | None = None) -> Tools:
    """Put the gate together and make sure that the operator can make requests."""
    tools = assemble(settings or Settings())
    with tools.store.session() as session:
        if session.get(Partner, LOCAL_PARTNER) is None:
            now_ms = milliseconds(tools.clock.now())
            session.add(Partner(id=LOCAL_PARTNER, name="This machine", created_ms=now_ms))
            session.commit()
    return tools


def by_admin(change: Callable[[Session, Tools, str], _Row], admin: str, password: str) -> _Row:
    """Make a change in the name of an admin who gave their password; all of it or nothing."""
    tools = open_tools()
    with tools.store.session() as session:
        name = checked_admin(checked_reviewer(session, admin, password)).name
        row = change(session, tools, name)
        session.commit()
    return row


def existing(path: Path) -> Path:
    """Give the file back if it is there, or raise `BadInput`."""
    if not path.is_file():
        raise BadInput(f"There is no file {path}.")
    return path


def take_in(tools: Tools, kind: UploadKind, files: Sequence[Path]) -> list[Upload]:
    """Take files in through the sandbox, as an upload would be."""
    rows = []
    for file in files:
        mime = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        rows.append(upload(tools, LOCAL_PARTNER, kind, existing(file), mime))
    with tools.store.session() as session:
        session.add_all(rows)
        session.commit()
    return rows


def give_up(tools: Tools, rows: Sequence[Upload]) -> None:
    """Delete uploads that were only to be judged."""
    with tools.store.session() as session:
        drop_uploads(session, [row.id for row in rows])
        session.commit()
    finish(tools)


def ask(tools: Tools, wanted: Ask) -> Job:
    """Store a request of the operator."""
    with tools.store.session() as session:
        job, _ = submit(session, tools, LOCAL_PARTNER, wanted)
        session.commit()
    return job


def see_through(tools: Tools, job_id: str, title: str) -> Job:
    """Work on one request until it ends or is held, showing how far it is."""
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(28),
        TextColumn("{task.fields[state]:<10}"),
        TimeElapsedColumn(),
    )
    holder = holder_name()
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task(title, total=len(_STATES) - 1, state="received")
        while True:
            job = look(tools, job_id)
            done = _STATES.index(job.state) if job.state in _STATES else len(_STATES) - 1
            progress.update(task, completed=done, state=job.state)
            if not err.is_terminal:
                err.print(f"{title}: {job.state}")
            if State(job.state) in FINAL | {State.HELD}:
                return job
            if advance(tools, holder, job_id) is None:
                progress.update(task, state=f"waits: {job.problem or ''}"[:40])
                time.sleep(_RETRY_SECONDS)


def look(tools: Tools, job_id: str) -> Job:
    """Read a request."""
    with tools.store.reading() as session:
        return find_job(session, job_id)


def fetch(tools: Tools, job: Job, into: Path) -> Path:
    """Copy the released file; a copy that breaks leaves nothing."""
    into.parent.mkdir(parents=True, exist_ok=True)
    scratch = into.with_name(f".{into.name}.part")
    shutil.copyfile(tools.blobs.path("public", str(job.public)), scratch)
    return scratch.replace(into)


def account(tools: Tools, job: Job) -> dict[str, Any]:
    """Give receipt and explanation of a request, as the operator may see them."""
    with tools.store.reading() as session:
        return {"receipt": receipt(session, job), "explanation": explanation(session, job, "auditor")}
