"""A change that staff make on a page of the console: in one transaction, or told on the page it was asked from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol

from fastapi import Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from core.errors import BadInput, Conflict, NotFound
from core.tables import Reviewer
from pipeline.tools import Tools

Reason = Annotated[str, Form(max_length=2000, pattern=r"^[^\x00]*$")]


class Shown(Protocol):
    """Renders a page for a person of the house, with a problem where there is one."""

    def __call__(
        self, request: Request, tools: Tools, person: Reviewer, /, *, status: int, problem: str
    ) -> Response:
        """Answer the page under a status."""
        ...


def changed(
    request: Request,
    tools: Tools,
    person: Reviewer,
    change: Callable[[Session], object],
    *,
    shown: Shown,
    path: str,
) -> Response:
    """Make a change and go to `path`; where it is refused, show the page with the reason and change nothing."""
    try:
        with tools.store.session() as session:
            change(session)
            session.commit()
    except (BadInput, Conflict, NotFound) as error:
        return shown(request, tools, person, status=error.status, problem=error.message)
    return RedirectResponse(path, 303)
