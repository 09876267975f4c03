from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core.errors import BadQuery, GreenlightError, Unreachable
from pipeline.reference import Fetcher, is_public

HOST = "files.example.org"


class Files(BaseHTTPRequestHandler):
    """Serves a small file, an endless one, a slow one, a redirect and an error."""

    def do_GET(self) -> None:
        status = {"/gone": 404, "/elsewhere": 302}.get(self.path, 200)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "https://127.0.0.1/secret")
        self.send_header("Content-Type", "video/mp4")
        self.end_headers()
        try:
            self._body()
        except OSError:
            return

    def _body(self) -> None:
        if self.path == "/file?x=1":
            self.wfile.write(b"the bytes")
        while self.path in ("/endless", "/slow"):
            self.wfile.write(b"0" * (100_000 if self.path == "/endless" else 1))
            time.sleep(0 if self.path == "/endless" else 0.02)

    def log_message(self, *_: object) -> None:
        return


@dataclass
class Host:
    port: int
    fetcher: Fetcher


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    pem = tmp_path_factory.mktemp("tls") / "host.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.server_address[1]
    yield Host(
        port,
        Fetcher(
            max_bytes=1_000_000,
            seconds=5,
            port=port,
            resolve=lambda _host, _port: ["127.0.0.1"],
            allowed=lambda _address: True,
            tls=lambda: ssl.create_default_context(cafile=str(pem)),
        ),
    )
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_fetched_under_its_name_from_the_address_that_was_checked(
    host: Host, tmp_path: Path
) -> None:
    asked: list[str] = []

    def resolve(name: str, _port: int) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"]

    mime = replace(host.fetcher, resolve=resolve).fetch(
        f"https://{HOST}:{host.port}/file?x=1", tmp_path / "f"
    )
    assert (mime, (tmp_path / "f").read_bytes()) == ("video/mp4", b"the bytes")
    assert asked == [HOST], "looked up once"


def test_the_guard_is_what_keeps_it_out_of_our_network(host: Host, tmp_path: Path) -> None:
    """The fixture's fetcher, which is allowed everything, is the control: it gets the file."""
    guarded = replace(host.fetcher, allowed=is_public)
    with pytest.raises(BadQuery, match="public"):
        guarded.fetch(f"https://{HOST}:{host.port}/file?x=1", tmp_path / "f")
    mixed = replace(guarded, resolve=lambda _host, _port: ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(BadQuery, match="public"):
        mixed.fetch(f"https://{HOST}:{host.port}/file?x=1", tmp_path / "f")


@pytest.mark.parametrize(
    ("path", "error"), [("/gone", Unreachable), ("/elsewhere", Unreachable), ("/endless", BadQuery)]
)
def test_errors_redirects_and_endless_files(
    host: Host, tmp_path: Path, path: str, error: type[GreenlightError]
) -> None:
    with pytest.raises(error):
        host.fetcher.fetch(f"https://{HOST}:{host.port}{path}", tmp_path / "f")


def test_a_host_that_drips_is_left(host: Host, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(Unreachable):
        replace(host.fetcher, seconds=0.5).fetch(f"https://{HOST}:{host.port}/slow", tmp_path / "f")
    assert time.monotonic() - start < 4


def test_a_host_under_another_name_or_an_unknown_authority_is_not_believed(
    host: Host, tmp_path: Path
) -> None:
    with pytest.raises(Unreachable):
        host.fetcher.fetch(f"https://other.example.org:{host.port}/file?x=1", tmp_path / "f")
    with pytest.raises(Unreachable):
        replace(host.fetcher, tls=ssl.create_default_context).fetch(
            f"https://{HOST}:{host.port}/file?x=1", tmp_path / "f"
        )


def _nobody(_host: str, _port: int) -> list[str]:
    raise socket.gaierror


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "ftp://example.org/x",
        "https:///x",
        "https://user:word@example.org/x",
        "https://example.org:8443/x",
        "https://example.org:99999/x",
        "https://example.org/a b",
        "https://example.org/\r\nHost: inside",
        "https://[::1/x",
        "file:///etc/passwd",
        "",
    ],
)
def test_other_addresses_are_never_looked_up(url: str, tmp_path: Path) -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        pytest.fail("looked up")

    with pytest.raises(BadQuery):
        Fetcher(max_bytes=1, resolve=resolve).fetch(url, tmp_path / "f")


@pytest.mark.parametrize("resolve", [_nobody, lambda _h, _p: (_ for _ in ()).throw(UnicodeError())])
def test_a_name_that_nobody_has_is_unreachable(
    resolve: Callable[[str, int], list[str]], tmp_path: Path
) -> None:
    with pytest.raises(Unreachable):
        Fetcher(max_bytes=1, resolve=resolve).fetch("https://nobody.invalid/x", tmp_path / "f")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        *[
            (address, False)
            for address in (
                "127.0.0.1",
                "10.1.2.3",
                "172.16.0.1",
                "192.168.1.1",
                "169.254.169.254",
                "100.64.0.1",
                "0.0.0.0",
                "255.255.255.255",
                "224.0.0.1",
                "240.0.0.1",
                "::1",
                "::",
                "fe80::1%eth0",
                "fc00::1",
                "ff02::1",
                "::ffff:127.0.0.1",
                "::ffff:93.184.216.34",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
                "2001:0:7f00:1::",
            )
        ],
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) == public
