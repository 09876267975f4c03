"""The embedded worker: claim from the database, work, sweep, until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import structlog

from audits.index import catch_up
from audits.retention import enforce
from core.journal import start_journal
from core.settings import Settings
from pipeline.run import advance
from pipeline.sweep import sweep
from pipeline.tools import Tools

_log = structlog.get_logger("worker")
IDLE_SECONDS = 0.25
INDEX_SECONDS = 1.0
SWEEP_SECONDS = 30.0
RETENTION_SECONDS = 3600.0


def holder_name() -> str:
    """Name this process in leases and events."""
    return f"{socket.gethostname()}:{os.getpid()}"


def drain(tools: Tools, holder: str) -> int:
    """Work until nothing is runnable now; answer how many steps were taken."""
    steps = 0
    while advance(tools, holder) is not None:
        steps += 1
    return steps


def work(tools: Tools, stop: threading.Event) -> None:
    """Work until `stop` is set; a step under way is finished first."""
    holder = holder_name()
    sweeping = _paced(SWEEP_SECONDS, lambda: sweep(tools))
    retiring = _paced(RETENTION_SECONDS, lambda: enforce(tools, tools.settings))
    indexing = _paced(INDEX_SECONDS, lambda: catch_up(tools.store))
    _log.info("worker started", holder=holder)
    while not stop.is_set():
        _survived(sweeping)
        _survived(retiring)
        _survived(indexing)
        if not _survived(lambda: advance(tools, holder)):
            stop.wait(IDLE_SECONDS)


def _paced(seconds: float, chore: Callable[[], object]) -> Callable[[], None]:
    """Make a chore that is done at the first call and then at most once in so many seconds."""
    due = time.monotonic()

    def run() -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + seconds
            chore()

    return run


def _survived(part: Callable[[], object]) -> object:
    try:
        return part()
    except Exception as error:  # noqa: BLE001  # a broken log or database must not end the process that waits for its return
        _log.error("worker could not go on", error=f"{type(error).__name__}: {error}")
        return None


def main() -> None:
    """Be a worker process."""
    from pipeline.assemble import assemble

    start_journal()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    work(assemble(Settings()), stop)


if __name__ == "__main__":
    main()
