"""The folder of the log's public files: written once, whole, to stay after a power loss."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from audits.log.format import TILE_WIDTH, Tile
from core.errors import LogCorrupt, Unavailable

_AT_ONCE = 8


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other writers on this machine out; the system releases the lock when we die."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise Unavailable(f"the log cannot be written: {error.strerror}") from error


def put(folder: Path, files: Mapping[Tile, bytes]) -> None:
    """Publish files that never change, once; a different one in the place of one raises LogCorrupt."""
    new = {}
    for tile, data in files.items():
        path = folder / tile.path
        if not path.exists():
            new[path] = data
        elif path.read_bytes() != data:
            raise LogCorrupt(f"{tile.path} is not what was published")
    write(new)


def prune(folder: Path, tiles: Iterable[Tile]) -> None:
    """Take away the partial forms of full tiles, which serve their readers (tlog-tiles, "Partial Tiles")."""
    for tile in tiles:
        if tile.width == TILE_WIDTH:
            path = folder / tile.path
            shutil.rmtree(path.with_name(path.name + ".p"), ignore_errors=True)


def write(files: Mapping[Path, bytes], mode: int = 0o644) -> None:
    """Make files appear whole and stay after a power loss, or not appear."""
    folders = {folder for path in files for folder in _made(path.parent)}
    drafts = {path: path.with_name(f".{path.name}.{secrets.token_hex(4)}") for path in files}
    try:
        for path, draft in drafts.items():
            with open(draft, "xb", opener=partial(os.open, mode=mode)) as file:
                file.write(files[path])
        _sync(drafts.values())
        for path, draft in drafts.items():
            draft.rename(path)
    except BaseException:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
        raise
    _sync(folders)


def _made(folder: Path) -> set[Path]:
    """Make a folder; answer those whose listing must reach the disk once there is a file in it."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return {folder, *(parent.parent for parent in missing)}


def _sync(paths: Collection[Path]) -> None:
    """Wait until files or listings are on the disk: together, so that the disk can take them in one go."""
    if len(paths) < 2:
        for path in paths:
            _sync_one(path)
        return
    with ThreadPoolExecutor(min(len(paths), _AT_ONCE)) as pool:
        list(pool.map(_sync_one, paths))


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
