from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import tsp
from hypothesis import given, settings
from hypothesis import strategies as st
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response

from core.clock import SystemClock
from core.errors import BadInput, KeyMissing, TimedOut, Unavailable
from provenance.keys import dev_keys, dev_stamper, open_keys
from provenance.timestamp import Authority, dev_authority, http_authority, read_roots, relay
from tests.provenance.authorities import BAD, answering, serving


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def authority(home: Path) -> Authority:
    return dev_authority(home, SystemClock())


def question(content: bytes = b"a signature", *, nonce: bool = True) -> bytes:
    builder = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=nonce)
    return bytes(builder.build().as_bytes())


@given(st.binary(min_size=1, max_size=200), st.booleans())
@settings(max_examples=25)
def test_a_stamp_is_of_what_was_asked(authority: Authority, content: bytes, nonce: bool) -> None:
    request = question(content, nonce=nonce)
    info = decode_timestamp_response(authority.stamp(request)).tst_info
    assert (
        info.message_imprint.message
        == tsp.TimeStampReq.load(request)["message_imprint"]["hashed_message"].native
    )
    assert abs(info.gen_time - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_authority_is_made_once_and_apart_from_the_claim_ca(home: Path, authority: Authority) -> None:
    assert dev_authority(home, SystemClock()).roots_pem == authority.roots_pem
    assert dev_keys(home, SystemClock()).claim_roots_pem.strip() not in authority.roots_pem
    assert (home / "stamp" / "leaf.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyMissing):
        open_keys(dev_stamper(home, SystemClock()), SystemClock())  # it cannot sign claims


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_accepts_our_stamps(tmp_path: Path, authority: Authority) -> None:
    request = question()
    for name, content in (
        ("request", request),
        ("answer", authority.stamp(request)),
        ("roots", authority.roots_pem.encode()),
        ("other", question(b"another signature")),
    ):
        (tmp_path / name).write_bytes(content)

    def check(asked: str) -> int:
        command = ["openssl", "ts", "-verify", "-in", "answer", "-queryfile", asked, "-CAfile", "roots"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert check("request") == 0
    assert check("other") != 0, "the control"


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_authority_costs_a_moment(authority: Authority, kind: str) -> None:
    with serving(BAD[kind]) as url:
        bad = http_authority(url, authority.roots_pem, 0.4)
        start = time.monotonic()
        with pytest.raises((Unavailable, TimedOut)):
            bad.stamp(question())
        assert time.monotonic() - start < 4  # the bad ones would keep us five and more


def test_a_good_authority_answers_over_http(authority: Authority) -> None:
    with serving(answering(authority.ask)) as url:
        assert http_authority(url, authority.roots_pem, 5).stamp(question())


def test_nobody_there_is_unavailable(authority: Authority) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unavailable):
            http_authority(url, authority.roots_pem, 1).stamp(question())


REJECTION = bytes.fromhex("3005 3003 020102")
"""A TimeStampResp of a status alone: rejected."""


@pytest.mark.parametrize(
    ("give", "why"),
    [
        (lambda stamp: stamp(question(b"another signature")), "an answer to another question"),
        (lambda stamp: stamp(question(nonce=False)), "an old answer to the same question"),
        (lambda _stamp: REJECTION, "a refusal"),
    ],
)
def test_an_answer_that_does_not_hold_is_not_passed_on(
    authority: Authority, give: Callable[[Callable[[bytes], bytes]], bytes], why: str
) -> None:
    with pytest.raises(Unavailable, match="does not hold"):
        Authority(lambda _: give(authority.ask), authority.roots_pem, 5).stamp(question())


def test_a_stamp_under_another_root_is_not_believed(tmp_path: Path, authority: Authority) -> None:
    stranger = dev_authority(tmp_path, SystemClock())
    with pytest.raises(Unavailable, match="does not hold"):
        Authority(stranger.ask, authority.roots_pem, 5).stamp(question())
    assert stranger.stamp(question()), "the control"


@pytest.mark.parametrize("url", ["ftp://example.invalid", "file:///etc/passwd", "example.invalid", ""])
def test_other_addresses_are_refused(authority: Authority, url: str) -> None:
    with pytest.raises(BadInput):
        http_authority(url, authority.roots_pem, 1)


def test_roots_that_are_none_are_refused(tmp_path: Path, authority: Authority) -> None:
    with pytest.raises(KeyMissing):
        http_authority("http://example.invalid", "no certificate", 1)
    path = tmp_path / "roots.pem"
    with pytest.raises(KeyMissing, match="cannot be read"):
        read_roots(path)
    path.write_bytes(b"\xff no certificate")
    with pytest.raises(KeyMissing):
        read_roots(path)
    path.write_text(authority.roots_pem)
    assert read_roots(path) == authority.roots_pem


@given(st.binary(max_size=100))
@settings(max_examples=30)
def test_the_development_authority_refuses_what_is_no_request(authority: Authority, content: bytes) -> None:
    with pytest.raises(BadInput):
        authority.ask(content)


def post(url: str, content: bytes) -> bytes:
    with urllib.request.urlopen(url, content, timeout=5) as response:
        return bytes(response.read())


def test_the_relay_passes_one_answer_on_and_keeps_the_error(authority: Authority) -> None:
    with relay(authority) as through:
        assert decode_timestamp_response(post(through.url, question()))
        assert through.error is None
    with relay(Authority(lambda _: b"", authority.roots_pem, 1)) as through:
        with pytest.raises(urllib.error.HTTPError, match="503"):
            post(through.url, question())
        assert isinstance(through.error, Unavailable)
        with pytest.raises(urllib.error.HTTPError, match="413"):
            post(through.url, bytes(5000))


def test_the_relay_is_gone_afterwards(authority: Authority) -> None:
    with relay(authority) as through:
        pass
    with pytest.raises(OSError, match="refused"):
        post(through.url, question())
