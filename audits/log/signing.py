"""The secret keys: what a log and a witness sign with. Auditors have no use for this file.

A log signs every checkpoint twice, with Ed25519 for every reader of today and with ML-DSA-44 (FIPS 204) for
the years in which Ed25519 may fall; whoever believes both is safe while either holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audits.log.format import (
    ED25519,
    HASH_SIZE,
    ML_DSA_44,
    Note,
    Signature,
    VerifierKey,
    cosigned,
    encode64,
    parse_key,
    parse_note,
)
from audits.log.trust import Policy
from core.errors import LogCorrupt

_PREFIX = "PRIVATE+KEY+"


@dataclass(frozen=True, repr=False)
class SigningKey:
    """A private key (seed of 32 bytes) with the name and the signature type it signs under."""

    name: str
    seed: bytes
    kind: bytes = ED25519

    @cached_property
    def vkey(self) -> VerifierKey:
        """The key that verifies what this one signs."""
        return VerifierKey(self.name, self._private.public_key().public_bytes_raw(), self.kind)

    @cached_property
    def _private(self) -> Ed25519PrivateKey | MLDSA44PrivateKey:
        if self.kind == ML_DSA_44:
            return MLDSA44PrivateKey.from_seed_bytes(self.seed)
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def render(self) -> str:
        """Give the secret as `PRIVATE+KEY+name+id+base64`, the form Go's note package keeps keys in."""
        return f"{_PREFIX}{self.name}+{self.vkey.key_id.hex()}+{encode64(self.kind + self.seed)}"

    def signature(self, text: str, at_s: int = 0) -> Signature:
        """Sign a text; cosignatures carry the time in seconds since 1970."""
        if self.kind == ED25519:
            return Signature(self.name, self.vkey.key_id, self._private.sign(text.encode()))
        signed = self._private.sign(cosigned(self.kind, self.name, at_s, text))
        return Signature(self.name, self.vkey.key_id, at_s.to_bytes(8, "big") + signed)

    def sign(self, text: str, at_s: int = 0) -> str:
        """Sign a text that ends in a newline and return the note."""
        return _note(text, self.signature(text, at_s))


@dataclass(frozen=True, slots=True, repr=False)
class LogKey:
    """The two keys of a log, which sign every checkpoint together under its origin."""

    classical: SigningKey
    post_quantum: SigningKey

    @property
    def name(self) -> str:
        """The origin of the log."""
        return self.classical.name

    @property
    def vkey(self) -> VerifierKey:
        """The Ed25519 key, which every reader of signed notes knows."""
        return self.classical.vkey

    @property
    def vkeys(self) -> tuple[VerifierKey, VerifierKey]:
        """Both keys that verify what these sign."""
        return self.classical.vkey, self.post_quantum.vkey

    @property
    def policy(self) -> Policy:
        """Believe what both keys signed, whoever witnessed it."""
        return Policy(self.vkeys)

    def sign(self, text: str, at_s: int) -> str:
        """Sign a checkpoint's text with both keys at a time in seconds since 1970 and return the note."""
        return _note(text, self.classical.signature(text), self.post_quantum.signature(text, at_s))


def _note(text: str, *signatures: Signature) -> str:
    note = Note(text, signatures).render()
    if parse_note(note).text != text:
        raise LogCorrupt("this text cannot be told from its signatures")
    return note


def parse_signing_key(text: str) -> SigningKey:
    """Read a secret key; raise LogCorrupt when malformed, without repeating any of it."""
    if not text.startswith(_PREFIX):
        raise LogCorrupt("malformed signing key")
    name, kind, seed = parse_key(text.removeprefix(_PREFIX), "the signing key")
    if len(seed) != HASH_SIZE:
        raise LogCorrupt("the signing key has the wrong length")
    key = SigningKey(name, seed, kind)
    if key.render() != text:
        raise LogCorrupt("the signing key does not match its id")
    return key
