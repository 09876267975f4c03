"""Keep the embedded workers alive: one that dies is started again, and all of them end with their parent."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

_log = structlog.get_logger("supervise")
_WORKER = (sys.executable, "-m", "pipeline.worker")
SEQUENCER = (sys.executable, "-m", "pipeline.sequencer")
AUDITOR = (sys.executable, "-m", "pipeline.auditor")
_LOOK_SECONDS = 1.0
_STOP_SECONDS = 30.0


@contextmanager
def supervised(count: int, command: Sequence[str] = _WORKER) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run `count` worker processes until the block ends; the list always names the living ones."""
    workers = [_started(command) for _ in range(count)]
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(workers, command, over), daemon=True)
    thread.start()
    try:
        yield workers
    finally:
        over.set()
        thread.join()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            _ended(worker)


def _watch(workers: list[subprocess.Popen[bytes]], command: Sequence[str], over: threading.Event) -> None:
    # Looking once a second is also the limit on how often a worker that cannot start is tried.
    while not over.wait(_LOOK_SECONDS):
        for place, worker in enumerate(workers):
            if worker.poll() is not None:
                _log.warning("a worker died and is started again", pid=worker.pid, code=worker.returncode)
                workers[place] = _started(command)


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command)  # noqa: S603  # our own module


def _ended(worker: subprocess.Popen[bytes]) -> None:
    try:
        worker.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        # Its request is claimed again when the lease lapses.
        worker.kill()
        worker.wait()
