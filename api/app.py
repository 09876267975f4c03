"""The web application: partners' API, public verification and log, reviewers' console."""

from __future__ import annotations

import secrets

from fastapi import FastAPI, Request
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import (
    audit_console,
    audits,
    bindings,
    consents_console,
    console,
    generations,
    grants_console,
    keys,
    people,
    policies_console,
    problems,
    public,
    users,
    verify_page,
)
from api.uploads import Decoders
from core.vault import secret_file
from pipeline.tools import Tools

DECODERS = 4
FETCHERS = 4
"""Files that strangers name are fetched in places of their own: a slow host holds up no other question."""
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
    app.state.decoders = Decoders(DECODERS)
    app.state.fetchers = Decoders(FETCHERS)
    problems.install(app, {"/console": console.problem_page, "/verify": verify_page.problem_page})
    for router in (
        generations.router,
        people.router,
        users.router,
        audits.router,
        public.router,
        bindings.router,
        keys.router,
        policies_console.router,
        audit_console.router,
        grants_console.router,
        consents_console.router,
        console.router,
        verify_page.router,
    ):
        app.include_router(router)
    cookie_key = secret_file(tools.settings.data_dir / "keys" / "session", 32).hex()
    app.add_middleware(
        SessionMiddleware,
        secret_key=cookie_key,
        session_cookie="greenlight",
        max_age=_SESSION_SECONDS,
        same_site="strict",
    )
    app.add_middleware(LimitedBody, json_bytes=MAX_JSON_BYTES, upload_mib=tools.settings.max_upload_mib)
    app.add_middleware(Numbered)
    return app


class Numbered:
    """Give every request an id, and every answer the headers that all of them carry."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under a fresh id."""
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, labelled)


class LimitedBody:
    """Cut off bodies that are too large while they arrive; uploads may be larger than JSON.

    An upload is a form, which has a mebibyte to spare around the file, or the bare file where a route takes one.
    """

    def __init__(self, app: ASGIApp, *, json_bytes: int, upload_mib: int) -> None:
        self.app, self.json_bytes, self.upload_mib = app, json_bytes, upload_mib

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counting `receive`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        limit = self._limit(scope["path"], headers.get(b"content-type", b""))
        refused = _refused(headers.get(b"content-length", b"0"), limit)
        if refused is not None:
            await problems.told(Request(scope), *refused)(scope, receive, send)
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

    def _limit(self, path: str, content_type: bytes) -> int:
        if path == bindings.BY_CONTENT:
            return self.upload_mib << 20
        if content_type.startswith(b"multipart/form-data"):
            return (self.upload_mib + 1) << 20
        return self.json_bytes


def _refused(claimed: bytes, limit: int) -> tuple[int, str, str] | None:
    if not (claimed.isdigit() and len(claimed) <= 20):
        return 400, "bad_request", "The Content-Length is not a number."
    if int(claimed) > limit:
        return 413, "too_large", f"At most {limit} bytes are accepted."
    return None
