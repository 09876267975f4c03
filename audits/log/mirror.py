"""A second copy of the public log, on another disk: every file once, never changed and never removed.

Partial tiles stay where they are, so that the target may be a store that locks what was written. A copy is
also a memory: a log that does not continue what was copied before is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

from audits.log.folder import alone, put, write
from audits.log.format import (
    TILE_WIDTH,
    Checkpoint,
    Tile,
    Verifier,
    read_checkpoint,
    read_tile,
    render_bundle,
    render_hashes,
)
from audits.log.tree import over_tiles, tile_at
from core.errors import LogCorrupt

_AT_ONCE = 64


def mirror(folder: Path, target: Path, verifier: Verifier) -> int:
    """Copy what was published since the last time and return the size that is copied now.

    A crash leaves the older copy whole, and the next call goes on. LogCorrupt when the log does not continue
    the copy, or a file in the target is not what would be written.
    """
    head, note = read_checkpoint(folder, verifier)
    with alone(target):
        size = _continued(folder, target, verifier, head)
        if size == head.size:
            return size
        batch: dict[Tile, bytes] = {}
        for tile in _new_tiles(max(size, 0), head.size):
            batch[tile] = _bytes(folder, tile)
            if len(batch) == _AT_ONCE:
                put(target, batch)
                batch = {}
        put(target, batch)
        # Everything this checkpoint speaks of is in the target. Crashing before this line leaves the older one.
        kept = target / "checkpoints" / str(head.size)
        if not kept.exists():
            write({kept: note.encode()})
        write({target / "checkpoint": note.encode()})
    return head.size


def _continued(folder: Path, target: Path, verifier: Verifier, head: Checkpoint) -> int:
    """Give the size of the copy, or -1 when there is none; the log must continue it."""
    if not (target / "checkpoint").exists():
        return -1
    copied, _ = read_checkpoint(target, verifier)
    roots = over_tiles(head.size, cache(partial(read_tile, folder)))
    if copied.size > head.size or roots(0, copied.size) != copied.root:
        raise LogCorrupt(f"the log of {head.size} entries does not continue the copy of {copied.size}")
    return copied.size


def _new_tiles(size: int, end: int) -> Iterator[Tile]:
    """Name the bundles and tiles that a log of `end` entries has beyond those of its first `size`."""
    level = 0
    while end >> (8 * level):
        for index in range((size >> (8 * level)) // TILE_WIDTH, -(-(end >> (8 * level)) // TILE_WIDTH)):
            tile = tile_at(end, level, index)
            yield tile
            if level == 0:
                yield Tile(None, index, tile.width)
        level += 1


def _bytes(folder: Path, tile: Tile) -> bytes:
    """Read a file in its own width, though by now only a wider one may be there."""
    render = render_bundle if tile.level is None else render_hashes
    return render(read_tile(folder, tile))
