"""Every error as problem+json (RFC 9457), with a stable code and the id of the request."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from core.errors import GreenlightError

_log = structlog.get_logger("api")


class Problem(BaseModel):
    """The body of every error answer."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "The body cannot be parsed",
        401: "No valid credentials",
        403: "Not allowed",
        404: "Not found",
        409: "Not in a state that allows this",
        413: "Too large",
        422: "The request cannot be used as it is",
        429: "Quota used up",
        503: "A part of the gate is missing; nothing passes",
    }.items()
}
"""The error answers that every route documents."""


def install(app: FastAPI) -> None:
    """Answer every error of this application as a problem."""

    @app.exception_handler(GreenlightError)
    async def _ours(request: Request, error: GreenlightError) -> JSONResponse:
        return answer(request, error.status, error.code, error.message)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(request, 422, "bad_input", f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        return answer(request, error.status_code, f"http_{error.status_code}", str(error.detail))

    @app.exception_handler(Exception)
    async def _unknown(request: Request, error: Exception) -> JSONResponse:
        _log.error("unhandled", error=repr(error), path=request.url.path)
        return answer(request, 500, "greenlight_error", "Something went wrong inside Greenlight.")


def answer(request: Request, status: int, code: str, detail: str) -> JSONResponse:
    """Build the answer for one error."""
    request_id = getattr(request.state, "request_id", "")
    problem = Problem(
        type=f"urn:greenlight:problem:{code}",
        title=code.replace("_", " "),
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
    )
    headers = {"X-Request-Id": request_id} | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
    return JSONResponse(problem.model_dump(), status, headers, media_type="application/problem+json")
