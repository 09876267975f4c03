"""Personal data at rest: AES-256-GCM under a key per subject, itself wrapped by the installation's key.

A subject is a protected person, or a partner's request, or (for an event about neither) the event itself.
Destroying a subject's wrapped key erases the subject: what was sealed under it can never be read again, here
or in any copy. So the wrapped keys live in a database of their own, which backups of the other leave out.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, select

from core.errors import KeyMissing
from core.store import Store
from core.tables import SubjectKey

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


class Envelope:
    """Seal and open under wrapped keys. `key` is the installation's 32-byte key."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def new_key(self, subject: str) -> bytes:
        """Make a subject's key and return it wrapped."""
        return _sealed(self._aead, AESGCM.generate_key(256), b"key|" + subject.encode())

    def seal(self, wrapped: bytes, plain: bytes, subject: str, about: str) -> bytes:
        """Encrypt a subject's data; `subject` and `about` are bound to it."""
        return _sealed(self._unwrapped(wrapped, subject), plain, f"{about}|{subject}".encode())

    def open(self, wrapped: bytes, sealed: bytes, subject: str, about: str) -> bytes:
        """Decrypt a subject's data, or raise `KeyMissing`."""
        return _opened(self._unwrapped(wrapped, subject), sealed, f"{about}|{subject}".encode())

    def _unwrapped(self, wrapped: bytes, subject: str) -> AESGCM:
        return AESGCM(_opened(self._aead, wrapped, b"key|" + subject.encode()))


class Vault:
    """The subjects' keys, in the database at `url`, and what can be done with them.

    Every call is a transaction of its own. A key made for a transaction that then fails stays behind unused.
    """

    def __init__(self, key: bytes, url: str) -> None:
        self._envelope = Envelope(key)
        self._aliases = hmac.new(key, b"greenlight aliases", hashlib.sha256).digest()
        self._store = Store(url)
        self._store.make(SubjectKey)

    def seal(self, subject: str, plain: bytes, *, about: str, kind: str, now_ms: int) -> bytes:
        """Encrypt a subject's data under its key, which is made on first use.

        `about` says what it is (purpose, tenant, version) and is bound to it; `kind` is the kind of subject.
        """
        wrapped = self._wrapped(subject) or self._made(subject, kind, now_ms)
        return self._envelope.seal(wrapped, plain, subject, about)

    def open(self, subject: str, sealed: bytes, *, about: str) -> bytes:
        """Decrypt a subject's data; `KeyMissing` when its key was destroyed or anything was changed."""
        wrapped = self._wrapped(subject)
        if wrapped is None:
            raise KeyMissing("The key of this subject was destroyed: what was sealed under it is erased.")
        return self._envelope.open(wrapped, sealed, subject, about)

    def open_many(self, sealed: Sequence[tuple[str, bytes]], *, about: str) -> Iterator[bytes]:
        """Decrypt (subject, sealed) pairs in their order; `KeyMissing` names the subject that cannot be read."""
        subjects = sorted({subject for subject, _ in sealed})
        wanted = select(SubjectKey.subject, SubjectKey.wrapped).where(col(SubjectKey.subject).in_(subjects))
        with self._store.reading() as session:
            wrapped: dict[str, bytes] = {row.subject: row.wrapped for row in session.execute(wanted)}
        for subject, content in sealed:
            try:
                yield self._envelope.open(wrapped[subject], content, subject, about)
            except (KeyError, KeyMissing) as error:
                why = "its key is gone" if subject not in wrapped else "it was changed"
                raise KeyMissing(f"What is sealed for {subject} cannot be read: {why}.") from error

    def destroy(self, subjects: Sequence[str]) -> bool:
        """Destroy keys; answer whether no trace of them is left on the disk, or ask again.

        Destroying one that is not there is harmless, so a crash on the way is mended by another call.
        """
        with self._store.session() as session:
            session.execute(delete(SubjectKey).where(col(SubjectKey.subject).in_(subjects)))
            session.commit()
        return self._store.scrub(SubjectKey)

    def alias(self, name: str) -> str:
        """Give a keyed digest (64 hex digits) under which a name can be found again by whoever knows it, and only so."""
        return hmac.new(self._aliases, name.encode(), hashlib.sha256).hexdigest()

    def holds(self, subject: str) -> bool:
        """Tell whether a subject's key exists."""
        return self._wrapped(subject) is not None

    def older(self, kind: str, before_ms: int, limit: int) -> list[str]:
        """List subjects of a kind whose key was made before a time, oldest first."""
        wanted = select(SubjectKey.subject).where(
            col(SubjectKey.kind) == kind, col(SubjectKey.created_ms) < before_ms
        )
        with self._store.reading() as session:
            return list(session.exec(wanted.order_by(col(SubjectKey.created_ms)).limit(limit)))

    def adopt(self, store: Store) -> None:
        """Take over the keys that another database holds from the time before they had one of their own."""
        if store.url == self._store.url:
            return
        with store.reading() as session:
            rows = [row.model_dump() for row in session.exec(select(SubjectKey))]
        if not rows:
            return
        with self._store.session() as session:
            for row in rows:
                session.merge(SubjectKey(**row))
            session.commit()
        # If we crash here both hold them, and the next start takes them over again.
        with store.session() as session:
            session.execute(delete(SubjectKey))
            session.commit()
        store.scrub(SubjectKey)

    def close(self) -> None:
        """Let go of every connection."""
        self._store.close()

    def _wrapped(self, subject: str) -> bytes | None:
        with self._store.reading() as session:
            row = session.get(SubjectKey, subject)
            return row.wrapped if row else None

    def _made(self, subject: str, kind: str, now_ms: int) -> bytes:
        row = SubjectKey(
            subject=subject, kind=kind, wrapped=self._envelope.new_key(subject), created_ms=now_ms
        )
        try:
            with self._store.session() as session:
                session.add(row)
                session.commit()
        except IntegrityError:
            # Somebody else was quicker; there is one key a subject.
            return self._wrapped(subject) or self._made(subject, kind, now_ms)
        return row.wrapped


def _sealed(aead: AESGCM, plain: bytes, about: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + aead.encrypt(nonce, plain, about)


def _opened(aead: AESGCM, sealed: bytes, about: bytes) -> bytes:
    try:
        return aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], about)
    except (InvalidTag, ValueError) as error:
        raise KeyMissing("The key does not open this: it was erased, or the data were changed.") from error
