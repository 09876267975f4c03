from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from provenance.keys import CLAIM_SIGNING, certificates_of, departures
from tests.conftest import ManualClock
from tests.provenance.keys.leaves import Authority, Shape, pem

P256 = ec.generate_private_key(ec.SECP256R1()).public_key()
EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION


def found(clock: ManualClock, shape: Shape, public: Any = P256, **options: Any) -> set[tuple[str, str]]:
    certificates = Authority(clock.now()).certificates(public, shape)
    return {(one.severity, one.code) for one in departures(certificates, clock.now(), **options)}


def test_a_leaf_of_the_programme_departs_nowhere(clock: ManualClock) -> None:
    assert found(clock, Shape()) == set()
    assert found(clock, Shape(), level="AL2") == set()


@pytest.mark.parametrize(
    ("shape", "departure"),
    [
        (Shape(usage=False), ("error", "key_usage")),
        (Shape(signs=False), ("error", "key_usage")),
        (Shape(issues=True), ("error", "key_usage")),
        (Shape(purposes=(EMAIL,)), ("error", "claim_signing")),
        (Shape(purposes=(CLAIM_SIGNING, EMAIL, ExtendedKeyUsageOID.TIME_STAMPING)), ("error", "purposes")),
        (
            Shape(purposes=(CLAIM_SIGNING, EMAIL, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)),
            ("error", "purposes"),
        ),
        (Shape(authority=True), ("error", "authority")),
        (Shape(issuer_id=False), ("error", "authority_key_id")),
        (Shape(days=1, starts=timedelta(days=-3)), ("error", "expired")),
        (Shape(starts=timedelta(days=3)), ("error", "not_yet_valid")),
        (Shape(purposes=(CLAIM_SIGNING,)), ("warning", "second_purpose")),
        (Shape(critical=False), ("warning", "key_usage_critical")),
        (Shape(non_repudiation=False), ("warning", "non_repudiation")),
        (Shape(policy=False), ("warning", "policy")),
        (Shape(ocsp=False), ("warning", "ocsp")),
        (Shape(assurance=False), ("warning", "assurance")),
        (Shape(organization=False), ("warning", "organization")),
        (Shape(days=367), ("warning", "lifetime")),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_each_departure_is_named_alone(clock: ManualClock, shape: Shape, departure: tuple[str, str]) -> None:
    assert found(clock, shape) == {departure}


def test_a_leaf_without_purposes_is_for_nothing(clock: ManualClock) -> None:
    assert found(clock, Shape(purposes=())) == {("error", "claim_signing"), ("warning", "second_purpose")}


def test_the_second_level_wants_shorter_lives(clock: ManualClock) -> None:
    assert found(clock, Shape(days=366)) == set()
    assert found(clock, Shape(days=91), level="AL2") == {("warning", "lifetime")}


def test_other_curves_are_errors(clock: ManualClock) -> None:
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert found(clock, Shape(), public) == {("error", "key_type")}


def test_chains_are_checked_for_order_root_and_a_root_too_many(clock: ManualClock) -> None:
    ours, theirs = Authority(clock.now()), Authority(clock.now())
    leaf, other = ours.leaf(P256), theirs.leaf(P256)

    def codes(chain: str, roots: str) -> list[str]:
        return [one.code for one in departures(certificates_of(chain, roots), clock.now())]

    assert codes(pem(leaf), pem(theirs.root, ours.root)) == []
    assert codes(pem(leaf, ours.root), pem(ours.root)) == ["root_in_chain"]
    assert codes(pem(leaf), pem(theirs.root)) == ["root"]
    assert codes(pem(leaf, other), pem(ours.root)) == ["order"]
