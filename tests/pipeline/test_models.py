"""Downloads are kept only when every byte is the promised one."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.errors import BadInput, ModelMissing
from core.models import Source
from pipeline.models import _downloaded, pull

CONTENT = b"weights" * 1000


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if "missing" in self.path else 200)
            self.end_headers()
            self.wfile.write(b"" if "missing" in self.path else CONTENT)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def entry(url: str, content: bytes = CONTENT) -> Source:
    return Source(
        name="net",
        origin="download",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        licence="MIT",
        source="here",
        url=url,
    )


def test_a_download_is_checked_kept_and_not_fetched_twice(server: str, tmp_path: Path) -> None:
    assert _downloaded(entry(f"{server}/net.onnx"), tmp_path).name == "net"
    assert (tmp_path / "net.onnx").read_bytes() == CONTENT
    assert _downloaded(entry("http://127.0.0.1:9/net.onnx"), tmp_path).name == "net"


@pytest.mark.parametrize("promised", [b"other" * 1400, CONTENT[:-1]], ids=["other", "longer"])
def test_other_bytes_are_thrown_away(server: str, tmp_path: Path, promised: bytes) -> None:
    with pytest.raises(ModelMissing, match="wrong digest"):
        _downloaded(entry(f"{server}/net.onnx", promised), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["/missing.onnx", None], ids=["missing", "unreachable"])
def test_what_cannot_be_had_is_said(server: str, tmp_path: Path, url: str | None) -> None:
    with pytest.raises(ModelMissing, match="cannot be downloaded"):
        _downloaded(entry(f"{server}{url}" if url else "http://127.0.0.1:9/net.onnx"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_changed_since_is_not_taken(server: str, tmp_path: Path) -> None:
    _downloaded(entry(f"{server}/net.onnx"), tmp_path)
    (tmp_path / "net.onnx").write_bytes(b"changed")
    with pytest.raises(ModelMissing, match="digest"):
        _downloaded(entry(f"{server}/net.onnx"), tmp_path)


def test_an_unknown_tier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tiers"):
        pull(tmp_path, tmp_path, "golden")
