"""Prove to a stranger, with one small text file, that an event is in the log (C2SP tlog-proof)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from audits.log.format import (
    HASH_SIZE,
    TILE_WIDTH,
    Checkpoint,
    Verifier,
    decode64,
    encode64,
    open_checkpoint,
    parse_checkpoint,
    parse_decimal,
    parse_note,
    read_checkpoint,
    read_tile,
)
from audits.log.tree import inclusion_proof, leaf_hash, over_tiles, tile_at, verify_inclusion
from core.errors import LogCorrupt

SUFFIX = ".tlog-proof"
_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Proof:
    """An entry's index, its inclusion path (32-byte hashes, sibling first) and the signed checkpoint."""

    index: int
    path: tuple[bytes, ...]
    note: str

    @property
    def size(self) -> int:
        """The number of entries that the checkpoint speaks of."""
        return parse_checkpoint(parse_note(self.note).text).size

    def render(self) -> str:
        """Give the text of the `.tlog-proof` file."""
        hashes = [encode64(hash_) for hash_ in self.path]
        return "\n".join([_HEADER, f"index {self.index}", *hashes, "", self.note])


def parse_proof(text: str) -> Proof:
    """Read a `.tlog-proof` without believing it; the optional `extra` line, never written here, is refused."""
    head, gap, note = text.partition("\n\n")
    lines = head.split("\n")
    if not gap or lines[0] != _HEADER or len(lines) < 2 or not lines[1].startswith("index "):
        raise LogCorrupt("this is not a tlog-proof")
    index = parse_decimal(lines[1].removeprefix("index "))
    parse_note(note)
    return Proof(index, tuple(decode64(line, HASH_SIZE) for line in lines[2:]), note)


def prove(folder: Path, verifier: Verifier, index: int) -> Proof:
    """Build the proof of an entry from the public files alone; LogCorrupt unless it holds for their entry."""
    return prove_all(folder, verifier, [index])[0]


def prove_all(folder: Path, verifier: Verifier, indexes: Sequence[int]) -> list[Proof]:
    """Build the proofs of several entries against one and the same checkpoint."""
    head, note = read_checkpoint(folder, verifier)
    roots = over_tiles(head.size, cache(partial(read_tile, folder)))
    proofs = []
    for index in indexes:
        path = inclusion_proof(index, head.size, roots)
        hashed = leaf_hash(read_leaf(folder, head.size, index))
        verify_inclusion(index, head.size, hashed, path, head.root)
        proofs.append(Proof(index, tuple(path), note))
    return proofs


def read_leaf(folder: Path, size: int, index: int) -> bytes:
    """Read the bytes of one entry of a log of `size` entries from its public bundle."""
    hashes = tile_at(size, 0, index // TILE_WIDTH)
    return read_tile(folder, replace(hashes, level=None))[index % TILE_WIDTH]


def verify_proof(text: str, leaf: bytes, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint that holds this leaf; LogCorrupt unless the proof shows it. No network needed."""
    proof = parse_proof(text)
    checkpoint = open_checkpoint(proof.note, verifier)
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(leaf), proof.path, checkpoint.root)
    return checkpoint
