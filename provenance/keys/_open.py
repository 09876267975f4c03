"""Open a claim signer: nothing signs whose certificates would not be believed, or whose key is another's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from core.clock import Clock
from core.errors import KeyMissing
from provenance.keys._certificates import Certificates, Credential, certificates_of
from provenance.keys._custody import Sign, open_signer
from provenance.keys._development import dev_credential
from provenance.keys._profile import departures

_RAW_SIGNATURE = 64
_PROBE = b"greenlight: does this key belong to this certificate?"


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """A claim signer: `chain_pem` is the leaf, then the intermediates; `claim_roots_pem` whom we trust.

    `sign` returns the DER or raw r||s ES256 signature of its argument; the private key stays behind it,
    in this process, an HSM or a KMS.
    """

    chain_pem: str
    sign: Callable[[bytes], bytes] = field(repr=False)
    claim_roots_pem: str

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the leaf, in hex: the name of the key in log and database."""
        return certificates_of(self.chain_pem, self.claim_roots_pem).fingerprint


def open_keys(credential: Credential, clock: Clock) -> SigningKeys:
    """Open a signer, asking its key for one signature; raise `KeyMissing` if it cannot sign claims now."""
    certificates = credential.certificates
    sign = open_signer(credential.custody)
    for departure in departures(certificates, clock.now()):
        if departure.severity == "error":
            raise KeyMissing(departure.message)
    _check_belongs(sign, certificates.leaf)
    return SigningKeys(certificates.chain_pem, sign, certificates.roots_pem)


def dev_keys(folder: Path, clock: Clock) -> SigningKeys:
    """Open the development signer under `folder`, making it on first use; raise `KeyMissing` if it is broken."""
    return open_keys(dev_credential(folder, clock), clock)


def check_time(certificates: Certificates, now: datetime) -> None:
    """Raise `KeyMissing` when a certificate of the chain does not count now."""
    for departure in departures(certificates, now):
        if departure.code in ("expired", "not_yet_valid"):
            raise KeyMissing(departure.message)


def _check_belongs(sign: Sign, leaf: x509.Certificate) -> None:
    public = leaf.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)  # the profile allows no other
    try:
        public.verify(_der(sign(_PROBE)), _PROBE, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise KeyMissing("The signing key does not belong to the signing certificate.") from error


def _der(signature: bytes) -> bytes:
    if len(signature) != _RAW_SIGNATURE:
        return signature
    halves = (signature[:32], signature[32:])
    return encode_dss_signature(*(int.from_bytes(half, "big") for half in halves))
