"""The embedded worker: claim from the database, work, sweep, until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import structlog

from core.settings import Settings
from pipeline.run import advance
from pipeline.sweep import sweep
from pipeline.tools import Tools

_log = structlog.get_logger("worker")
IDLE_SECONDS = 0.25
SWEEP_SECONDS = 30.0


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
    since_sweep = SWEEP_SECONDS
    _log.info("worker started", holder=holder)
    while not stop.is_set():
        if since_sweep >= SWEEP_SECONDS:
            sweep(tools)
            since_sweep = 0.0
        if drain(tools, holder) == 0:
            tools.integrate()
            stop.wait(IDLE_SECONDS)
            since_sweep += IDLE_SECONDS


def main(env_file: Path | None = None) -> None:
    """Be a worker process."""
    from pipeline.assemble import assemble

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = Settings(_env_file=env_file) if env_file else Settings()
    work(assemble(settings), stop)


if __name__ == "__main__":
    main()
