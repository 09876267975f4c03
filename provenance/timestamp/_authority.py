"""A time-stamp authority as we meet it: asked within a deadline, and its answer not believed unread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from asn1crypto import tsp
from cryptography import x509
from rfc3161_client import VerificationError, decode_timestamp_response
from rfc3161_client.verify import VerifierBuilder

from core.errors import BadInput, KeyMissing, TimedOut, Unavailable
from provenance.timestamp._breaker import Breaker

Ask = Callable[[bytes], bytes]
"""Send a DER TimeStampReq and give the DER TimeStampResp; may raise anything and take forever."""

_LARGEST_ANSWER = 64 << 10


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom we ask for the time: `roots` are the certificates we believe it under, `seconds` our patience."""

    ask: Ask = field(repr=False)
    roots_pem: str
    seconds: float
    breaker: Breaker = field(default_factory=lambda: Breaker(time.monotonic), repr=False, compare=False)

    def stamp(self, request: bytes) -> bytes:
        """Ask for a time stamp and give the answer as it came.

        Raises `TimedOut` when it takes longer than `seconds` in all, `Unavailable` for an answer that is no
        time stamp of exactly this request under one of the roots, and at once for one that keeps failing.
        """
        with self.breaker.asking():
            answer = _within(self.seconds, lambda: self.ask(request))
            _check(request, answer, _roots(self.roots_pem))
            return answer


def http_authority(url: str, roots_pem: str, seconds: float) -> Authority:
    """Describe an authority that is asked over HTTP (RFC 3161, section 3.4); raise `BadInput` for another address."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadInput("The address of the time-stamp authority must begin with http:// or https://.")
    _roots(roots_pem)
    return Authority(lambda request: _post(url, request, seconds), roots_pem, seconds)


def _post(url: str, request: bytes, seconds: float) -> bytes:
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        with httpx.stream("POST", url, content=request, headers=headers, timeout=seconds) as response:
            response.raise_for_status()
            return b"".join(_some(response.iter_bytes()))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"The time-stamp authority does not answer: {error}") from error


def _some(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on an answer until it is too large to be one."""
    size = 0
    for part in parts:
        yield part
        size += len(part)
        if size > _LARGEST_ANSWER:
            return


def _within(seconds: float, ask: Callable[[], bytes]) -> bytes:
    """Wait for an answer, in all so many seconds; one that comes later is thrown away."""
    answers: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put(ask())
        except Exception as error:  # noqa: BLE001  it is raised where it is waited for
            answers.put(error)

    # socket timeouts count from byte to byte, and a name server has none: only a thread can be left behind
    threading.Thread(target=answer, daemon=True, name="time stamp").start()
    try:
        found = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimedOut(f"The time-stamp authority did not answer within {seconds:g} s.") from None
    if isinstance(found, Unavailable):
        raise found
    if isinstance(found, Exception):
        raise Unavailable(f"The time-stamp authority failed: {found}") from found
    return found


def _check(request: bytes, answer: bytes, roots: list[x509.Certificate]) -> None:
    if len(answer) > _LARGEST_ANSWER:
        raise Unavailable(f"The time-stamp authority's answer is larger than {_LARGEST_ANSWER} bytes.")
    try:
        asked = tsp.TimeStampReq.load(request)
        imprint, nonce = asked["message_imprint"]["hashed_message"].native, asked["nonce"].native
        VerifierBuilder(roots=roots, nonce=nonce).build().verify(decode_timestamp_response(answer), imprint)
    except (VerificationError, ValueError, TypeError) as error:
        raise Unavailable(f"The time-stamp authority's answer does not hold: {error}") from error


def read_roots(path: Path) -> str:
    """Read the roots of time-stamp authorities; raise `KeyMissing` when there are none in the file."""
    try:
        pem = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(f"The time-stamp roots {path.name} cannot be read.") from error
    _roots(pem)
    return pem


def _roots(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise KeyMissing("The roots of the time-stamp authority hold no PEM certificates.") from error
