"""Fetch a file that somebody else names, without becoming their way into our network.

Only `https`, only port 443, only addresses that the whole world can reach. The name is looked up once, every
address it has must be public, and the connection goes to the address that was checked, so a name that answers
differently the second time changes nothing. Redirects are not followed; bytes and seconds are limited.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from core.errors import BadQuery, Unreachable

_CHUNK = 1 << 16
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], list[str]]
"""Give the addresses of a host and port; raises `OSError` when it has none."""


def resolve(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Fetches at most `max_bytes` within `seconds`; `resolve`, `allowed` and `tls` are the system's own."""

    max_bytes: int
    seconds: float = 30.0
    port: int = 443
    resolve: Resolve = resolve
    allowed: Callable[[str], bool] = field(default_factory=lambda: is_public)
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context

    def fetch(self, url: str, into: Path) -> str:
        """Write what an address holds to a file and give its media type.

        Raises `BadQuery` for an address that is not fetched and for a file that is too large, `Unreachable`
        when the other side does not deliver.
        """
        parts = self._checked(url)
        deadline = time.monotonic() + self.seconds
        connection = _Pinned(self._address(parts), parts, self, deadline)
        try:
            return self._received(connection, parts, into, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # what exactly went wrong would tell a stranger about our network
            raise Unreachable from error
        finally:
            connection.close()

    def _checked(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadQuery("The reference is no address.") from error
        if (
            parts.scheme != "https"
            or not parts.hostname
            or parts.username is not None
            or port not in (None, self.port)
        ):
            raise BadQuery("A reference is an https address, without a user and on the usual port.")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise BadQuery("The reference has characters that an address cannot have.")
        return parts

    def _address(self, parts: SplitResult) -> str:
        try:
            addresses = self.resolve(str(parts.hostname), self.port)
        except (OSError, UnicodeError) as error:
            raise Unreachable from error
        if not addresses or not all(self.allowed(address) for address in addresses):
            raise BadQuery("The reference does not lead to a public address.")
        return addresses[0]

    def _received(self, connection: _Pinned, parts: SplitResult, into: Path, deadline: float) -> str:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Accept-Encoding": "identity"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Unreachable(f"The reference was answered with {answer.status}.")
        with into.open("wb") as file:
            for chunk in self._chunks(answer, deadline):
                file.write(chunk)
        return answer.headers.get_content_type()

    def _chunks(self, answer: http.client.HTTPResponse, deadline: float) -> Iterator[bytes]:
        size = 0
        # read1 returns with what is there, so the clock is looked at however slowly bytes drip
        while chunk := answer.read1(_CHUNK):
            size += len(chunk)
            if size > self.max_bytes:
                raise BadQuery(f"What the reference leads to has more than {self.max_bytes} bytes.")
            if time.monotonic() > deadline:
                raise Unreachable
            yield chunk


class _Pinned(http.client.HTTPSConnection):
    """A connection to an address that was checked, under the name that was asked for."""

    def __init__(self, address: str, parts: SplitResult, fetcher: Fetcher, deadline: float) -> None:
        self._tls = fetcher.tls()
        super().__init__(str(parts.hostname), fetcher.port, context=self._tls)
        self._address, self._deadline = address, deadline

    def connect(self) -> None:
        left = max(0.1, self._deadline - time.monotonic())
        plain = socket.create_connection((self._address, self.port), timeout=left)
        self.sock: Any = self._tls.wrap_socket(plain, server_hostname=self.host)


def is_public(address: str) -> bool:
    """Say whether the whole world can reach an address, whatever form it is written in."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner or found in _NAT64:
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved
