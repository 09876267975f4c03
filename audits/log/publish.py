"""Bring the public folder up to what the database committed: tiles and entries first, the checkpoint last.

If we crash within it, the folder still shows the older checkpoint and all its files, perhaps with newer tiles
beside them that nobody is asked to read; the next call writes the same bytes again, since a leaf's index and
bytes are already decided. The checkpoint goes in last, and only with the cosignatures of a quorum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import Session, col, select

from audits.log.cosign import Quorum
from audits.log.folder import alone, prune, put, write
from audits.log.format import (
    TILE_WIDTH,
    Tile,
    parse_note,
    read_checkpoint,
    read_tile,
    render_bundle,
    render_hashes,
)
from audits.log.signing import LogKey
from audits.log.tree import ReadTile, grow, leaf_hash, over_tiles, tile_at
from core.errors import LogCorrupt
from core.store import Store
from core.tables import AuditEvent, LogCheckpoint, LogEntry

STRIDE = 1024
Tiles = dict[Tile, list[bytes]]


def publish(store: Store, folder: Path, key: LogKey, quorum: Quorum) -> int | None:
    """Write what the database committed and the folder lacks, and return the size that is public now, or None.

    A folder that disagrees with the database raises LogCorrupt, and nothing is overwritten; without a
    quorum the older checkpoint stays, and the error says why.
    """
    with alone(folder):
        with store.reading() as session:
            last, note = _published(session, folder, key)
            head = _put_tiles(session, folder, last) or last
        if head is None:
            return None
        if note is None or head is not last or not quorum.met(note, key):
            roots = over_tiles(head.size, cache(partial(read_tile, folder)))
            signed = quorum.cosign(_signed(head, key), roots, note)
            # Everything this checkpoint speaks of is on the disk. Crashing before this line leaves the older one.
            write({folder / "checkpoint": signed.encode()})
        return head.size


def _published(session: Session, folder: Path, key: LogKey) -> tuple[LogCheckpoint | None, str | None]:
    """Give the published checkpoint's row and note; it must be one of ours, with cosignatures or without."""
    if not (folder / "checkpoint").exists():
        return None, None
    checkpoint, note = read_checkpoint(folder, key.vkey)
    row = session.get(LogCheckpoint, checkpoint.size)
    if row is None or not note.startswith(row.note):
        raise LogCorrupt(f"the published checkpoint of {checkpoint.size} entries is not in this database")
    return row, note


def _signed(head: LogCheckpoint, key: LogKey) -> str:
    """Give a checkpoint's note with the signatures of both keys; one from before there were two is completed."""
    text = key.vkey.verify(head.note)
    if key.post_quantum.vkey.signed(parse_note(head.note)):
        return head.note
    return key.sign(text, head.at_ms // 1000)


def _put_tiles(session: Session, folder: Path, last: LogCheckpoint | None) -> LogCheckpoint | None:
    """Write the tiles and entries of every checkpoint after `last` and return the newest of those."""
    head, edge = last, Tiles()
    while (following := _next_head(session, head)) is not None:
        edge = _put_batch(session, folder, head.size if head else 0, following, edge)
        head = following
    if head is None or head is last:
        return None
    files = {tile: render_hashes(hashes) for tile, hashes in edge.items()}
    if head.size % TILE_WIDTH:
        bundle = tile_at(head.size, 0, head.size // TILE_WIDTH)
        leaves = leaves_of(session, head.size - bundle.width, head.size)
        files[Tile(None, bundle.index, bundle.width)] = render_bundle(leaves)
    put(folder, files)
    return head


def _next_head(session: Session, after: LogCheckpoint | None) -> LogCheckpoint | None:
    """Choose the farthest checkpoint that is a stride away at most, or else the next: memory stays bounded."""
    first = after.size + 1 if after else 0
    ahead = select(LogCheckpoint).where(col(LogCheckpoint.size) >= first)
    within = ahead.where(col(LogCheckpoint.size) < first + STRIDE).order_by(col(LogCheckpoint.size).desc())
    return (
        session.exec(within.limit(1)).first()
        or session.exec(ahead.order_by(col(LogCheckpoint.size)).limit(1)).first()
    )


def _put_batch(session: Session, folder: Path, size: int, head: LogCheckpoint, edge: Tiles) -> Tiles:
    """Write the full tiles and bundles between `size` and `head`; answer the partial ones at its edge."""
    start = size - size % TILE_WIDTH
    leaves = leaves_of(session, start, head.size)
    stored = cache(partial(read_tile, folder))

    def held(tile: Tile) -> list[bytes]:
        return edge[tile] if tile in edge else stored(tile)

    tiles = grow(size, [leaf_hash(leaf) for leaf in leaves[size - start :]], held)
    if grown_root(head.size, tiles, held) != head.root:
        raise LogCorrupt(f"the entries do not lead to the root that was signed at size {head.size}")
    files = {tile: render_hashes(hashes) for tile, hashes in tiles.items() if tile.width == TILE_WIDTH}
    for at in range(0, len(leaves) - TILE_WIDTH + 1, TILE_WIDTH):
        files[Tile(None, (start + at) // TILE_WIDTH)] = render_bundle(leaves[at : at + TILE_WIDTH])
    put(folder, files)
    prune(folder, files)
    return {
        tile: hashes
        for tile, hashes in (edge | tiles).items()
        if tile.width < TILE_WIDTH and tile == tile_at(head.size, tile.level or 0, tile.index)
    }


def grown_root(size: int, tiles: Mapping[Tile, list[bytes]], held: ReadTile) -> bytes:
    """Give the root of a tree of `size` leaves from tiles in memory and, behind them, those that are held."""
    return over_tiles(size, lambda tile: tiles[tile] if tile in tiles else held(tile))(0, size)


def leaves_of(session: Session, start: int, end: int) -> Sequence[bytes]:
    """Read the entries [start, end) from the database; LogCorrupt when one is missing."""
    wanted = (
        sa.select(col(LogEntry.index), col(AuditEvent.leaf))
        .join(AuditEvent, col(AuditEvent.id) == col(LogEntry.event_id))
        .where(col(LogEntry.index) >= start, col(LogEntry.index) < end)
        .order_by(col(LogEntry.index))
    )
    rows = session.execute(wanted).all()
    if [index for index, _ in rows] != list(range(start, end)):
        raise LogCorrupt(f"the database lacks some of the entries {start} to {end - 1}")
    return [leaf for _, leaf in rows]
