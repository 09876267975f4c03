from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from core.errors import KeyMissing
from provenance.keys import (
    Credential,
    Custody,
    PemKey,
    ProgramKey,
    TokenKey,
    custody_from,
    custody_json,
    open_keys,
)
from provenance.manifest import Claim, read, sign
from tests.conftest import ManualClock
from tests.provenance.keys.leaves import Authority, key_pem

paths = st.text("abc/ é", min_size=1, max_size=12).map(lambda name: Path("/keys") / name.strip("/"))
texts = st.text(min_size=1, max_size=12)
custodies: st.SearchStrategy[Custody] = st.one_of(
    st.builds(PemKey, paths, st.none() | paths),
    st.builds(TokenKey, paths, texts, texts, paths),
    st.builds(ProgramKey, st.lists(texts, min_size=1).map(tuple), st.floats(0.1, 60)),
)

SIGNER = """
import sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = serialization.load_pem_private_key(open(sys.argv[1], "rb").read(), None)
sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read(), ec.ECDSA(hashes.SHA256())))
"""


@given(custodies)
def test_a_custody_survives_the_database(custody: Custody) -> None:
    assert custody_from(custody_json(custody)) == custody


def test_an_unknown_custody_is_refused() -> None:
    with pytest.raises(KeyMissing, match="does not know"):
        custody_from({"kind": "yellow note under the keyboard"})


def credential(folder: Path, clock: ManualClock, passphrase: bytes | None = None) -> Credential:
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "key.pem").write_bytes(key_pem(key, passphrase))
    return Credential(Authority(clock.now()).certificates(key.public_key()), PemKey(folder / "key.pem"))


def test_an_encrypted_key_opens_with_its_passphrase_and_not_without(
    tmp_path: Path, clock: ManualClock
) -> None:
    certificates = credential(tmp_path, clock, b"open sesame").certificates
    secret, wrong, empty = (tmp_path / name for name in ("secret", "wrong", "empty"))
    secret.write_bytes(b"open sesame\n")
    wrong.write_bytes(b"open barley\n")
    empty.touch()
    key = tmp_path / "key.pem"
    assert open_keys(Credential(certificates, PemKey(key, secret)), clock).sign(b"x")
    for passphrase, words in ((wrong, "opened"), (None, "opened"), (empty, "empty"), (key / "x", "read")):
        with pytest.raises(KeyMissing, match=words):
            open_keys(Credential(certificates, PemKey(key, passphrase)), clock)


def test_a_passphrase_for_a_plain_key_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    plain = credential(tmp_path, clock)
    (tmp_path / "secret").write_bytes(b"open sesame")
    with pytest.raises(KeyMissing, match="opened"):
        open_keys(Credential(plain.certificates, PemKey(tmp_path / "key.pem", tmp_path / "secret")), clock)


def program(folder: Path, code: str, *, seconds: float = 20) -> ProgramKey:
    (folder / "signer.py").write_text(code)
    return ProgramKey((sys.executable, str(folder / "signer.py"), str(folder / "key.pem")), seconds)


def test_a_program_signs_a_manifest_that_is_trusted(
    tmp_path: Path, clock: ManualClock, film: Path, claim: Claim
) -> None:
    from core.clock import SystemClock

    clock.at = SystemClock().now()  # the SDK reads the machine's clock
    certificates = credential(tmp_path, clock).certificates
    keys = open_keys(Credential(certificates, program(tmp_path, SIGNER)), clock)
    sign(film, tmp_path / "signed.mp4", claim, keys)
    assert read(tmp_path / "signed.mp4", keys.claim_roots_pem).state == "trusted"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit(7)", "exit code 7"),
        ("pass", "answered 0 bytes"),
        ("print('x' * 1000)", "answered 1001 bytes"),
        ("print('x' * 63)", "does not belong"),
    ],
)
def test_a_program_that_answers_nonsense_is_refused(
    tmp_path: Path, clock: ManualClock, code: str, words: str
) -> None:
    certificates = credential(tmp_path, clock).certificates
    with pytest.raises(KeyMissing, match=words):
        open_keys(Credential(certificates, program(tmp_path, code)), clock)


def test_a_program_that_is_not_there_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    certificates = credential(tmp_path, clock).certificates
    with pytest.raises(KeyMissing, match="cannot be started"):
        open_keys(Credential(certificates, ProgramKey((str(tmp_path / "nothing"),), 1)), clock)


def test_a_program_that_hangs_ends_with_everything_it_started(tmp_path: Path, clock: ManualClock) -> None:
    certificates = credential(tmp_path, clock).certificates
    script = f"echo $$ > {tmp_path}/shell; sleep 60 & echo $! > {tmp_path}/child; wait"
    started = time.monotonic()
    with pytest.raises(KeyMissing, match="within 1 s"):
        open_keys(Credential(certificates, ProgramKey(("/bin/sh", "-c", script), 1)), clock)
    assert time.monotonic() - started < 20
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not _alive(child):
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child of the signer program lives on")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
