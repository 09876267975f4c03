"""Watermark keys: 32 random bytes in a file each, numbered; the id of a key may be shown."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.vault import secret_file
from provenance.marks import MarkKey

_BYTES = 32


def mark_keys(folder: Path) -> tuple[MarkKey, ...]:
    """Load the watermark keys under `folder`, newest first; the first is made when there is none."""
    home = _home(folder)
    if not any(home.glob("*.key")):
        secret_file(home / "0001.key", _BYTES)
    return tuple(mark_key(path) for path in sorted(home.glob("*.key"), reverse=True))


def make_mark_key(folder: Path) -> MarkKey:
    """Make one more watermark key; two callers at once make one each or share one, and lose none."""
    home = _home(folder)
    taken = [int(path.stem) for path in home.glob("*.key") if path.stem.isdecimal()]
    secret_file(home / f"{max(taken, default=0) + 1:04d}.key", _BYTES)
    return mark_keys(folder)[0]


def mark_key(path: Path) -> MarkKey:
    """Load one watermark key; raises `KeyMissing` when it is damaged."""
    secret = secret_file(path, _BYTES)
    return MarkKey(hashlib.sha256(b"greenlight mark key id" + secret).hexdigest()[:12], secret)


def _home(folder: Path) -> Path:
    home = folder / "mark"
    home.mkdir(parents=True, exist_ok=True)
    return home
