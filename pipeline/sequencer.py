"""The supervised sequencer: every event is in a published checkpoint a moment after it was committed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import structlog

from core.clock import SystemClock
from core.journal import start_journal
from core.settings import Settings
from core.store import open_store
from pipeline.ledger import Ledger, open_ledger

_log = structlog.get_logger("sequencer")
SECONDS = 0.25
COPY_SECONDS = 10.0
PATIENCE_SECONDS = 2.0


def sequence(ledger: Ledger, stop: threading.Event) -> None:
    """Bring the log up to date every quarter of a second until `stop` is set, and less often while it cannot be.

    What is public is copied every ten seconds; a copy that fails holds nothing up but itself.
    """
    integrating, copying = _Chore("the log", ledger.integrate), _Chore("the copy of the log", ledger.copy)
    copied = 0.0
    while not stop.is_set():
        whole = integrating.done()
        if whole and time.monotonic() - copied > COPY_SECONDS:
            copying.done()
            copied = time.monotonic()
        stop.wait(SECONDS if whole else PATIENCE_SECONDS)


class _Chore:
    """Something that is tried again and again, and whose trouble is told once."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self.name, self.work, self.trouble = name, work, ""

    def done(self) -> bool:
        """Try it, and tell whether it went well."""
        try:
            self.work()
        except Exception as error:  # noqa: BLE001  # a broken log or database must not end the process that waits for its return
            trouble = f"{type(error).__name__}: {error}"
            if trouble != self.trouble:
                _log.error(f"{self.name} cannot go on", error=trouble)
            self.trouble = trouble
            return False
        if self.trouble:
            _log.info(f"{self.name} goes on")
        self.trouble = ""
        return True


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
