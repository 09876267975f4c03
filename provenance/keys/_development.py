"""The development CAs, made on first use: claim root -> intermediate -> leaf, and a time-stamp root -> leaf, ES256.

The private keys of the authorities are forgotten at once, so the folders can sign claims and stamp times and
nothing else. The two roots are apart: neither is believed for what the other is for.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.clock import Clock
from provenance.keys._certificates import CLAIM_SIGNING, Credential, read_certificates
from provenance.keys._custody import PemKey
from provenance.keys._profile import DAYS, POLICY

_AUTHORITY_DAYS = 3650
_EARLY = timedelta(hours=1)  # a peer's clock may be behind ours


@dataclass(frozen=True, slots=True)
class _Issuer:
    name: x509.Name
    key: ec.EllipticCurvePrivateKey = field(repr=False)


def dev_credential(folder: Path, clock: Clock) -> Credential:
    """Find the development signer under `folder`, making it on first use; raise `KeyMissing` if it is broken."""
    home = folder / "claim"
    if not home.exists():
        _make_authority(home, clock.now())
    return Credential(read_certificates(home / "chain.pem", home / "roots.pem"), PemKey(home / "leaf.key"))


def dev_stamper(folder: Path, clock: Clock) -> Credential:
    """Find the development time-stamp signer under `folder`, making it on first use; raise `KeyMissing` if broken."""
    home = folder / "stamp"
    if not home.exists():
        _make_stamper(home, clock.now())
    return Credential(read_certificates(home / "chain.pem", home / "roots.pem"), PemKey(home / "leaf.key"))


def _make_authority(home: Path, now: datetime) -> None:
    root_key, middle_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root_name = _name("claim root")
    root = _authority(root_name, root_key.public_key(), _Issuer(root_name, root_key), now, 1)
    middle = _authority(_name("claim CA"), middle_key.public_key(), _Issuer(root.subject, root_key), now, 0)
    leaf = _leaf(_name("signer"), leaf_key.public_key(), _Issuer(middle.subject, middle_key), now)
    _keep(home, _pem(leaf) + _pem(middle), _pem(root), leaf_key)


def _make_stamper(home: Path, now: datetime) -> None:
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _Issuer(_name("time-stamp root"), root_key)
    root = _authority(issuer.name, root_key.public_key(), issuer, now, 0)
    draft = _draft(_name("time stamps"), leaf_key.public_key(), issuer, now, _AUTHORITY_DAYS)
    # RFC 3161, section 2.3: this purpose alone, and critical
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    leaf = _end(draft).add_extension(purpose, critical=True).sign(issuer.key, hashes.SHA256())
    _keep(home, _pem(leaf), _pem(root), leaf_key)


def _keep(home: Path, chain: bytes, roots: bytes, leaf_key: ec.EllipticCurvePrivateKey) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
    (scratch / "chain.pem").write_bytes(chain)
    (scratch / "roots.pem").write_bytes(roots)
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
    # shaped like a leaf of the programme, so that what its shape brings shows before production
    policies = x509.CertificatePolicies([x509.PolicyInformation(POLICY, None)])
    draft = _draft(name, key, issuer, now, DAYS["AL1"]).add_extension(policies, critical=False)
    return _end(draft).add_extension(purposes, critical=False).sign(issuer.key, hashes.SHA256())


def _end(draft: x509.CertificateBuilder) -> x509.CertificateBuilder:
    draft = draft.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return draft.add_extension(_usage(authority=False), critical=True)


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
        .not_valid_before(now - _EARLY)
        .not_valid_after(now - _EARLY + timedelta(days=days))
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
