"""Certificates of a claim signer: read from PEM, and what we call them by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from core.errors import KeyMissing
from provenance.keys._custody import Custody

CLAIM_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""The extended key usage of C2PA claim signers."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """A signing chain, leaf first, and the claim roots it should lead to, both PEM and parsed."""

    chain_pem: str
    roots_pem: str
    chain: tuple[x509.Certificate, ...]
    roots: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that signs."""
        return self.chain[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf, hex: the id of this signer."""
        return self.leaf.fingerprint(hashes.SHA256()).hex()

    @property
    def serial(self) -> str:
        """The leaf's serial number in decimal, as manifests name their signer."""
        return str(self.leaf.serial_number)

    @property
    def expires(self) -> datetime:
        """The moment after which the first certificate of the chain no longer counts."""
        return min(certificate.not_valid_after_utc for certificate in self.chain)


@dataclass(frozen=True, slots=True)
class Credential:
    """Everything needed to sign with one key: its certificates, and where its private half is kept."""

    certificates: Certificates
    custody: Custody


def read_certificates(chain: Path, roots: Path) -> Certificates:
    """Read chain and roots from PEM files; raise `KeyMissing` naming the file that is broken."""
    return certificates_of(_text(chain), _text(roots), chain.name, roots.name)


def certificates_of(
    chain_pem: str, roots_pem: str, chain_name: str = "The chain", roots_name: str = "The root list"
) -> Certificates:
    """Parse chain and roots; raise `KeyMissing` when either holds no certificate."""
    return Certificates(chain_pem, roots_pem, _parsed(chain_pem, chain_name), _parsed(roots_pem, roots_name))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(f"The signing material {path.name} cannot be read.") from error


def _parsed(pem: str, name: str) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(pem.encode()))
    except ValueError as error:
        raise KeyMissing(f"{name} holds no PEM certificates: {error}") from error
