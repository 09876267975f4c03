"""A relay on loopback between the C2PA SDK and the authority.

The SDK waits half a minute for an authority and cannot be told otherwise; here it gets an answer, or an
error, as soon as our own patience ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any

from core.errors import GreenlightError
from provenance.timestamp._authority import Authority

_LARGEST_REQUEST = 4096
_POLL_SECONDS = 0.005


@dataclass(slots=True)
class Relay:
    """Where the SDK asks, and why the authority's last answer was not passed on."""

    url: str
    error: GreenlightError | None = None


@contextmanager
def relay(authority: Authority) -> Iterator[Relay]:
    """Serve on a port of 127.0.0.1 for as long as the context is open; one request at a time."""
    through = Relay("")
    handler = partial(_Handler, authority=authority, through=through)
    with TCPServer(("127.0.0.1", 0), handler) as server:  # an HTTPServer would ask the name server who we are
        through.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        thread.start()
        try:
            yield through
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = 5  # a caller that says nothing does not keep the thread

    def __init__(self, *call: Any, authority: Authority, through: Relay) -> None:
        self.authority, self.through = authority, through
        super().__init__(*call)  # which handles the request at once

    def do_POST(self) -> None:
        """Pass one request on."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LARGEST_REQUEST:
            self.send_error(413)
            return
        try:
            answer = self.authority.stamp(self.rfile.read(int(length)))
        except GreenlightError as error:
            self.through.error = error
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing: whoever signs reports what came of it."""
