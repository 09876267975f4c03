from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.errors import KeyMissing
from core.vault import Vault, secret_file


def test_what_is_sealed_opens_for_the_same_person_and_purpose_only() -> None:
    vault = Vault(b"k" * 32)
    key = vault.new_key("ann")
    sealed = vault.seal(key, b"face", identity="ann", purpose="likeness")
    assert b"face" not in sealed
    assert vault.open(key, sealed, identity="ann", purpose="likeness") == b"face"
    for identity, purpose in (("bob", "likeness"), ("ann", "voice")):
        with pytest.raises(KeyMissing):
            vault.open(key, sealed, identity=identity, purpose=purpose)


def test_another_key_or_a_changed_byte_opens_nothing() -> None:
    vault = Vault(b"k" * 32)
    key = vault.new_key("ann")
    sealed = vault.seal(key, b"face", identity="ann", purpose="likeness")
    with pytest.raises(KeyMissing):
        Vault(b"j" * 32).open(key, sealed, identity="ann", purpose="likeness")
    with pytest.raises(KeyMissing):
        vault.open(key, sealed[:-1] + bytes([sealed[-1] ^ 1]), identity="ann", purpose="likeness")
    with pytest.raises(KeyMissing):
        vault.open(vault.new_key("ann"), sealed, identity="ann", purpose="likeness")


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
