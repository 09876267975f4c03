"""The sequencer: audit events become leaves, leaves become signed checkpoints and public files.

The database decides. `integrate` is three steps, and a crash between any two is mended by the next call:

1. publish what the database committed earlier; after it the folder shows the newest checkpoint;
2. in one transaction give the next events their indexes and insert the checkpoint over them;
   the commit is the log's commit point: the tree head exists from here on, signed, and never changes;
3. publish again.

Public files are written before the checkpoint that needs them, each whole by rename. If we crash in step 2,
nothing happened. If we crash before or within step 3, the folder still shows the older checkpoint and all its
files, perhaps with newer tiles beside them that nobody is asked to read; step 1 of the next call writes
the same bytes again, since a leaf's index and bytes are already decided.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from audits.log.format import (
    ED25519,
    ML_DSA_44,
    TILE_WIDTH,
    Checkpoint,
    Tile,
    read_checkpoint,
    read_tile,
    render_bundle,
    render_hashes,
)
from audits.log.signing import LogKey, SigningKey, parse_signing_key
from audits.log.tree import ReadTile, grow, leaf_hash, over_tiles
from core.clock import Clock, milliseconds
from core.errors import KeyMissing, LogCorrupt, Unavailable
from core.store import Store
from core.tables import AuditEvent, LogCheckpoint, LogEntry

BATCH = 1024


def log_key(path: Path, origin: str) -> LogKey:
    """Read the log's two signing keys, or create them (mode 0600) where there are none yet.

    The Ed25519 key lies at `path`, the ML-DSA-44 key beside it.
    """
    beside = path.with_name(f"{path.name}-ml-dsa-44")
    return LogKey(signing_key(path, origin, ED25519), signing_key(beside, origin, ML_DSA_44))


def signing_key(path: Path, name: str, kind: bytes) -> SigningKey:
    """Read the signing key of this name and type, or create it where there is none yet."""
    with _alone(path.parent):
        if not path.exists():
            secret = SigningKey(name, secrets.token_bytes(32), kind).render()
            _write(path, secret.encode() + b"\n", mode=0o600)
    try:
        key = parse_signing_key(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError, LogCorrupt) as error:
        raise KeyMissing(f"the signing key {path.name} cannot be read") from error
    if (key.name, key.kind) != (name, kind):
        raise KeyMissing(f"the signing key {path.name} is for {key.name}, not for {name}, or of another type")
    return key


def integrate(store: Store, folder: Path, key: LogKey, clock: Clock) -> int:
    """Append every committed event to the log, publish it in `folder`, and return how many were appended.

    Any number of callers may do this at once, in threads or processes of one machine. A folder that
    disagrees with the database raises LogCorrupt, and nothing is overwritten.
    """
    total = 0
    size = publish(store, folder, key)
    while (added := _sequence(store, folder, key, clock, size)) != 0:
        before, size = size, publish(store, folder, key)
        if added is None and size == before:
            raise LogCorrupt("the database holds log entries that no checkpoint covers")
        total += added or 0
    if size == 0:
        # A new log begins with the signed empty tree, so that it can be checked from its first moment.
        publish(store, folder, key)
    return total


def index_of(session: Session, event_id: int) -> int | None:
    """Give the log index of an event, or None while it has not been integrated."""
    return session.exec(select(LogEntry.index).where(LogEntry.event_id == event_id)).one_or_none()


def _sequence(store: Store, folder: Path, key: LogKey, clock: Clock, size: int) -> int | None:
    """Append one batch to a log of `size` entries and return its length, or None when somebody was faster."""
    with store.session() as session:
        last = _newest(session)
        if (last.size if last else 0) != size:
            return None
        events = _unlogged(session)
        if not events and last:
            return 0
        hashes = [leaf_hash(leaf) for _, leaf in events]
        head = Checkpoint(key.name, size + len(events), _grown_root(folder, last, hashes))
        entries = [
            {"index": index, "event_id": event_id, "leaf_hash": hash_}
            for index, ((event_id, _), hash_) in enumerate(zip(events, hashes, strict=True), start=size)
        ]
        try:
            # Index `size` can be inserted once: that is the compare-and-swap on the previous size. On
            # PostgreSQL the loser of a race meets the winner's row here; on SQLite it waited at BEGIN.
            if entries:
                session.execute(sa.insert(LogEntry), entries)
            # Checkpoints keep the order of their times even where the clock has jumped back.
            at_ms = max(milliseconds(clock.now()), last.at_ms if last else 0)
            note = key.sign(head.text, at_ms // 1000)
            session.add(LogCheckpoint(size=head.size, root=head.root, note=note, at_ms=at_ms))
            session.commit()
        except IntegrityError:
            return None
        return len(events)


def _newest(session: Session) -> LogCheckpoint | None:
    return session.exec(select(LogCheckpoint).order_by(col(LogCheckpoint.size).desc()).limit(1)).first()


def _unlogged(session: Session) -> list[tuple[int, bytes]]:
    """Take the next events in the order of their ids.

    SQLite has one writer at a time and AUTOINCREMENT, so ids are committed in order and a cursor is enough.
    On PostgreSQL a low id may be committed late: there everything without an entry is taken, so that a late
    event comes later and is never passed over (at about 1 us for every event ever logged, each time).
    """
    wanted = sa.select(col(AuditEvent.id), col(AuditEvent.leaf)).order_by(col(AuditEvent.id)).limit(BATCH)
    if session.get_bind().dialect.name == "sqlite":
        newest = sa.select(sa.func.coalesce(sa.func.max(LogEntry.event_id), 0)).scalar_subquery()
        wanted = wanted.where(col(AuditEvent.id) > newest)
    else:
        wanted = wanted.where(~sa.exists().where(col(LogEntry.event_id) == col(AuditEvent.id)))
    return [(event_id, leaf) for event_id, leaf in session.execute(wanted)]


def _grown_root(folder: Path, last: LogCheckpoint | None, added: Sequence[bytes]) -> bytes:
    """Give the root of the published tree with `added` leaf hashes behind it.

    The published tiles must first lead to the root that was signed over them: a log whose files were
    altered is never extended.
    """
    size = last.size if last else 0
    held = cache(partial(read_tile, folder))
    if last and over_tiles(size, held)(0, size) != last.root:
        raise LogCorrupt(f"the published tiles do not lead to the root that was signed at size {size}")
    return _root(size + len(added), grow(size, added, held), held)


def _root(size: int, tiles: Mapping[Tile, list[bytes]], held: ReadTile) -> bytes:
    return over_tiles(size, lambda tile: tiles[tile] if tile in tiles else held(tile))(0, size)


def publish(store: Store, folder: Path, key: LogKey) -> int:
    """Write what the database committed and the folder lacks, and return the size that is public now."""
    with _alone(folder), store.reading() as session:
        public = _public_size(session, folder, key)
        while (head := _next_head(session, public)) is not None:
            _publish(session, folder, max(public, 0), head)
            public = head.size
        return max(public, 0)


def _public_size(session: Session, folder: Path, key: LogKey) -> int:
    """Give the size of the published checkpoint, or -1 when there is none; it must be one of ours."""
    if not (folder / "checkpoint").exists():
        return -1
    checkpoint, note = read_checkpoint(folder, key.vkey)
    head = session.get(LogCheckpoint, checkpoint.size)
    if head is None or head.note != note:
        raise LogCorrupt(f"the published checkpoint of {checkpoint.size} entries is not in this database")
    return checkpoint.size


def _next_head(session: Session, public: int) -> LogCheckpoint | None:
    """Choose the farthest checkpoint that is one batch away at most, so that memory stays bounded."""
    within = col(LogCheckpoint.size).between(public + 1, max(public, 0) + BATCH)
    ordered = select(LogCheckpoint).where(within).order_by(col(LogCheckpoint.size).desc())
    return session.exec(ordered.limit(1)).first()


def _publish(session: Session, folder: Path, public: int, head: LogCheckpoint) -> None:
    """Bring a folder that shows `public` entries to the checkpoint `head`."""
    start = public - public % TILE_WIDTH
    leaves = _leaves(session, start, head.size)
    held = cache(partial(read_tile, folder))
    tiles = grow(public, [leaf_hash(leaf) for leaf in leaves[public - start :]], held)
    if _root(head.size, tiles, held) != head.root:
        raise LogCorrupt(f"the entries do not lead to the root that was signed at size {head.size}")
    for at in range(0, len(leaves) if head.size > public else 0, TILE_WIDTH):
        bundle = leaves[at : at + TILE_WIDTH]
        _put(folder, Tile(None, (start + at) // TILE_WIDTH, len(bundle)), render_bundle(bundle))
    for tile, hashes in tiles.items():
        _put(folder, tile, render_hashes(hashes))
    # Everything this checkpoint speaks of is on the disk. Crashing before this line leaves the older one.
    _write(folder / "checkpoint", head.note.encode())


def _leaves(session: Session, start: int, end: int) -> list[bytes]:
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


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other publishers on this machine out; the system releases the lock when we die."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise Unavailable(f"the log cannot be written: {error.strerror}") from error


def _put(folder: Path, tile: Tile, data: bytes) -> None:
    """Publish a file that never changes, once; a different one in its place raises LogCorrupt."""
    path = folder / tile.path
    if not path.exists():
        _write(path, data)
    elif path.read_bytes() != data:
        raise LogCorrupt(f"{tile.path} is not what was published")
    if tile.width == TILE_WIDTH:
        # The full tile serves every reader of its partial forms (tlog-tiles, "Partial Tiles").
        shutil.rmtree(path.with_name(path.name + ".p"), ignore_errors=True)


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Make a file appear whole and stay after a power loss, or not appear."""
    missing = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(draft, "xb", opener=partial(os.open, mode=mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    for parent in {path.parent, *(parent.parent for parent in missing)}:
        _sync(parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
