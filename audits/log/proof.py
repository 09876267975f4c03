"""Prove to a stranger, with one small text file, that an event is in the log (C2SP tlog-proof).

The file carries the entry itself in its `extra` line, so that it needs no other beside it. What `extra` says
is believed for no other reason than that its hash is in the log.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from audits.log.format import (
    HASH_SIZE,
    MAX_LEAF,
    MAX_NOTE,
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
from core.errors import Conflict, LogCorrupt

SUFFIX = ".tlog-proof"
MAX_PATH = 63
MAX_PROOF = MAX_NOTE + 2 * MAX_LEAF
_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Proof:
    """An entry's index, its inclusion path (32-byte hashes, sibling first), the signed checkpoint, the entry."""

    index: int
    path: tuple[bytes, ...]
    note: str
    leaf: bytes = b""

    @property
    def size(self) -> int:
        """The number of entries that the checkpoint speaks of."""
        return parse_checkpoint(parse_note(self.note).text).size

    def render(self) -> str:
        """Give the text of the `.tlog-proof` file."""
        extra = [f"extra {encode64(self.leaf)}"] if self.leaf else []
        hashes = [encode64(hash_) for hash_ in self.path]
        return "\n".join([_HEADER, *extra, f"index {self.index}", *hashes, "", self.note])


def parse_proof(text: str) -> Proof:
    """Read a `.tlog-proof` without believing it; LogCorrupt when it is none."""
    head, gap, note = text.partition("\n\n")
    header, *lines = head.split("\n")
    if not gap or header != _HEADER or len(text) > MAX_PROOF or len(lines) > MAX_PATH + 2:
        raise LogCorrupt("this is not a tlog-proof")
    leaf = decode64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
    if leaf is not None and not 1 <= len(leaf) <= MAX_LEAF:
        raise LogCorrupt(f"an entry has 1 to {MAX_LEAF} bytes")
    if not lines or not lines[0].startswith("index "):
        raise LogCorrupt("this is not a tlog-proof")
    index = parse_decimal(lines[0].removeprefix("index "))
    parse_note(note)
    return Proof(index, tuple(decode64(line, HASH_SIZE) for line in lines[1:]), note, leaf or b"")


class Prover:
    """Builds proofs against one and the same checkpoint, from the public files alone."""

    def __init__(self, folder: Path, verifier: Verifier) -> None:
        self.head, self.note = read_checkpoint(folder, verifier)
        read = partial(read_tile, folder)
        # A path crosses a few tiles a level; of the bundles, which may be large, only the last is kept.
        self._roots = over_tiles(self.head.size, lru_cache(64)(read))
        self._bundle = lru_cache(1)(read)

    def prove(self, index: int) -> Proof:
        """Build the proof of an entry; quickest in the log's order.

        Raises Conflict while no checkpoint covers it, LogCorrupt unless it holds for the entry that is public.
        """
        if index >= self.head.size:
            raise Conflict(
                f"Entry {index} is not covered by a checkpoint yet: the log has {self.head.size} entries. "
                "Ask again in a few seconds."
            )
        path = inclusion_proof(index, self.head.size, self._roots)
        tile = replace(tile_at(self.head.size, 0, index // TILE_WIDTH), level=None)
        leaf = self._bundle(tile)[index % TILE_WIDTH]
        verify_inclusion(index, self.head.size, leaf_hash(leaf), path, self.head.root)
        return Proof(index, tuple(path), self.note, leaf)


def prove(folder: Path, verifier: Verifier, index: int) -> Proof:
    """Build the proof of one entry against the newest checkpoint, as `Prover.prove` does."""
    return Prover(folder, verifier).prove(index)


def verify_proof(text: str, leaf: bytes | None, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint that holds an entry: this `leaf`, or with None the one that the proof carries.

    Raises LogCorrupt unless the proof shows it. No network needed.
    """
    proof = parse_proof(text)
    if leaf is None and not proof.leaf:
        raise LogCorrupt("the proof carries no entry, and none was given")
    if leaf is not None and proof.leaf not in {b"", leaf}:
        raise LogCorrupt("the proof carries another entry than the one that was given")
    checkpoint = open_checkpoint(proof.note, verifier)
    hashed = leaf_hash(proof.leaf if leaf is None else leaf)
    verify_inclusion(proof.index, checkpoint.size, hashed, proof.path, checkpoint.root)
    return checkpoint
