"""Biometric data at rest: AES-256-GCM under a key per person, itself wrapped by the installation's key.

Deleting a person's wrapped key erases the person: what was sealed under it can never be read again.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import KeyMissing

_NONCE = 12


def secret_file(path: Path, size: int) -> bytes:
    """Read a secret, making it on first use; two processes that start at once agree on one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        scratch.touch(mode=0o600)
        scratch.write_bytes(secrets.token_bytes(size))
        try:
            # link() fails when the name exists: the first process wins and every other one reads its secret.
            os.link(scratch, path)
        except FileExistsError:
            pass
        finally:
            scratch.unlink()
    content = path.read_bytes()
    if len(content) != size:
        raise KeyMissing(f"The key file {path.name} is damaged: {len(content)} bytes instead of {size}.")
    return content


class Vault:
    """Seal and open the data of one person at a time. `key` is the installation's 32-byte key."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def new_key(self, identity: str) -> bytes:
        """Make a person's key and return it wrapped."""
        return _sealed(self._aead, AESGCM.generate_key(256), b"key|" + identity.encode())

    def seal(self, wrapped: bytes, plain: bytes, *, identity: str, purpose: str) -> bytes:
        """Encrypt a person's data; `identity` and `purpose` are bound to it."""
        return _sealed(self._unwrapped(wrapped, identity), plain, _about(identity, purpose))

    def open(self, wrapped: bytes, sealed: bytes, *, identity: str, purpose: str) -> bytes:
        """Decrypt a person's data, or raise `KeyMissing`."""
        return _opened(self._unwrapped(wrapped, identity), sealed, _about(identity, purpose))

    def _unwrapped(self, wrapped: bytes, identity: str) -> AESGCM:
        return AESGCM(_opened(self._aead, wrapped, b"key|" + identity.encode()))


def _about(identity: str, purpose: str) -> bytes:
    return f"{purpose}|{identity}".encode()


def _sealed(aead: AESGCM, plain: bytes, about: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + aead.encrypt(nonce, plain, about)


def _opened(aead: AESGCM, sealed: bytes, about: bytes) -> bytes:
    try:
        return aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], about)
    except InvalidTag as error:
        raise KeyMissing("The key does not open this: it was erased, or the data were changed.") from error
