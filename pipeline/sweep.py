"""Tidy up behind dead processes. Everything here may run anywhere, at any time, any number of times."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from sqlmodel import col, delete, select

from core.clock import milliseconds
from core.state import RUNNABLE
from core.tables import Job, Outbox
from pipeline.tools import Tools

SCRATCH_SECONDS = 6 * 3600
HINT_LIMIT = 500


def sweep(tools: Tools) -> None:
    """Delete work in progress that its owner left behind, and hints nobody will need."""
    home = tools.settings.data_dir / "scratch"
    for folder in home.iterdir() if home.is_dir() else ():
        if time.time() - folder.stat().st_mtime > SCRATCH_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    if not tools.settings.broker_url:
        # Embedded workers look into the table of requests itself; hints are for queues.
        with tools.store.session() as session:
            session.execute(delete(Outbox))
            session.commit()


def send_hints(tools: Tools, send: Callable[[str], None]) -> int:
    """Send the waiting hints, then forget them; a crash in between doubles some, which is harmless."""
    with tools.store.session() as session:
        rows = session.exec(select(Outbox).order_by(col(Outbox.id)).limit(HINT_LIMIT)).all()
        for row in rows:
            send(row.job)
            session.delete(row)
        session.commit()
    return len(rows)


def stuck(tools: Tools) -> list[str]:
    """List runnable requests that nobody holds: their hint was lost or their worker died."""
    now_ms = milliseconds(tools.clock.now())
    with tools.store.reading() as session:
        runnable = col(Job.state).in_([str(state) for state in RUNNABLE])
        return list(session.exec(select(Job.id).where(runnable, col(Job.lease_until_ms) < now_ms)))
