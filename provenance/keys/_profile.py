"""What the C2PA conformance programme wants of a claim signer's certificates, checked one point at a time.

An error means that nothing can be signed, or that nobody could believe it. A warning means that it signs
and that an assessor of the programme would object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from provenance.keys._certificates import CLAIM_SIGNING, Certificates

E = TypeVar("E", bound=x509.ExtensionType)
Level = Literal["AL1", "AL2"]
DAYS: dict[Level, int] = {"AL1": 366, "AL2": 90}
"""The longest validity of a leaf at each assurance level, in days."""
POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.62558.1.1")
"""The certificate policy of the C2PA programme."""
ASSURANCE = x509.ObjectIdentifier("1.3.6.1.4.1.62558.3")
"""The extension that states the assurance level."""

_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
_SECOND_PURPOSES = {ExtendedKeyUsageOID.EMAIL_PROTECTION, _DOCUMENT_SIGNING}
_FORBIDDEN_PURPOSES = {
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    ExtendedKeyUsageOID.TIME_STAMPING,
    ExtendedKeyUsageOID.OCSP_SIGNING,
}


@dataclass(frozen=True, slots=True)
class Departure:
    """One point in which certificates depart from the profile."""

    severity: Literal["error", "warning"]
    code: str
    message: str


def departures(certificates: Certificates, now: datetime, level: Level = "AL1") -> tuple[Departure, ...]:
    """List every departure of a chain from the profile, as of `now`; empty means that it is as it should be."""
    leaf = certificates.leaf
    found = [departure for check in _LEAF_CHECKS for departure in check(leaf)]
    found += [*_path(certificates), *_time(certificates.chain, now), *_lifetime(leaf, level)]
    return tuple(found)


def _error(code: str, message: str) -> Departure:
    return Departure("error", code, message)


def _warning(code: str, message: str) -> Departure:
    return Departure("warning", code, message)


def _key(leaf: x509.Certificate) -> Iterator[Departure]:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        yield _error("key_type", "The signing certificate is not for an ECDSA key on P-256 (ES256).")


def _usage(leaf: x509.Certificate) -> Iterator[Departure]:
    found = _extension(leaf, x509.KeyUsage)
    if found is None:
        yield _error("key_usage", "The signing certificate does not state its key usage.")
        return
    usage = found.value
    if not usage.digital_signature:
        yield _error("key_usage", "The signing certificate's key usage does not allow digital signatures.")
    if usage.key_cert_sign:
        yield _error("key_usage", "The signing certificate's key usage allows it to issue certificates.")
    if not found.critical:
        yield _warning("key_usage_critical", "The signing certificate's key usage is not marked critical.")
    if not usage.content_commitment:
        yield _warning("non_repudiation", "The signing certificate's key usage lacks non-repudiation.")


def _purposes(leaf: x509.Certificate) -> Iterator[Departure]:
    found = _extension(leaf, x509.ExtendedKeyUsage)
    purposes = set(found.value) if found else set()
    if CLAIM_SIGNING not in purposes:
        yield _error("claim_signing", "The signing certificate is not one for C2PA claim signing.")
    if purposes & _FORBIDDEN_PURPOSES:
        yield _error(
            "purposes", "The signing certificate is also one for time stamps, OCSP answers or any purpose."
        )
    if not purposes & _SECOND_PURPOSES:
        yield _warning(
            "second_purpose", "The signing certificate names neither e-mail protection nor document signing."
        )


def _constraints(leaf: x509.Certificate) -> Iterator[Departure]:
    found = _extension(leaf, x509.BasicConstraints)
    if found is not None and found.value.ca:
        yield _error("authority", "The signing certificate is that of an authority.")
    if _extension(leaf, x509.AuthorityKeyIdentifier) is None:
        yield _error("authority_key_id", "The signing certificate does not identify its issuer's key.")


def _statements(leaf: x509.Certificate) -> Iterator[Departure]:
    policies = _extension(leaf, x509.CertificatePolicies)
    if POLICY not in {policy.policy_identifier for policy in policies.value} if policies else True:
        yield _warning(
            "policy", f"The signing certificate does not name the C2PA policy {POLICY.dotted_string}."
        )
    if ASSURANCE not in {extension.oid for extension in leaf.extensions}:
        yield _warning("assurance", "The signing certificate does not state an assurance level.")
    access = _extension(leaf, x509.AuthorityInformationAccess)
    if (
        AuthorityInformationAccessOID.OCSP not in {one.access_method for one in access.value}
        if access
        else True
    ):
        yield _warning("ocsp", "The signing certificate does not say where its revocation can be asked for.")
    if not leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME):
        yield _warning("organization", "The signing certificate names no organisation to show to people.")


_LEAF_CHECKS: tuple[Callable[[x509.Certificate], Iterator[Departure]], ...] = (
    _key,
    _purposes,
    _usage,
    _constraints,
    _statements,
)


def _path(certificates: Certificates) -> Iterator[Departure]:
    chain, roots = certificates.chain, certificates.roots
    if any(not _issued(certificate, issuer) for certificate, issuer in pairwise(chain)):
        yield _error("order", "The certificates of the signing chain are not in order, leaf first.")
    elif not any(chain[-1] == root or _issued(chain[-1], root) for root in roots):
        yield _error("root", "The signing chain does not lead to a claim root.")
    if len(chain) > 1 and chain[-1].subject == chain[-1].issuer:
        yield _warning(
            "root_in_chain", "The signing chain carries its root, which belongs into the trust list only."
        )


def _time(chain: tuple[x509.Certificate, ...], now: datetime) -> Iterator[Departure]:
    for certificate in chain:
        if now < certificate.not_valid_before_utc:
            day = certificate.not_valid_before_utc
            yield _error("not_yet_valid", f"A signing certificate is not valid before {day:%Y-%m-%d}.")
        if now > certificate.not_valid_after_utc:
            day = certificate.not_valid_after_utc
            yield _error("expired", f"A signing certificate expired on {day:%Y-%m-%d}.")


def _lifetime(leaf: x509.Certificate, level: Level) -> Iterator[Departure]:
    days = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() / 86_400
    if days > DAYS[level]:
        yield _warning(
            "lifetime", f"The signing certificate is valid for {days:.0f} days; {level} allows {DAYS[level]}."
        )


def _extension(leaf: x509.Certificate, kind: type[E]) -> x509.Extension[E] | None:
    try:
        return leaf.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
