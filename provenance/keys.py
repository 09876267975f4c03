"""Keys of this installation: the claim signer behind a callback, its certificates, and the watermark keys.

Without configured keys a development CA is made on first use: claim root -> intermediate -> leaf, ES256.
The private keys of the two authorities are forgotten at once, so the folder can sign claims and nothing else.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.clock import Clock
from core.errors import KeyMissing
from core.vault import secret_file
from provenance.marks import MarkKey

CLAIM_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""The extended key usage of C2PA claim signers."""

_AUTHORITY_DAYS = 3650
_MARK_KEY_BYTES = 32
_LEAF_DAYS = 366  # the conformance programme's limit for assurance level 1


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """A claim signer: `chain_pem` is the leaf, then the intermediates; `claim_roots_pem` whom we trust.

    `sign` returns the DER or raw r||s ES256 signature of its argument; the private key stays behind it,
    in this process, an HSM or a KMS.
    """

    chain_pem: str
    sign: Callable[[bytes], bytes] = field(repr=False)
    claim_roots_pem: str


@dataclass(frozen=True, slots=True)
class _Issuer:
    name: x509.Name
    key: ec.EllipticCurvePrivateKey = field(repr=False)


def dev_keys(folder: Path, clock: Clock) -> SigningKeys:
    """Load the development signer under `folder`, making it on first use; raise `KeyMissing` if it is broken."""
    home = folder / "claim"
    if not home.exists():
        _make_authority(home, clock.now())
    return load_keys(home / "chain.pem", home / "leaf.key", home / "roots.pem", clock)


def load_keys(chain: Path, key: Path, roots: Path, clock: Clock) -> SigningKeys:
    """Load a PEM chain, its P-256 key and the claim roots; raise `KeyMissing` if they cannot sign now."""
    chain_pem, roots_pem = _text(chain), _text(roots)
    certificates = _certificates(chain_pem, chain)
    private = _private(key)
    if private.public_key() != certificates[0].public_key():
        raise KeyMissing(f"The key in {key.name} does not belong to the certificate in {chain.name}")
    _check_leaf(certificates[0])
    _check_path(certificates, _certificates(roots_pem, roots))
    _check_time(certificates, clock.now())
    return SigningKeys(chain_pem, _signer(private), roots_pem)


def mark_keys(folder: Path) -> tuple[MarkKey, ...]:
    """Load the watermark keys under `folder`, newest first; the first is made when there is none."""
    home = folder / "mark"
    home.mkdir(parents=True, exist_ok=True)
    if not any(home.glob("*.key")):
        secret_file(home / "0001.key", _MARK_KEY_BYTES)
    return tuple(_mark_key(path) for path in sorted(home.glob("*.key"), reverse=True))


def _mark_key(path: Path) -> MarkKey:
    secret = secret_file(path, _MARK_KEY_BYTES)
    return MarkKey(hashlib.sha256(b"greenlight mark key id" + secret).hexdigest()[:12], secret)


def _make_authority(home: Path, now: datetime) -> None:
    root_key, middle_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root_name = _name("claim root")
    root = _authority(root_name, root_key.public_key(), _Issuer(root_name, root_key), now, 1)
    middle = _authority(_name("claim CA"), middle_key.public_key(), _Issuer(root.subject, root_key), now, 0)
    leaf = _leaf(_name("signer"), leaf_key.public_key(), _Issuer(middle.subject, middle_key), now)
    home.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".claim.", dir=home.parent))
    (scratch / "chain.pem").write_bytes(_pem(leaf) + _pem(middle))
    (scratch / "roots.pem").write_bytes(_pem(root))
    _write_private(scratch / "leaf.key", _key_pem(leaf_key))
    try:
        scratch.rename(home)  # all of it or nothing: renaming onto a filled folder fails
    except OSError:
        shutil.rmtree(scratch)
        if not home.exists():
            raise


def _name(role: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Greenlight development {role}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Greenlight development"),
        ]
    )


def _authority(
    name: x509.Name, key: ec.EllipticCurvePublicKey, issuer: _Issuer, now: datetime, path_length: int
) -> x509.Certificate:
    draft = _draft(name, key, issuer, now, _AUTHORITY_DAYS)
    draft = draft.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    draft = draft.add_extension(_usage(authority=True), critical=True)
    return draft.sign(issuer.key, hashes.SHA256())


def _leaf(
    name: x509.Name, key: ec.EllipticCurvePublicKey, issuer: _Issuer, now: datetime
) -> x509.Certificate:
    purposes = x509.ExtendedKeyUsage([CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION])
    draft = _draft(name, key, issuer, now, _LEAF_DAYS)
    draft = draft.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    draft = draft.add_extension(_usage(authority=False), critical=True).add_extension(
        purposes, critical=False
    )
    return draft.sign(issuer.key, hashes.SHA256())


def _draft(
    name: x509.Name, key: ec.EllipticCurvePublicKey, issuer: _Issuer, now: datetime, days: int
) -> x509.CertificateBuilder:
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a peer's clock may be behind ours
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(issuer_id, critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600, exist_ok=False)  # private before there is anything to read
    path.write_bytes(content)


def _signer(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    return lambda data: key.sign(data, ec.ECDSA(hashes.SHA256()))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(f"The signing material {path} cannot be read: {error}") from error


def _certificates(pem: str, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise KeyMissing(f"{path} holds no PEM certificates: {error}") from error


def _private(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_text(path).encode(), password=None)
    except (ValueError, TypeError) as error:
        raise KeyMissing(f"{path} holds no unencrypted PEM private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyMissing(f"{path} must hold an ECDSA key on P-256 (ES256)")
    return key


def _check_leaf(leaf: x509.Certificate) -> None:
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise KeyMissing("The signing certificate does not state its key usages") from error
    if CLAIM_SIGNING not in purposes or not usage.digital_signature:
        raise KeyMissing("The signing certificate is not one for C2PA claim signing")


def _check_path(chain: list[x509.Certificate], roots: list[x509.Certificate]) -> None:
    for certificate, issuer in pairwise(chain):
        if not _issued(certificate, issuer):
            raise KeyMissing("The certificates of the signing chain are not in order, leaf first")
    if not any(_issued(chain[-1], root) for root in roots):
        raise KeyMissing("The signing chain does not lead to a claim root")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_time(chain: list[x509.Certificate], now: datetime) -> None:
    for certificate in chain:
        if now < certificate.not_valid_before_utc:
            raise KeyMissing(f"A signing certificate is not valid before {certificate.not_valid_before_utc}")
        if now > certificate.not_valid_after_utc:
            raise KeyMissing(f"A signing certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
