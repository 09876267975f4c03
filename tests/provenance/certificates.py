"""A root whose key is kept, so that leaves of any kind can be issued under it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.clock import SystemClock
from provenance.keys import CLAIM_SIGNING, Credential, PemKey, SigningKeys, certificates_of
from provenance.timestamp import Authority
from provenance.timestamp._development import _Stamper

DAY = timedelta(days=1)
CLAIMS = (CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)


class Root:
    """A claim root or a time-stamp root, as it comes."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name("root")
        self.pem = self._issue(self.name, self.key.public_key(), DAY, -timedelta(hours=1), None)

    def signer(
        self,
        life: timedelta = DAY,
        *,
        begins: timedelta = -timedelta(hours=1),
        purposes: tuple[x509.ObjectIdentifier, ...] | list[x509.ObjectIdentifier] = CLAIMS,
    ) -> SigningKeys:
        """Issue a claim signer that ends `life` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = self._issue(_name("signer"), key.public_key(), life, begins, list(purposes))
        return SigningKeys(pem, lambda data: key.sign(data, ec.ECDSA(hashes.SHA256())), self.pem)

    def authority(self, folder: Path) -> Authority:
        """Issue a time-stamp authority whose key is kept under `folder`."""
        key, path = ec.generate_private_key(ec.SECP256R1()), folder / "stamp.key"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        purposes = [ExtendedKeyUsageOID.TIME_STAMPING]
        pem = self._issue(_name("time stamps"), key.public_key(), DAY, -timedelta(hours=1), purposes)
        credential = Credential(certificates_of(pem, self.pem), PemKey(path))
        return Authority(_Stamper(credential, SystemClock()), self.pem, 5)

    def _issue(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePublicKey,
        life: timedelta,
        begins: timedelta,
        purposes: list[x509.ObjectIdentifier] | None,
    ) -> str:
        now, leaf = datetime.now(UTC), purposes is not None
        draft = x509.CertificateBuilder(
            self.name, name, key, x509.random_serial_number(), now + begins, now + life
        )
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        draft = draft.add_extension(x509.BasicConstraints(not leaf, None), critical=True)
        draft = draft.add_extension(_usage(leaf=leaf), critical=True)
        draft = draft.add_extension(identifier, critical=False)
        draft = draft.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        if purposes:
            stamping = ExtendedKeyUsageOID.TIME_STAMPING in purposes
            draft = draft.add_extension(x509.ExtendedKeyUsage(purposes), critical=stamping)
        return draft.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _name(role: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Test {role}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
        ]
    )


def _usage(*, leaf: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=leaf,
        content_commitment=leaf,
        key_cert_sign=not leaf,
        crl_sign=not leaf,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
