"""The supervised sequencer: every event is in a published checkpoint a moment after it was committed."""

from __future__ import annotations

import signal
import threading

import structlog

from core.clock import SystemClock
from core.journal import start_journal
from core.settings import Settings
from core.store import open_store
from pipeline.ledger import Ledger, open_ledger

_log = structlog.get_logger("sequencer")
SECONDS = 0.25
PATIENCE_SECONDS = 2.0


def sequence(ledger: Ledger, stop: threading.Event) -> None:
    """Bring the log up to date every quarter of a second until `stop` is set, and less often while it cannot be."""
    trouble = ""
    while not stop.is_set():
        try:
            ledger.integrate()
        except Exception as error:  # noqa: BLE001  # a broken log or database must not end the process that waits for its return
            if str(error) != trouble:
                trouble = str(error)
                _log.error("the log cannot go on", error=f"{type(error).__name__}: {error}")
            stop.wait(PATIENCE_SECONDS)
            continue
        if trouble:
            trouble = ""
            _log.info("the log goes on")
        stop.wait(SECONDS)


def main() -> None:
    """Be the sequencer of this installation; a second one beside it is harmless."""
    start_journal()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = Settings()
    sequence(open_ledger(settings, open_store(settings.database), SystemClock()), stop)


if __name__ == "__main__":
    main()
