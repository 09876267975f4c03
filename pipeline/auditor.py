"""The process that runs scheduled preemptive audits, apart from the workers that requests wait for."""

from __future__ import annotations

import signal
import threading

from core.journal import start_journal
from core.settings import Settings
from pipeline.audits import keep_running


def main() -> None:
    """Run what is due until told to stop."""
    from pipeline.assemble import assemble

    start_journal()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keep_running(assemble(Settings()), stop)


if __name__ == "__main__":
    main()
