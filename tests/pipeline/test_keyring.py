from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlmodel import select

from core.errors import KeyMissing
from core.settings import Settings
from core.store import Store, open_store
from core.tables import AuditEvent, GateKey
from core.vault import Vault
from pipeline.keyring import Keyring, configured, first_keys
from pipeline.keys import approve, found, propose_mark, propose_signer, revoke
from provenance.keys import Credential, PemKey, ProgramKey, TokenKey
from tests.conftest import ManualClock
from tests.provenance.keys.leaves import Authority, Shape, key_pem, pem


@dataclass
class House:
    """An installation's keys, without the rest of it."""

    folder: Path
    store: Store
    clock: ManualClock

    @cached_property
    def vault(self) -> Vault:
        return Vault(b"k" * 32, f"sqlite:///{self.folder / 'vault.db'}")

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    def settings(self, **given: Any) -> Settings:
        return Settings(data_dir=self.folder, _env_file=None, **given)

    def start(self, **given: Any) -> Keyring:
        first_keys(self.store, self.settings(**given), self.keys, self.clock)
        return Keyring(self.store, self.keys, self.clock)

    def signer(self, name: str, shape: Shape = Shape(days=360)) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        path = self.folder / f"{name}.key"
        path.write_bytes(key_pem(key))
        return Credential(
            Authority(self.clock.now(), name).certificates(key.public_key(), shape), PemKey(path)
        )

    def written(self, name: str) -> dict[str, Path]:
        credential = self.signer(name)
        chain, roots = self.folder / f"{name}.chain", self.folder / f"{name}.roots"
        chain.write_text(pem(*credential.certificates.chain))
        roots.write_text(pem(*credential.certificates.roots))
        assert isinstance(credential.custody, PemKey)
        return {"signing_chain": chain, "signing_roots": roots, "signing_key": credential.custody.path}

    def rotate(self, credential: Credential) -> GateKey:
        with self.store.session() as session:
            row = propose_signer(session, credential, by="ann", clock=self.clock)
            approve(session, row.id, by="bob", clock=self.clock)
            session.commit()
        return row

    def states(self, kind: str = "claim") -> list[tuple[str, bool]]:
        with self.store.reading() as session:
            rows = session.exec(select(GateKey).where(GateKey.kind == kind))
            return sorted((row.state, row.development) for row in rows)


@pytest.fixture
def house(tmp_path: Path, clock: ManualClock) -> Iterator[House]:
    store = open_store(f"sqlite:///{tmp_path / 'house.db'}")
    yield House(tmp_path, store, clock)
    store.close()


def test_the_first_start_lets_a_development_signer_in_and_says_so(house: House) -> None:
    ring = house.start()
    assert ring.signer().sign(b"x")
    assert "development" in ring.doubles()["signing"]
    assert ring.marking() == ring.detecting()[0]
    before = (ring.signer().chain_pem, ring.detecting())
    again = house.start()
    assert (again.signer().chain_pem, again.detecting()) == before
    with house.store.reading() as session:
        assert session.exec(select(AuditEvent.tag)).all() == ["key:created", "key:created"]


def test_the_development_signer_gives_way_to_the_configured_one(house: House) -> None:
    house.start()
    ring = house.start(**house.written("studio"))
    assert ring.doubles() == {}
    assert house.states() == [("active", False), ("retired", True)]
    assert "studio" not in ring.doubles()
    house.start()
    assert house.states() == [("active", False), ("retired", True)], "and never comes back"


def test_a_signer_named_later_waits_for_two_people(house: House) -> None:
    first = house.start(**house.written("studio")).signer().chain_pem
    ring = house.start(**house.written("other"))
    assert ring.signer().chain_pem == first


def test_a_configured_signer_that_cannot_sign_is_not_let_in(house: House) -> None:
    given = house.written("studio") | {"signing_key": house.written("other")["signing_key"]}
    with pytest.raises(KeyMissing, match="does not belong"):
        house.start(**given)
    assert house.states() == []


