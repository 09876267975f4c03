"""Certificates made to order: an authority whose leaves depart from the profile where a test asks them to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from provenance.keys import CLAIM_SIGNING, Certificates, certificates_of
from provenance.keys._profile import ASSURANCE, POLICY

PURPOSES = (CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A leaf as the programme wants it, and where it may depart."""

    days: float = 90
    starts: timedelta = timedelta(0)
    purposes: tuple[x509.ObjectIdentifier, ...] = PURPOSES
    usage: bool = True
    signs: bool = True
    critical: bool = True
    non_repudiation: bool = True
    issues: bool = False
    authority: bool = False
    issuer_id: bool = True
    policy: bool = True
    ocsp: bool = True
    assurance: bool = True
    organization: bool = True


def pem(*certificates: x509.Certificate) -> str:
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


class Authority:
    """A claim root."""

    def __init__(self, now: datetime, name: str = "test root") -> None:
        self.now, self.name, self.key = now, _name(name), ec.generate_private_key(ec.SECP256R1())
        draft = self._draft(self.name, self.key.public_key(), now, timedelta(days=3650))
        self.root = draft.add_extension(x509.BasicConstraints(True, None), True).sign(
            self.key, hashes.SHA256()
        )

    def leaf(self, public: object, shape: Shape = Shape()) -> x509.Certificate:
        start = self.now + shape.starts
        name = _name("leaf", organization=shape.organization)
        draft = self._draft(name, public, start, timedelta(days=shape.days))
        for extension, critical in self._extensions(shape):
            draft = draft.add_extension(extension, critical)
        return draft.sign(self.key, hashes.SHA256())

    def certificates(self, public: object, shape: Shape = Shape()) -> Certificates:
        return certificates_of(pem(self.leaf(public, shape)), pem(self.root))

    def _draft(
        self, name: x509.Name, public: object, start: datetime, lasts: timedelta
    ) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            self.name, name, public, x509.random_serial_number(), start, start + lasts
        )

    def _extensions(self, shape: Shape) -> list[tuple[x509.ExtensionType, bool]]:
        usage = x509.KeyUsage(
            shape.signs, shape.non_repudiation, False, False, False, shape.issues, False, False, False
        )
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        ocsp = x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.invalid")
        )
        wanted: list[tuple[bool, x509.ExtensionType, bool]] = [
            (shape.usage, usage, shape.critical),
            (bool(shape.purposes), x509.ExtendedKeyUsage(shape.purposes or PURPOSES), False),
            (True, x509.BasicConstraints(shape.authority, None), True),
            (shape.issuer_id, issuer, False),
            (shape.policy, x509.CertificatePolicies([x509.PolicyInformation(POLICY, None)]), False),
            (shape.ocsp, x509.AuthorityInformationAccess([ocsp]), False),
            (shape.assurance, x509.UnrecognizedExtension(ASSURANCE, b"\x05\x00"), False),
        ]
        return [(extension, critical) for there, extension, critical in wanted if there]


def _name(common: str, *, organization: bool = True) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test studio"))
    return x509.Name(parts)
