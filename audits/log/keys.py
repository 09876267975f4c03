"""Where the keys of the log and of its witness are kept: files that only their owner reads."""

from __future__ import annotations

import secrets
from pathlib import Path

from audits.log.folder import alone, write
from audits.log.format import ED25519, ML_DSA_44
from audits.log.signing import LogKey, SigningKey, parse_signing_key
from core.errors import KeyMissing, LogCorrupt


def log_key(path: Path, origin: str) -> LogKey:
    """Read the log's two signing keys, or create them (mode 0600) where there are none yet.

    The Ed25519 key lies at `path`, the ML-DSA-44 key beside it.
    """
    beside = path.with_name(f"{path.name}-ml-dsa-44")
    return LogKey(signing_key(path, origin, ED25519), signing_key(beside, origin, ML_DSA_44))


def signing_key(path: Path, name: str, kind: bytes) -> SigningKey:
    """Read the signing key of this name and type, or create it where there is none yet."""
    with alone(path.parent):
        if not path.exists():
            secret = SigningKey(name, secrets.token_bytes(32), kind).render()
            write({path: secret.encode() + b"\n"}, mode=0o600)
    try:
        key = parse_signing_key(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError, LogCorrupt) as error:
        raise KeyMissing(f"the signing key {path.name} cannot be read") from error
    if (key.name, key.kind) != (name, kind):
        raise KeyMissing(f"the signing key {path.name} is for {key.name}, not for {name}, or of another type")
    return key
