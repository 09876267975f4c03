"""The web application: partners' API, public verification and log, reviewers' console."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import console, generations, people, problems, public
from core.errors import Unauthenticated
from core.vault import secret_file
from pipeline.tools import Tools

MAX_JSON_BYTES = 256 * 1024
_SESSION_SECONDS = 8 * 3600


def create_app(tools: Tools) -> FastAPI:
    """Make the application over the parts of the gate."""
    app = FastAPI(
        title="Greenlight",
        version=tools.version,
        description="The safety-and-provenance gate around generative video and audio.",
    )
    app.state.tools = tools
    problems.install(app)
    for router in (generations.router, people.router, public.router, console.router):
        app.include_router(router)
    app.exception_handler(Unauthenticated)(_to_login)
    app.middleware("http")(_numbered)
    cookie_key = secret_file(tools.settings.data_dir / "keys" / "session", 32).hex()
    app.add_middleware(
        SessionMiddleware,
        secret_key=cookie_key,
        session_cookie="greenlight",
        max_age=_SESSION_SECONDS,
        same_site="strict",
    )
    upload_bytes = (tools.settings.max_upload_mib + 1) << 20
    app.add_middleware(LimitedBody, json_bytes=MAX_JSON_BYTES, upload_bytes=upload_bytes)
    return app


async def _to_login(request: Request, error: Exception) -> Response:
    if request.url.path.startswith("/console") and request.method == "GET":
        return RedirectResponse("/console/login", 303)
    return problems.answer(request, Unauthenticated.status, Unauthenticated.code, str(error))


async def _numbered(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    request.state.request_id = secrets.token_hex(8)
    response = await call_next(request)
    response.headers["X-Request-Id"] = request.state.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


class LimitedBody:
    """Cut off bodies that are too large while they arrive; uploads may be larger than JSON."""

    def __init__(self, app: ASGIApp, *, json_bytes: int, upload_bytes: int) -> None:
        self.app, self.json_bytes, self.upload_bytes = app, json_bytes, upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counting `receive`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        multipart = headers.get(b"content-type", b"").startswith(b"multipart/form-data")
        limit = self.upload_bytes if multipart else self.json_bytes
        if int(headers.get(b"content-length", b"0") or 0) > limit:
            await problems.answer(Request(scope), 413, "too_large", f"At most {limit} bytes are accepted.")(
                scope, receive, send
            )
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413, f"At most {limit} bytes are accepted.")
            return message

        await self.app(scope, counted, send)
