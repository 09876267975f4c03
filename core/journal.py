"""Where the machinery's log goes: to standard error, as JSON lines, warnings only unless asked."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import structlog

from core.errors import GreenlightError


def start_journal(*, verbose: bool = False) -> None:
    """Set up logging for this process.

    Without this, structlog draws every traceback with all its variables: slow, and it would write secrets. Of an
    exception that is not ours only the kind and the place are written: what it says may quote a prompt, and
    no erasure reaches a journal.
    """
    level = logging.INFO if verbose else logging.WARNING
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_words,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # The stream of the moment: one that was kept may be closed by the time it is written to.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    logging.basicConfig(level=level)


def _without_words(_logger: Any, _method: str, said: Any) -> Any:
    given = said.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        said["exception"] = "; caused by ".join(_told(error))
    return said


def _told(error: BaseException | None) -> Iterator[str]:
    """Tell of an exception and of those behind it the kind and the place, and what ours say."""
    while error is not None:
        said = f" ({error.message})" if isinstance(error, GreenlightError) else ""
        frames = traceback.extract_tb(error.__traceback__)
        places = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
        yield f"{type(error).__name__}{said} at {places}"
        error = error.__cause__ or error.__context__
