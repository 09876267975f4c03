"""PKCS#11 against SoftHSM2 from the distribution."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from core.clock import SystemClock
from core.errors import KeyMissing
from provenance.keys import Credential, TokenKey, open_keys
from provenance.keys._custody import open_signer
from provenance.manifest import Claim, read, sign
from tests.provenance.keys.leaves import Authority, key_pem

PIN = "1234"
PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
)


@pytest.fixture(scope="module")
def module() -> Path:
    found = next((Path(place) for place in PLACES if Path(place).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must run with SoftHSM2")
        pytest.skip("SoftHSM2 (package softhsm2) is not installed")
    return found


class Hsm:
    """A SoftHSM whose store is a folder of the test."""

    def __init__(self, folder: Path, module: Path) -> None:
        self.folder, self.module = folder, module
        (folder / "tokens").mkdir()
        (folder / "pin").write_text(PIN + "\n")
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
        self.util("--init-token", "--free", "--label", "greenlight", "--so-pin", "5678", "--pin", PIN)

    def util(self, *arguments: str) -> None:
        subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)

    def store(self, key: ec.EllipticCurvePrivateKey, label: str, number: str) -> TokenKey:
        path = self.folder / f"{label}.pem"
        path.write_bytes(key_pem(key))
        self.util(
            "--import", str(path), "--token", "greenlight", "--label", label, "--id", number, "--pin", PIN
        )
        path.unlink()
        return TokenKey(self.module, "greenlight", label, self.folder / "pin")


@pytest.fixture(scope="module")
def hsm(module: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hsm]:
    before = os.environ.get("SOFTHSM2_CONF")
    yield Hsm(tmp_path_factory.mktemp("hsm"), module)
    if before is None:
        os.environ.pop("SOFTHSM2_CONF")
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def stored(hsm: Hsm, key: ec.EllipticCurvePrivateKey) -> TokenKey:
    return hsm.store(key, "claim", "01")


def check(key: ec.EllipticCurvePrivateKey, raw: bytes, data: bytes) -> None:
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.public_key().verify(der, data, ec.ECDSA(hashes.SHA256()))


def test_a_token_signs_a_manifest_that_is_trusted(
    stored: TokenKey, key: ec.EllipticCurvePrivateKey, film: Path, claim: Claim, tmp_path: Path
) -> None:
    clock = SystemClock()
    certificates = Authority(clock.now()).certificates(key.public_key())
    keys = open_keys(Credential(certificates, stored), clock)
    sign(film, tmp_path / "signed.mp4", claim, keys)
    assert read(tmp_path / "signed.mp4", keys.claim_roots_pem).state == "trusted"


def test_another_keys_certificate_is_refused(stored: TokenKey) -> None:
    clock = SystemClock()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(KeyMissing, match="does not belong"):
        open_keys(Credential(Authority(clock.now()).certificates(other), stored), clock)


def test_threads_take_turns(stored: TokenKey, key: ec.EllipticCurvePrivateKey) -> None:
    sign_with = open_signer(stored)
    pieces = [bytes([index]) * 100 for index in range(64)]
    with ThreadPoolExecutor(8) as pool:
        for piece, raw in zip(pieces, pool.map(sign_with, pieces), strict=True):
            check(key, raw, piece)


def test_two_keys_of_one_token_sign_side_by_side(
    hsm: Hsm, stored: TokenKey, key: ec.EllipticCurvePrivateKey
) -> None:
    """As during a rotation."""
    next_key = ec.generate_private_key(ec.SECP256R1())
    old, new = open_signer(stored), open_signer(hsm.store(next_key, "claim-2", "02"))
    for _ in range(3):
        check(key, old(b"a"), b"a")
        check(next_key, new(b"b"), b"b")


def test_a_session_that_was_lost_is_opened_again(stored: TokenKey, key: ec.EllipticCurvePrivateKey) -> None:
    signer: Any = open_signer(stored)
    check(key, signer(b"before"), b"before")
    signer._session.close()
    check(key, signer(b"after"), b"after")


def test_a_token_that_goes_away_is_a_clear_error_until_it_returns(
    hsm: Hsm, stored: TokenKey, key: ec.EllipticCurvePrivateKey
) -> None:
    signer = open_signer(stored)
    check(key, signer(b"before"), b"before")
    away = hsm.folder / "away"
    (hsm.folder / "tokens").rename(away)
    (hsm.folder / "tokens").mkdir()
    try:
        _lose_sessions(stored.module)
        with pytest.raises(KeyMissing, match="token greenlight does not sign"):
            signer(b"meanwhile")
    finally:
        (hsm.folder / "tokens").rmdir()
        away.rename(hsm.folder / "tokens")
    check(key, signer(b"after"), b"after")


def _lose_sessions(module: Path) -> None:
    """What a token that is unplugged does to everybody who holds a session."""
    import pkcs11

    pkcs11.lib(str(module)).reinitialize()


def test_a_wrong_pin_or_label_is_a_clear_error(hsm: Hsm, stored: TokenKey, tmp_path: Path) -> None:
    _lose_sessions(stored.module)
    (tmp_path / "pin").write_text("9999")
    wrong = (
        TokenKey(stored.module, "greenlight", "claim", tmp_path / "pin"),
        TokenKey(stored.module, "greenlight", "no such key", stored.pin),
        TokenKey(stored.module, "no such token", "claim", stored.pin),
        TokenKey(tmp_path / "no.so", "greenlight", "claim", stored.pin),
        TokenKey(stored.module, "greenlight", "claim", tmp_path / "no pin"),
    )
    for custody in wrong:
        with pytest.raises(KeyMissing):
            open_signer(custody)(b"x")
