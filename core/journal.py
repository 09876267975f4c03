"""Where the machinery's log goes: to standard error, as JSON lines, warnings only unless asked."""

from __future__ import annotations

import logging
import sys

import structlog


def start_journal(*, verbose: bool = False) -> None:
    """Set up logging for this process.

    Without this, structlog draws every traceback with all its variables: slow, and it would write secrets.
    """
    level = logging.INFO if verbose else logging.WARNING
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # The stream of the moment: one that was kept may be closed by the time it is written to.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    logging.basicConfig(level=level)
