"""Every error as problem+json (RFC 9457), with a stable code and the id of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from core.errors import GreenlightError, Unavailable

_log = structlog.get_logger("api")
_HTTP_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    414: "too_long",
    415: "bad_request",
}


def _codes(error: type[GreenlightError] = GreenlightError) -> set[str]:
    return {error.code}.union(*(_codes(child) for child in error.__subclasses__()))


CODES = sorted(_codes() | set(_HTTP_CODES.values()))
"""Every `code` that an answer can carry."""


class Problem(BaseModel):
    """The body of every error answer."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(json_schema_extra={"enum": list(CODES)})
    request_id: str


_MEANINGS = {
    400: "The body cannot be parsed",
    401: "No valid credentials",
    403: "Not allowed",
    404: "Not found",
    405: "The path does not take this method",
    409: "Not in a state that allows this",
    413: "Too large",
    414: "The address is too long",
    415: "A kind of file that is not read here",
    422: "The request cannot be used as it is",
    429: "Quota used up",
    500: "Something went wrong inside Greenlight",
    502: "What the caller pointed to cannot be had",
    503: "A part of the gate is missing; nothing passes",
}


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the error answers of a route."""
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in statuses}


ANSWERS = answers(*(_MEANINGS.keys() - {414, 415, 502}))
"""The error answers that every route of our own API documents."""

_FRAMEWORKS_OWN = "Validation Error"
"""FastAPI documents this where a route says nothing of 422; no route answers so."""

Page = Callable[[Request, int, str], Response]


def install(app: FastAPI, pages: Mapping[str, Page]) -> None:
    """Answer every error as a problem, or as a page below the paths where a person looks."""
    app.state.pages = pages

    @app.exception_handler(GreenlightError)
    async def _ours(request: Request, error: GreenlightError) -> Response:
        return told(request, error.status, error.code, error.message)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return told(request, 422, "bad_input", f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        code = _HTTP_CODES.get(error.status_code, "bad_request")
        return told(request, error.status_code, code, str(error.detail), error.headers)

    @app.exception_handler(OperationalError)
    async def _lost(request: Request, error: OperationalError) -> Response:
        _log.error("database", error=repr(error), path=request.url.path)
        return told(request, Unavailable.status, Unavailable.code, "The database does not answer.")

    @app.exception_handler(Exception)
    async def _unknown(request: Request, error: Exception) -> Response:
        _log.error("unhandled", error=repr(error), path=request.url.path)
        return told(request, 500, GreenlightError.code, "Something went wrong inside Greenlight.")

    plain = app.openapi
    app.openapi = lambda: _as_problems(plain())  # type: ignore[method-assign]  # FastAPI's documented way


def told(
    request: Request, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer one error in the form that fits the path."""
    pages: Mapping[str, Page] = request.app.state.pages
    for prefix, page in pages.items():
        if request.url.path.startswith(prefix):
            return page(request, status, detail)
    return answer(request, status, code, detail, headers)


def answer(
    request: Request, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Build the answer for one error."""
    # What a caller sent may come back here, and not all that can be sent can be written.
    detail = detail[:1000].encode(errors="replace").decode()
    request_id = getattr(request.state, "request_id", "")
    problem = Problem(
        type=f"urn:greenlight:problem:{code}",
        title=code.replace("_", " "),
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
    )
    shown = {"X-Request-Id": request_id, **(headers or {})} | (
        {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    )
    return JSONResponse(problem.model_dump(), status, shown, media_type="application/problem+json")


def _as_problems(schema: dict[str, Any]) -> dict[str, Any]:
    """Name the media type of the documented errors; FastAPI takes the route's own."""
    documented = {str(status) for status in _MEANINGS}
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in schema["paths"].values():
        for call in path.values():
            if call["responses"].get("422", {}).get("description") == _FRAMEWORKS_OWN:
                del call["responses"]["422"]
            for status in documented & set(call["responses"]):
                call["responses"][status]["content"] = content
    return schema
