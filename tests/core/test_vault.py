from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import KeyMissing
from core.store import open_store
from core.tables import SubjectKey
from core.vault import Envelope, Vault, secret_file


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    made = Vault(b"k" * 32, f"sqlite:///{tmp_path / 'keys.db'}")
    yield made
    made.close()


def seal(vault: Vault, subject: str = "ann", plain: bytes = b"face", now_ms: int = 1) -> bytes:
    return vault.seal(subject, plain, about="likeness", kind="person", now_ms=now_ms)


def test_what_is_sealed_opens_for_the_same_subject_and_purpose_only(vault: Vault) -> None:
    sealed = seal(vault)
    assert b"face" not in sealed
    assert vault.open("ann", sealed, about="likeness") == b"face"
    seal(vault, "bob")
    for subject, about in (("bob", "likeness"), ("ann", "voice")):
        with pytest.raises(KeyMissing):
            vault.open(subject, sealed, about=about)


def test_another_key_or_a_changed_byte_opens_nothing() -> None:
    envelope = Envelope(b"k" * 32)
    key = envelope.new_key("ann")
    sealed = envelope.seal(key, b"face", "ann", "likeness")
    assert envelope.open(key, sealed, "ann", "likeness") == b"face"
    for opener, wrapped, data in (
        (Envelope(b"j" * 32), key, sealed),
        (envelope, key, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (envelope, envelope.new_key("ann"), sealed),
        (envelope, envelope.new_key("bob"), sealed),
        (envelope, b"", sealed),
        (envelope, key, b""),
    ):
        with pytest.raises(KeyMissing):
            opener.open(wrapped, data, "ann", "likeness")


def test_a_destroyed_key_is_gone_for_ever_and_from_the_disk(vault: Vault, tmp_path: Path) -> None:
    sealed = seal(vault)
    with vault._store.reading() as session:
        wrapped = session.get_one(SubjectKey, "ann").wrapped
    assert vault.holds("ann")
    assert wrapped in at_rest(tmp_path), "the control"
    assert vault.destroy(["ann", "nobody"])
    assert not vault.holds("ann")
    assert wrapped not in at_rest(tmp_path)
    with pytest.raises(KeyMissing, match="erased"):
        vault.open("ann", sealed, about="likeness")
    seal(vault)
    with pytest.raises(KeyMissing):
        vault.open("ann", sealed, about="likeness")


def test_a_reader_in_the_way_is_told(vault: Vault, tmp_path: Path) -> None:
    seal(vault)
    with vault._store.reading() as session:
        wrapped = session.get_one(SubjectKey, "ann").wrapped
        assert not vault.destroy(["ann"])
        assert wrapped in at_rest(tmp_path), "what the answer warns of"
    assert vault.destroy(["ann"])
    assert wrapped not in at_rest(tmp_path)


def test_the_oldest_keys_of_a_kind(vault: Vault) -> None:
    for number in range(5):
        seal(vault, f"person_{number}", now_ms=number)
    vault.seal("clip_1", b"x", about="event", kind="request", now_ms=0)
    assert vault.older("person", 3, 10) == ["person_0", "person_1", "person_2"]
    assert vault.older("person", 3, 2) == ["person_0", "person_1"]


def test_many_at_once_make_one_key(vault: Vault) -> None:
    sealed: list[bytes] = []
    threads = [threading.Thread(target=lambda: sealed.append(seal(vault))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [vault.open("ann", one, about="likeness") for one in sealed] == [b"face"] * 16


def test_keys_from_before_they_had_a_database_are_taken_over(vault: Vault, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'greenlight.db'}")
    key = Envelope(b"k" * 32).new_key("ann")
    sealed = Envelope(b"k" * 32).seal(key, b"face", "ann", "likeness")
    with store.session() as session:
        session.add(SubjectKey(subject="ann", kind="person", wrapped=key, created_ms=0))
        session.commit()
    for _ in range(2):
        vault.adopt(store)
        assert vault.open("ann", sealed, about="likeness") == b"face"
    assert key not in (tmp_path / "greenlight.db").read_bytes()
    store.close()


def at_rest(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("keys.db*")))


def test_a_secret_is_made_once_even_by_many_at_a_time(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(secret_file(tmp_path / "keys" / "kek", 32)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert (tmp_path / "keys" / "kek").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["kek"]


def test_a_damaged_secret_is_told(tmp_path: Path) -> None:
    secret_file(tmp_path / "kek", 32)
    (tmp_path / "kek").chmod(0o600)
    (tmp_path / "kek").write_bytes(b"short")
    with pytest.raises(KeyMissing, match="damaged"):
        secret_file(tmp_path / "kek", 32)
