from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from core.errors import KeyMissing
from provenance.keys import (
    CLAIM_SIGNING,
    Credential,
    PemKey,
    departures,
    dev_credential,
    dev_keys,
    make_mark_key,
    mark_keys,
    open_keys,
    read_certificates,
)
from provenance.keys._development import _make_authority
from tests.conftest import ManualClock


def test_the_development_signer_signs_for_its_leaf(tmp_path: Path, clock: ManualClock) -> None:
    keys = dev_keys(tmp_path, clock)
    leaf, middle = x509.load_pem_x509_certificates(keys.chain_pem.encode())
    (root,) = x509.load_pem_x509_certificates(keys.claim_roots_pem.encode())
    middle.verify_directly_issued_by(root)
    leaf.verify_directly_issued_by(middle)
    leaf.public_key().verify(keys.sign(b"claim"), b"claim", ec.ECDSA(hashes.SHA256()))
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert CLAIM_SIGNING in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_second_start_finds_the_same_keys(tmp_path: Path, clock: ManualClock) -> None:
    assert dev_keys(tmp_path, clock).chain_pem == dev_keys(tmp_path, clock).chain_pem
    assert mark_keys(tmp_path) == mark_keys(tmp_path)


def test_starts_at_the_same_moment_agree(tmp_path: Path, clock: ManualClock) -> None:
    with ThreadPoolExecutor(8) as pool:
        chains = set(pool.map(lambda _: dev_keys(tmp_path, clock).chain_pem, range(8)))
        marks = set(pool.map(lambda _: mark_keys(tmp_path), range(8)))
    assert len(chains) == 1
    assert len(marks) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claim", "mark"], "no scratch is left"
    assert [path.name for path in (tmp_path / "mark").iterdir()] == ["0001.key"]


def test_whoever_comes_second_uses_the_firsts_mark_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: mark_keys(tmp_path), range(8)))
    assert found == [found[0]] * 8
    assert len(list((tmp_path / "mark").iterdir())) == 1


def test_whoever_comes_second_uses_the_firsts_signer(tmp_path: Path, clock: ManualClock) -> None:
    first = dev_keys(tmp_path, clock)
    _make_authority(tmp_path / "claim", clock.now())
    assert dev_keys(tmp_path, clock).chain_pem == first.chain_pem
    assert [path.name for path in tmp_path.iterdir()] == ["claim"]


def test_private_files_are_for_the_owner_alone(tmp_path: Path, clock: ManualClock) -> None:
    dev_keys(tmp_path, clock)
    mark_keys(tmp_path)
    for path in (tmp_path / "claim" / "leaf.key", tmp_path / "mark" / "0001.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_secrets_are_not_in_the_repr(tmp_path: Path, clock: ManualClock) -> None:
    assert "sign=" not in repr(dev_keys(tmp_path, clock))


def test_new_mark_keys_come_first(tmp_path: Path) -> None:
    (old,) = mark_keys(tmp_path)
    (tmp_path / "mark" / "0002.key").write_bytes(bytes(range(32)))
    newest, second = mark_keys(tmp_path)
    assert second == old
    assert newest.secret == bytes(range(32))
    assert len(old.secret) == 32
    assert old.id != newest.id


def test_one_more_mark_key_can_be_made(tmp_path: Path) -> None:
    (first,) = mark_keys(tmp_path)
    second = make_mark_key(tmp_path)
    assert mark_keys(tmp_path) == (second, first)


def test_a_short_mark_key_is_refused(tmp_path: Path) -> None:
    mark_keys(tmp_path)
    (tmp_path / "mark" / "0001.key").write_bytes(b"short")
    with pytest.raises(KeyMissing, match="damaged: 5 bytes instead of 32"):
        mark_keys(tmp_path)


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (datetime(2028, 1, 1, tzinfo=UTC), "expired on"),
        (datetime(2026, 1, 1, tzinfo=UTC), "not valid before"),
    ],
)
def test_certificates_out_of_their_time_are_refused(
    tmp_path: Path, clock: ManualClock, moment: datetime, words: str
) -> None:
    dev_keys(tmp_path, clock)
    with pytest.raises(KeyMissing, match=words):
        dev_keys(tmp_path, ManualClock(moment))


@pytest.mark.parametrize("name", ["chain.pem", "leaf.key", "roots.pem"])
@pytest.mark.parametrize("content", [None, b"", b"not a key", b"\xff\xfe"])
def test_missing_or_broken_files_are_named(
    tmp_path: Path, clock: ManualClock, name: str, content: bytes | None
) -> None:
    dev_keys(tmp_path, clock)
    path = tmp_path / "claim" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyMissing, match=name):
        dev_keys(tmp_path, clock)


def test_the_development_leaf_has_the_shape_of_the_programme(tmp_path: Path, clock: ManualClock) -> None:
    certificates = dev_credential(tmp_path, clock).certificates
    lacking = {departure.code for departure in departures(certificates, clock.now())}
    assert lacking == {"assurance", "ocsp"}, "what only an authority of the programme can give"


def test_parts_of_different_signers_are_refused(tmp_path: Path, clock: ManualClock) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    dev_keys(ours, clock)
    dev_keys(theirs, clock)
    chain, key, roots = (ours / "claim" / name for name in ("chain.pem", "leaf.key", "roots.pem"))
    other_key, other_roots = theirs / "claim" / "leaf.key", theirs / "claim" / "roots.pem"
    together = Credential(read_certificates(chain, roots), PemKey(key))
    assert open_keys(together, clock).chain_pem, "the control: these belong together"
    with pytest.raises(KeyMissing, match="does not belong"):
        open_keys(Credential(together.certificates, PemKey(other_key)), clock)
    with pytest.raises(KeyMissing, match="claim root"):
        open_keys(Credential(read_certificates(chain, other_roots), PemKey(key)), clock)


def test_a_chain_in_the_wrong_order_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    dev_keys(tmp_path, clock)
    chain = tmp_path / "claim" / "chain.pem"
    leaf, middle = x509.load_pem_x509_certificates(chain.read_bytes())
    pem = serialization.Encoding.PEM
    chain.write_bytes(leaf.public_bytes(pem) + leaf.public_bytes(pem) + middle.public_bytes(pem))
    with pytest.raises(KeyMissing, match="leaf first"):
        dev_keys(tmp_path, clock)


def test_other_kinds_of_keys_are_refused(tmp_path: Path, clock: ManualClock) -> None:
    dev_keys(tmp_path, clock)
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "claim" / "leaf.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(KeyMissing, match="P-256"):
        dev_keys(tmp_path, clock)


def test_a_certificate_for_another_purpose_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    dev_keys(tmp_path, clock)
    home = tmp_path / "claim"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "web server")])
    days = [datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 11, 1, tzinfo=UTC)]
    draft = x509.CertificateBuilder(name, name, key.public_key(), 1, *days)
    for extension in (
        x509.KeyUsage(True, False, False, False, False, False, False, False, False),
        x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]),
    ):
        draft = draft.add_extension(extension, critical=True)
    certificate = draft.sign(key, hashes.SHA256())
    (home / "leaf.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (home / "chain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(KeyMissing, match="claim signing"):
        dev_keys(tmp_path, clock)
