"""The public bytes of the log: paths, entry bundles, signed notes, checkpoints and verifier keys.

Written after C2SP tlog-tiles, tlog-checkpoint, signed-note and tlog-cosignature. Everything here is pure and
strict: what a parser accepts, the renderer gives back byte for byte, and anything else raises LogCorrupt.
Standard library and `cryptography` only, because the offline auditor carries this file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from core.errors import LogCorrupt

TILE_WIDTH = 256
HASH_SIZE = 32
MAX_LEAF = 65_535
MAX_LEVEL = 63
MAX_FILE = TILE_WIDTH * (2 + MAX_LEAF)
"""Bytes of the longest public file: a bundle of 256 entries of the largest size."""
MAX_NOTE = 1_000_000
MAX_SIGNATURES = 100
ED25519 = b"\x01"
"""A signature of a note's text by a log (signed-note, "Signature types")."""
COSIGNATURE = b"\x04"
"""A timestamped Ed25519 cosignature of a checkpoint by a witness (tlog-cosignature)."""
ML_DSA_44 = b"\x06"
"""A timestamped ML-DSA-44 cosignature, by a witness or by the log itself (tlog-cosignature)."""
PUBLIC_SIZES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_KEY_ID = re.compile(r"[0-9a-f]{8}")
_NO_NAME = re.compile(r"[\s+]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Tile:
    """A place in the log: `level` is None for an entry bundle, `width` counts hashes or entries (1-256)."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix (tlog-tiles, "Merkle Tree" and "Log entries")."""
        groups = f"{self.index:03d}"
        groups = groups.zfill(-(-len(groups) // 3) * 3)
        parts = [groups[i : i + 3] for i in range(0, len(groups), 3)]
        name = "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{name}{partial}"


def parse_path(path: str) -> Tile:
    """Read a tile or bundle path; raise LogCorrupt unless it is the one canonical spelling."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise LogCorrupt(f"not a tile path: {path[:80]!r}")
    level = None if match["level"] == "entries" else int(match["level"])
    width = TILE_WIDTH if match["width"] is None else int(match["width"])
    tile = Tile(level, int(match["index"].replace("/", "").replace("x", "")), width)
    # Equality with the rendering catches leading zero groups, "p/256" and levels past the limit at once.
    if tile.path != path or (level or 0) > MAX_LEVEL or width > TILE_WIDTH:
        raise LogCorrupt(f"not a canonical tile path: {path[:80]!r}")
    return tile


def render_hashes(hashes: Iterable[bytes]) -> bytes:
    """Concatenate hashes of 32 bytes into a tile."""
    return b"".join(hashes)


def parse_hashes(data: bytes, width: int) -> list[bytes]:
    """Cut a tile into its `width` hashes; raise LogCorrupt when the length is not width x 32 bytes."""
    if len(data) != width * HASH_SIZE:
        raise LogCorrupt(f"a tile of {width} hashes has {len(data)} bytes, not {width * HASH_SIZE}")
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]


def read_file(folder: Path, path: str) -> bytes:
    """Read a public file of the log; one that is missing or too long raises LogCorrupt with its name."""
    try:
        with (folder / path).open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE:
                raise LogCorrupt(f"{path}: longer than any file of a log")
            return file.read()
    except OSError as error:
        raise LogCorrupt(f"{path}: {error.strerror}") from error


def read_stored(folder: Path, tile: Tile) -> tuple[Tile, bytes]:
    """Read the file that serves a tile, and say which tile that file is.

    A partial tile may be gone once the full one is there, which then begins with the same hashes. The full
    one appears before the partial one goes, so that asking in this order never falls between the two.
    """
    try:
        return tile, read_file(folder, tile.path)
    except LogCorrupt:
        full = Tile(tile.level, tile.index)
        if not (folder / full.path).exists():
            raise
        return full, read_file(folder, full.path)


def read_tile(folder: Path, tile: Tile) -> list[bytes]:
    """Read the hashes of a tile, or the leaves of a bundle; LogCorrupt names the file that is wrong."""
    stored, data = read_stored(folder, tile)
    parse = parse_bundle if tile.level is None else parse_hashes
    try:
        return parse(data, stored.width)[: tile.width]
    except LogCorrupt as error:
        raise LogCorrupt(f"{stored.path}: {error.message}") from error


def render_bundle(leaves: Sequence[bytes]) -> bytes:
    """Join up to 256 leaves, each behind its big-endian uint16 length."""
    if len(leaves) > TILE_WIDTH or any(len(leaf) > MAX_LEAF for leaf in leaves):
        raise LogCorrupt(f"a bundle holds {TILE_WIDTH} leaves of {MAX_LEAF} bytes at most")
    return b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in leaves)


def cut_bundle(data: bytes) -> Iterator[bytes]:
    """Give the leaves of a bundle one by one; LogCorrupt where the bytes end inside one."""
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise LogCorrupt("the bundle ends inside an entry")
        yield data[at + 2 : end]
        at = end


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Cut an entry bundle into exactly `width` leaves; raise LogCorrupt on a byte too few or too many."""
    leaves = list(cut_bundle(data))
    if len(leaves) != width:
        raise LogCorrupt(f"a bundle of {width} entries holds {len(leaves)}")
    return leaves


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's name, its number of leaves and the RFC 6962 root of 32 bytes."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note text that gets signed (tlog-checkpoint, "Note text")."""
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's note text; extension lines, which this log never writes, raise LogCorrupt."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise LogCorrupt("a checkpoint has the three lines origin, size and root")
    return Checkpoint(lines[0], parse_decimal(lines[1]), decode64(lines[2], HASH_SIZE))


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: who signed, with which key (4 bytes), and the signature bytes."""

    name: str
    key_id: bytes
    blob: bytes

    @property
    def line(self) -> str:
        """The line as it stands under a note."""
        return f"— {self.name} {encode64(self.key_id + self.blob)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text (ending in a newline) and the signatures under it, verified or not."""

    text: str
    signatures: tuple[Signature, ...]

    def render(self) -> str:
        """Give the signed note as text."""
        return self.text + "\n" + "".join(signature.line for signature in self.signatures)


def parse_note(note: str) -> Note:
    """Read a signed note without believing it (signed-note, "Format"); raise LogCorrupt when malformed."""
    if len(note) > MAX_NOTE or _CONTROL.search(note) or not _encodable(note):
        raise LogCorrupt("the note is too long or holds control characters")
    cut = note.rfind("\n\n")
    if cut < 0 or not note.endswith("\n"):
        raise LogCorrupt("the note has no signature block")
    lines = note[cut + 2 : -1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise LogCorrupt(f"the note has more than {MAX_SIGNATURES} signatures")
    return Note(note[: cut + 1], tuple(_parse_signature(line) for line in lines))


def _parse_signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise LogCorrupt("malformed signature line in the note")
    data = decode64(parts[2])
    if len(data) < 5:
        raise LogCorrupt("a signature in the note is too short")
    return Signature(_key_name(parts[1]), data[:4], data[4:])


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key of a log or a witness with the name it signs under; rendered as a "vkey".

    `kind` is the signature type: ED25519, COSIGNATURE or ML_DSA_44.
    """

    name: str
    public: bytes
    kind: bytes = ED25519

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name, newline, kind, public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:4]

    def render(self) -> str:
        """Give the key as `name+id+base64`."""
        return f"{self.name}+{self.key_id.hex()}+{encode64(self.kind + self.public)}"

    def signed(self, note: Note) -> bool:
        """Tell whether this key signed the note; a signature of this key that is wrong raises LogCorrupt."""
        mine = [s.blob for s in note.signatures if (s.name, s.key_id) == (self.name, self.key_id)]
        try:
            for blob in mine:
                self._check(blob, note.text)
        except (InvalidSignature, ValueError) as error:
            raise LogCorrupt(f"the signature of {self.name} on the note is wrong") from error
        return bool(mine)

    def _check(self, blob: bytes, text: str) -> None:
        if self.kind == ED25519:
            Ed25519PublicKey.from_public_bytes(self.public).verify(blob, text.encode())
            return
        message = cosigned(self.kind, self.name, int.from_bytes(blob[:8], "big"), text)
        if self.kind == COSIGNATURE:
            Ed25519PublicKey.from_public_bytes(self.public).verify(blob[8:], message)
        else:
            MLDSA44PublicKey.from_public_bytes(self.public).verify(blob[8:], message)

    def verify(self, note: str) -> str:
        """Return the text of a note that this key signed; raise LogCorrupt otherwise."""
        parsed = parse_note(note)
        if not self.signed(parsed):
            raise LogCorrupt(f"the note is not signed by {self.name}")
        return parsed.text


class Verifier(Protocol):
    """Whom a reader believes about one log: a key of it, or a policy of keys and witnesses."""

    @property
    def name(self) -> str:
        """The origin of the log."""
        ...

    def verify(self, note: str) -> str:
        """Return the text of a note that is to be believed; raise LogCorrupt otherwise."""
        ...


def cosigned(kind: bytes, name: str, at_s: int, text: str) -> bytes:
    """Give the message that a cosignature of a checkpoint signs (tlog-cosignature, "signed message").

    `name` is the cosigner's and `at_s` the time in seconds since 1970; 0 makes no statement about time.
    """
    if at_s >= 1 << 63:
        raise LogCorrupt("a cosignature's time is past 2^63 seconds")
    if kind == COSIGNATURE:
        return f"cosignature/v1\ntime {at_s}\n{text}".encode()
    head = parse_checkpoint(text)
    return b"".join(
        (
            b"subtree/v1\n\x00",
            _prefixed(name),
            struct.pack(">Q", at_s),
            _prefixed(head.origin),
            struct.pack(">QQ", 0, head.size),
            head.root,
        )
    )


def _prefixed(name: str) -> bytes:
    data = name.encode()
    if not 1 <= len(data) <= 255:
        raise LogCorrupt("a name that is signed has 1 to 255 bytes")
    return bytes([len(data)]) + data


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a verifier key `name+id+base64`; raise LogCorrupt when its id is not its own."""
    name, kind, public = parse_key(text, "the verifier key")
    key = VerifierKey(name, public, kind)
    if len(public) != PUBLIC_SIZES[kind] or key.render() != text:
        raise LogCorrupt("the verifier key does not match its id")
    return key


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint of a note that the log signed; raise LogCorrupt otherwise."""
    checkpoint = parse_checkpoint(verifier.verify(note))
    if checkpoint.origin != verifier.name:
        raise LogCorrupt(f"the checkpoint is of the log {checkpoint.origin}, not of {verifier.name}")
    return checkpoint


def read_checkpoint(folder: Path, verifier: Verifier) -> tuple[Checkpoint, str]:
    """Read the published checkpoint and its note; LogCorrupt unless the log signed it."""
    try:
        note = read_file(folder, "checkpoint").decode()
    except UnicodeDecodeError as error:
        raise LogCorrupt("checkpoint: not UTF-8") from error
    return open_checkpoint(note, verifier), note


def parse_key(text: str, what: str) -> tuple[str, bytes, bytes]:
    """Cut `name+id+base64` into name, signature type and key bytes; the id is the caller's to check."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
        raise LogCorrupt(f"{what} is malformed")
    data = decode64(parts[2])
    if data[:1] not in PUBLIC_SIZES:
        raise LogCorrupt(f"{what} is of a type that is not known here")
    return _key_name(parts[0]), data[:1], data[1:]


def _key_name(name: str) -> str:
    if not name or _NO_NAME.search(name) or _CONTROL.search(name) or not _encodable(name):
        raise LogCorrupt("a key name is empty or holds spaces or a plus sign")
    return name


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_decimal(text: str) -> int:
    """Read a non-negative ASCII decimal without leading zeroes, below 10^19."""
    if not _DECIMAL.fullmatch(text):
        raise LogCorrupt(f"not a decimal number: {text[:40]!r}")
    return int(text)


def encode64(data: bytes) -> str:
    """Encode in standard Base64 (RFC 4648, section 4)."""
    return base64.b64encode(data).decode()


def decode64(text: str, length: int | None = None) -> bytes:
    """Decode canonical standard Base64, of `length` bytes when given; raise LogCorrupt otherwise."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LogCorrupt("malformed base64") from error
    if encode64(data) != text or (length is not None and len(data) != length):
        raise LogCorrupt("base64 of the wrong length or not canonical")
    return data
