"""Where a private key is kept, and how it is asked to sign: a PEM file, a PKCS#11 token, or a program.

A custody says only where to look. It can be written into the database; passphrases and PINs stay in files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core.errors import KeyMissing
from provenance.keys._program import program_signer
from provenance.keys._token import TokenSigner

Sign = Callable[[bytes], bytes]
"""Give the ES256 signature (DER, or raw r||s) of the argument; raises `KeyMissing`."""


@dataclass(frozen=True, slots=True)
class PemKey:
    """A PEM file, encrypted when `passphrase` names the file that holds its passphrase."""

    path: Path
    passphrase: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key in a PKCS#11 token: the vendor's library, the labels of token and key, the file with the PIN."""

    module: Path
    token: str
    label: str
    pin: Path


@dataclass(frozen=True, slots=True)
class ProgramKey:
    """A program that reads what is to be signed and writes the signature: the seam for any KMS.

    `seconds` is how long it may take.
    """

    argv: tuple[str, ...]
    seconds: float


Custody = PemKey | TokenKey | ProgramKey


def open_signer(custody: Custody) -> Sign:
    """Make the callback that signs with this key; raises `KeyMissing` when a PEM key cannot be read."""
    match custody:
        case PemKey():
            return _pem_signer(custody)
        case TokenKey(module, token, label, pin):
            return TokenSigner(module, token, label, lambda: _secret(pin).decode())
        case ProgramKey(argv, seconds):
            return program_signer(argv, seconds)


def custody_json(custody: Custody) -> dict[str, Any]:
    """Write a custody for the database; paths become absolute."""
    match custody:
        case PemKey(path, passphrase):
            secret = {"passphrase": str(passphrase.absolute())} if passphrase else {}
            return {"kind": "pem", "path": str(path.absolute()), **secret}
        case TokenKey(module, token, label, pin):
            where = {"module": str(module.absolute()), "pin": str(pin.absolute())}
            return {"kind": "pkcs11", "token": token, "label": label, **where}
        case ProgramKey(argv, seconds):
            return {"kind": "program", "argv": list(argv), "seconds": seconds}


def custody_from(stored: dict[str, Any]) -> Custody:
    """Read a custody back from the database; raises `KeyMissing` for one that we do not know."""
    match stored:
        case {"kind": "pem", "path": str(path)}:
            passphrase = stored.get("passphrase")
            return PemKey(Path(path), Path(passphrase) if passphrase else None)
        case {"kind": "pkcs11", "module": module, "token": token, "label": label, "pin": pin}:
            return TokenKey(Path(module), token, label, Path(pin))
        case {"kind": "program", "argv": argv, "seconds": seconds}:
            return ProgramKey(tuple(argv), seconds)
    raise KeyMissing("The database names a place for this key that this version does not know.")


def _pem_signer(custody: PemKey) -> Sign:
    key = _private(custody)
    return lambda data: key.sign(data, ec.ECDSA(hashes.SHA256()))


def _private(custody: PemKey) -> ec.EllipticCurvePrivateKey:
    name = custody.path.name
    passphrase = _secret(custody.passphrase) if custody.passphrase else None
    try:
        key = serialization.load_pem_private_key(custody.path.read_bytes(), password=passphrase)
    except OSError as error:
        raise KeyMissing(f"The signing key {name} cannot be read.") from error
    except (ValueError, TypeError) as error:  # TypeError: a passphrase is missing, or there is one too many
        raise KeyMissing(f"{name} holds no PEM private key that can be opened: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyMissing(f"{name} must hold an ECDSA key on P-256 (ES256).")
    return key


def _secret(path: Path) -> bytes:
    """Read a passphrase or PIN: the file's first line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise KeyMissing(f"The secret {path.name} cannot be read.") from error
    if not lines or not lines[0]:
        raise KeyMissing(f"The secret {path.name} is empty.")
    return lines[0]
