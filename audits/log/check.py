"""Re-derive a whole log from its public bytes, in constant memory, trusting only the verifier.

This is the auditor's side: it imports the format and the tree, and nothing that writes. Every file is
compared with its neighbours: an entry with its leaf hash, a tile with the hash of it one level up, the top
with the signed root. One changed byte breaks the comparisons it takes part in, and they name the entry.

What these bytes alone cannot show is that they are the ones that everybody else saw: an operator may sign a
shorter or another log. `seen` takes checkpoints that somebody else kept, a witness above all: each must be
a prefix of this log.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Protocol

from audits.log.format import (
    TILE_WIDTH,
    Checkpoint,
    Tile,
    Verifier,
    cut_bundle,
    read_checkpoint,
    read_stored,
    read_tile,
)
from audits.log.tree import leaf_hash, over_tiles, root, tile_at
from core.errors import LogCorrupt, Unavailable

MAX_PROBLEMS = 100
_AT_ONCE = 16
_PART = TILE_WIDTH * TILE_WIDTH
"""Entries under one tile of level 1: what one process checks at a time, in about 0.1 s."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found: `entries` are the indexes of wrong entries; both lists stop at 100."""

    size: int
    problems: tuple[str, ...] = ()
    entries: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every byte agrees with the signed checkpoint, and that with every one that was seen."""
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

    @property
    def full(self) -> bool:
        """Whether further problems would not be listed."""
        return len(self.problems) >= MAX_PROBLEMS

    def join(self, other: _Findings) -> None:
        for problem in other.problems:
            self.add(problem)
        self.entries = (self.entries + other.entries)[:MAX_PROBLEMS]


def check(
    folder: Path, verifier: Verifier, *, seen: Sequence[Checkpoint] = (), workers: int = 1
) -> CheckReport:
    """Compare every public byte of the log with the rest of it, with the signed checkpoint and with what was seen.

    More than one of `workers` are processes, worth starting from some 100,000 entries on; one that is killed
    raises Unavailable.
    """
    try:
        head, _ = read_checkpoint(folder, verifier)
    except LogCorrupt as error:
        return CheckReport(0, (f"checkpoint: {error.message}",))
    found = _Findings()
    _check_parts(folder, head.size, workers, found)
    level = 2
    while head.size >> (8 * level) and not found.full:
        for tile in _tiles(head.size, level):
            _check_children(folder, tile, found)
        level += 1
    _check_roots(folder, head, seen, found)
    return CheckReport(head.size, tuple(found.problems), tuple(found.entries))


def _check_parts(folder: Path, size: int, workers: int, found: _Findings) -> None:
    """Check the entries, some parts at a time, until all are checked or too much is wrong to go on.

    A checkpoint may speak of any number of entries, whether they are there or not.
    """
    parts = -(-size // _PART)
    with _mapped(min(workers, parts)) as each:
        for first in range(0, parts, _AT_ONCE):
            batch = range(first, min(first + _AT_ONCE, parts))
            for part in each(partial(_check_part, folder, size), batch):
                found.join(part)
            if found.full:
                return


class _Each(Protocol):
    def __call__(self, work: Callable[[int], _Findings], parts: Iterable[int], /) -> Iterable[_Findings]: ...


@contextmanager
def _mapped(workers: int) -> Iterator[_Each]:
    """Give a `map`, over processes where there is work for several; it answers in order."""
    if workers < 2:
        yield map
        return
    try:
        # Started afresh, not forked: the caller may have threads.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            yield pool.map
    except BrokenProcessPool as error:
        raise Unavailable("a process that checks the log was killed; try with fewer") from error


def _tiles(size: int, level: int) -> Iterator[Tile]:
    for index in range(-(-(size >> (8 * level)) // TILE_WIDTH)):
        yield tile_at(size, level, index)


def _read(folder: Path, tile: Tile, found: _Findings) -> list[bytes] | None:
    try:
        return read_tile(folder, tile)
    except LogCorrupt as error:
        found.add(error.message)
        return None


def _check_part(folder: Path, size: int, part: int) -> _Findings:
    """Check the entries under tile `part` of level 1, and that tile."""
    found = _Findings()
    last = min(-(-size // TILE_WIDTH), (part + 1) * TILE_WIDTH)
    roots = [
        _check_entries(folder, tile_at(size, 0, index), found) for index in range(part * TILE_WIDTH, last)
    ]
    if (size >> 8) > part * TILE_WIDTH:
        tile = tile_at(size, 1, part)
        for at, expected in enumerate(_read(folder, tile, found) or ()):
            _compare(tile, at, roots[at], expected, found)
    return found


def _check_entries(folder: Path, tile: Tile, found: _Findings) -> bytes | None:
    """Compare each entry of a bundle with its leaf hash in the tile of level 0, and give the tile's root."""
    hashes = _read(folder, tile, found)
    try:
        bundle, data = read_stored(folder, replace(tile, level=None))
    except LogCorrupt as error:
        found.add(error.message)
    else:
        _compare_entries(tile, hashes or [], bundle, data, found)
    return None if hashes is None else root(hashes)


def _compare_entries(tile: Tile, hashes: list[bytes], bundle: Tile, data: bytes, found: _Findings) -> None:
    wrong, whole = _wrong_entries(data, hashes, bundle.width)
    for at in wrong if whole else wrong[:1]:
        # Where the lengths do not add up, all entries behind the first wrong one are cut in the wrong place.
        entry = tile.index * TILE_WIDTH + at
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
    """Compare each hash of a tile above level 1 with the root of the full tile below it."""
    hashes = _read(folder, tile, found)
    assert tile.level is not None
    for at, expected in enumerate(hashes or ()):
        below = _read(folder, Tile(tile.level - 1, tile.index * TILE_WIDTH + at), found)
        _compare(tile, at, None if below is None else root(below), expected, found)


def _compare(tile: Tile, at: int, below: bytes | None, expected: bytes, found: _Findings) -> None:
    """Compare the root of the full tile below place `at` with what the tile says; None was reported already."""
    assert tile.level is not None
    if below is not None and below != expected:
        child = Tile(tile.level - 1, tile.index * TILE_WIDTH + at)
        span = TILE_WIDTH**tile.level
        first = child.index * span
        found.add(
            f"entries {first} to {first + span - 1}: {child.path} does not match its hash in {tile.path}"
        )


def _check_roots(folder: Path, head: Checkpoint, seen: Sequence[Checkpoint], found: _Findings) -> None:
    """Compare what the tiles lead to with the root that was signed, and with those that were seen before."""
    roots = over_tiles(head.size, cache(partial(read_tile, folder)))
    try:
        if roots(0, head.size) != head.root:
            found.add(f"checkpoint: the tiles of its {head.size} entries do not lead to its root")
        for earlier in seen:
            if earlier.origin != head.origin:
                found.add(
                    f"the checkpoint that was seen is of the log {earlier.origin}, not of {head.origin}"
                )
            elif earlier.size > head.size:
                found.add(f"rolled back: {earlier.size} entries were seen, {head.size} are here")
            elif roots(0, earlier.size) != earlier.root:
                found.add(f"forked: the first {earlier.size} entries are not those that were seen")
    except LogCorrupt as error:
        found.add(error.message)
