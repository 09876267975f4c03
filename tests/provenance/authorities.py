"""Time-stamp authorities on loopback that behave badly, each in its own way; and one that is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def serving(behave: Behaviour) -> Iterator[str]:
    """Serve POST requests on a port of 127.0.0.1 and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            behave(self, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up on purpose
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/tsa"
        finally:
            server.shutdown()


def answering(give: Callable[[bytes], bytes]) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler, request: bytes) -> None:
        content = give(request)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/timestamp-reply")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return behave


def failing(handler: BaseHTTPRequestHandler, _request: bytes) -> None:
    handler.send_error(500)


def hanging(_handler: BaseHTTPRequestHandler, _request: bytes) -> None:
    time.sleep(5)


def hanging_up(_handler: BaseHTTPRequestHandler, _request: bytes) -> None:
    raise ConnectionAbortedError  # the server closes the line without a word


def dripping(handler: BaseHTTPRequestHandler, _request: bytes) -> None:
    """One byte at a time: no socket timeout ever ends this."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(50):
        handler.wfile.write(b"0")
        time.sleep(0.1)


BAD: dict[str, Behaviour] = {
    "an error": failing,
    "silence": hanging,
    "a closed line": hanging_up,
    "a byte at a time": dripping,
    "nothing": answering(lambda _: b""),
    "garbage": answering(lambda _: b"garbage" * 30),
    "far too much": answering(lambda _: b"0" * 10_000_000),
    "its own question": answering(lambda request: request),
}
