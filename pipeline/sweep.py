"""Tidy up behind dead processes. Everything here may run anywhere, at any time, any number of times."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from sqlmodel import col, delete, select

from audits.erasure import finish
from audits.grants import expire
from core.clock import milliseconds
from core.state import RUNNABLE
from core.tables import Job, Outbox
from pipeline.keys import watch
from pipeline.packs import announce
from pipeline.stamping import stamp_released
from pipeline.tools import Tools

SCRATCH_SECONDS = 6 * 3600
HINT_LIMIT = 500


def sweep(tools: Tools) -> None:
    """Delete what is left behind, finish erasures, end grants, announce expiring keys and elections, give time stamps owed."""
    home = tools.settings.data_dir / "scratch"
    for folder in home.iterdir() if home.is_dir() else ():
        if time.time() - _touched(folder) > SCRATCH_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    with tools.store.session() as session:
        watch(session, tools.clock, days=tools.settings.key_warning_days)
        expire(session, tools.clock, tools.vault)
        announce(session, tools.book, tools.pack, tools.clock)
        session.commit()
    if not tools.settings.broker_url:
        # Embedded workers look into the table of requests itself; hints are for queues.
        with tools.store.session() as session:
            session.execute(delete(Outbox))
            session.commit()
    finish(tools)
    stamp_released(tools)


def _touched(folder: Path) -> float:
    """Tell when anything last changed in a folder, or now when its owner has just removed it."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return time.time()


def send_hints(tools: Tools, send: Callable[[str], None]) -> int:
    """Send the waiting hints and answer how many; any number of callers may do this at once.

    Each hint is taken by one caller, and no transaction is open while the broker is waited for. A crash
    between taking and sending loses some, which is harmless: `stuck` finds their requests.
    """
    jobs = _taken(tools)
    sent = 0
    try:
        for job_id in jobs:
            send(job_id)
            sent += 1
    finally:
        if sent < len(jobs):
            _put_back(tools, jobs[sent:])
    return sent


def _taken(tools: Tools) -> list[str]:
    with tools.store.session() as session:
        waiting = select(Outbox).order_by(col(Outbox.id)).limit(HINT_LIMIT).with_for_update(skip_locked=True)
        rows = session.exec(waiting).all()
        session.execute(delete(Outbox).where(col(Outbox.id).in_([row.id for row in rows])))
        session.commit()
    return list(dict.fromkeys(row.job for row in rows))


def _put_back(tools: Tools, jobs: list[str]) -> None:
    now_ms = milliseconds(tools.clock.now())
    with tools.store.session() as session:
        session.add_all(Outbox(job=job_id, at_ms=now_ms) for job_id in jobs)
        session.commit()


def stuck(tools: Tools) -> list[str]:
    """List runnable requests that nobody holds, longest waiting first: their hint was lost or their worker died.

    At most `HINT_LIMIT`, so that a backlog is not hinted at as a whole again and again.
    """
    now_ms = milliseconds(tools.clock.now())
    runnable = col(Job.state).in_([str(state) for state in RUNNABLE])
    waiting = select(Job.id).where(runnable, col(Job.lease_until_ms) < now_ms)
    with tools.store.reading() as session:
        return list(session.exec(waiting.order_by(col(Job.updated_ms)).limit(HINT_LIMIT)))