def test_half_a_signer_is_refused(house: House) -> None:
    whole = house.written("studio")
    for name in whole:
        with pytest.raises(KeyMissing, match="set together"):
            configured(house.settings(**(whole | {name: None})))
    with pytest.raises(KeyMissing, match="not several"):
        configured(house.settings(**whole, signing_program="true"))
    with pytest.raises(KeyMissing, match="signing_module needs"):
        configured(house.settings(**(whole | {"signing_key": None}), signing_module=Path("hsm.so")))


def test_each_custody_can_be_configured(house: House) -> None:
    rest = house.written("studio") | {"signing_key": None}
    token = {
        "signing_module": Path("hsm.so"),
        "signing_token": "t",
        "signing_token_key": "k",
        "signing_secret": Path("pin"),
    }
    for given, custody in (
        ({"signing_program": "kms sign --key 'a b'"}, ProgramKey(("kms", "sign", "--key", "a b"), 10.0)),
        (token, TokenKey(Path("hsm.so"), "t", "k", Path("pin"))),
        ({"signing_key": Path("key"), "signing_secret": Path("word")}, PemKey(Path("key"), Path("word"))),
    ):
        found_one = configured(house.settings(**(rest | given)))
        assert found_one is not None
        assert found_one.custody == custody


def test_a_ring_that_is_open_signs_with_the_new_key_and_believes_the_old_one(house: House) -> None:
    ring = house.start(**house.written("studio"))
    old = ring.signer()
    following = house.signer("next")
    with house.store.session() as session:
        propose_signer(session, following, by="ann", clock=house.clock)
        session.commit()
    assert following.certificates.roots_pem.strip() not in ring.roots_pem(), "a proposal is not believed"
    with house.store.session() as session:
        approve(session, following.certificates.fingerprint, by="bob", clock=house.clock)
        session.commit()
    assert ring.signer().chain_pem == following.certificates.chain_pem
    assert old.claim_roots_pem.strip() in ring.roots_pem()
    assert following.certificates.roots_pem.strip() in ring.roots_pem()


def test_marks_rotate_and_the_old_ones_are_still_detected(house: House) -> None:
    ring = house.start()
    (old,) = ring.detecting()
    with house.store.session() as session:
        row = propose_mark(session, house.keys, by="ann", clock=house.clock)
        session.commit()
    assert ring.detecting() == (old,), "a proposal neither marks nor detects"
    house.clock.advance(1)
    with house.store.session() as session:
        approve(session, row.id, by="bob", clock=house.clock)
        session.commit()
    assert ring.marking().id == row.id
    assert [key.id for key in ring.detecting()] == [row.id, old.id]


def test_a_mark_key_whose_secret_is_lost_is_an_error_and_not_a_verdict(house: House) -> None:
    ring = house.start()
    (house.keys / "mark" / "0001.key").unlink()
    with pytest.raises(KeyMissing, match="secret of watermark key"):
        ring.detecting()


def test_a_signer_that_expires_while_it_is_open_stops_until_another_is_approved(house: House) -> None:
    ring = house.start(**house.written("studio"))
    assert ring.signer()
    house.clock.at += timedelta(days=361)
    with pytest.raises(KeyMissing, match="expired on"):
        ring.signer()
    house.rotate(house.signer("next"))
    assert ring.signer().sign(b"x")


def test_a_revoked_signer_stops_at_once_and_its_root_is_still_read(house: House) -> None:
    ring = house.start(**house.written("studio"))
    roots = ring.signer().claim_roots_pem
    with house.store.session() as session:
        (row,) = session.exec(select(GateKey).where(GateKey.kind == "claim"))
        revoke(session, row.id, by="ann", reason="it leaked", clock=house.clock, vault=house.vault)
        session.commit()
    with pytest.raises(KeyMissing, match="no active claim key"):
        ring.signer()
    assert roots.strip() in ring.roots_pem()
    house.start(**house.written("another"))
    with house.store.reading() as session:
        assert found(session, row.id[:10]).state == "revoked", "a restart does not bring it back"
    with pytest.raises(KeyMissing, match="no active claim key"):
        ring.signer()
