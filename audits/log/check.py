"""Re-derive a whole log from its public bytes, in constant memory, trusting only the verifier.

This is the auditor's side: it imports the format and the tree, and nothing that writes. Every file is
compared with its neighbours: an entry with its leaf hash, a tile with the hash of it one level up, the top
with the signed root. One changed byte breaks the comparisons it takes part in, and they name the entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from audits.log.format import (
    TILE_WIDTH,
    Tile,
    Verifier,
    cut_bundle,
    read_checkpoint,
    read_stored,
    read_tile,
)
from audits.log.tree import leaf_hash, over_tiles, root, tile_at
from core.errors import LogCorrupt

MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found: `entries` are the indexes of wrong entries; both lists stop at 100."""

    size: int
    problems: tuple[str, ...] = ()
    entries: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every byte agrees with the signed checkpoint."""
        return not self.problems


@dataclass(slots=True)
class _Findings:
    problems: list[str] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)

    def add(self, problem: str, entry: int | None = None) -> None:
        if len(self.problems) < MAX_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)
        if entry is not None and len(self.entries) < MAX_PROBLEMS:
            self.entries.append(entry)


def check(folder: Path, verifier: Verifier) -> CheckReport:
    """Compare every public byte of the log with the rest of it and with the signed checkpoint."""
    try:
        head, _ = read_checkpoint(folder, verifier)
    except LogCorrupt as error:
        return CheckReport(0, (f"checkpoint: {error.message}",))
    found = _Findings()
    for tile in _tiles(head.size, 0):
        _check_entries(folder, tile, found)
    level = 1
    while head.size >> (8 * level):
        for tile in _tiles(head.size, level):
            _check_children(folder, tile, found)
        level += 1
    _check_root(folder, head.size, head.root, found)
    return CheckReport(head.size, tuple(found.problems), tuple(found.entries))


def _tiles(size: int, level: int) -> Iterator[Tile]:
    for index in range(-(-(size >> (8 * level)) // TILE_WIDTH)):
        yield tile_at(size, level, index)


def _read(folder: Path, tile: Tile, found: _Findings) -> list[bytes] | None:
    try:
        return read_tile(folder, tile)
    except LogCorrupt as error:
        found.add(error.message)
        return None


def _check_entries(folder: Path, tile: Tile, found: _Findings) -> None:
    """Compare each entry of a bundle with its leaf hash in the tile of level 0."""
    hashes = _read(folder, tile, found)
    try:
        bundle, data = read_stored(folder, replace(tile, level=None))
    except LogCorrupt as error:
        found.add(error.message)
        return
    first = tile.index * TILE_WIDTH
    wrong, whole = _wrong_entries(data, hashes or [], bundle.width)
    for at in wrong if whole else wrong[:1]:
        # Where the lengths do not add up, all entries behind the first wrong one are cut in the wrong place.
        entry = first + at
        found.add(f"entry {entry}: {bundle.path} does not match its leaf hash in {tile.path}", entry)
    if not whole:
        found.add(f"{bundle.path}: it does not hold {bundle.width} whole entries")


def _wrong_entries(data: bytes, hashes: Sequence[bytes], width: int) -> tuple[list[int], bool]:
    """Give the places whose entry does not hash as expected, and whether the bundle can be cut at all."""
    wrong, count = [], 0
    try:
        for leaf in cut_bundle(data):
            if count < len(hashes) and leaf_hash(leaf) != hashes[count]:
                wrong.append(count)
            count += 1
    except LogCorrupt:
        pass
    else:
        return wrong, count == width
    return [*wrong, count], False


def _check_children(folder: Path, tile: Tile, found: _Findings) -> None:
    """Compare each hash of a tile with the root of the full tile below it."""
    hashes = _read(folder, tile, found)
    assert tile.level is not None
    for at, expected in enumerate(hashes or ()):
        child = Tile(tile.level - 1, tile.index * TILE_WIDTH + at)
        below = _read(folder, child, found)
        if below is not None and root(below) != expected:
            span = TILE_WIDTH**tile.level
            first = child.index * span
            found.add(
                f"entries {first} to {first + span - 1}: {child.path} does not match its hash in {tile.path}"
            )


def _check_root(folder: Path, size: int, expected: bytes, found: _Findings) -> None:
    """Compare what the right edge of the tiles leads to with the root that was signed."""
    try:
        if over_tiles(size, lambda tile: read_tile(folder, tile))(0, size) != expected:
            found.add(f"checkpoint: the tiles of its {size} entries do not lead to its root")
    except LogCorrupt as error:
        found.add(error.message)
