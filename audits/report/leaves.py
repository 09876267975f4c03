"""The leaves that a report counts: read from the public bytes of a log, after all of them were checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from audits.log.check import check
from audits.log.format import TILE_WIDTH, Checkpoint, Verifier, cut_bundle, read_checkpoint, read_stored
from audits.log.tree import tile_at
from core.errors import LogCorrupt
from core.events import Leaf, parse


@dataclass(frozen=True, slots=True)
class PublicLog:
    """A log whose every byte agrees with the signed checkpoint `head`."""

    folder: Path
    head: Checkpoint

    def __iter__(self) -> Iterator[Leaf]:
        """Give the leaves in log order, one bundle in memory at a time."""
        for index in range(-(-self.head.size // TILE_WIDTH)):
            tile = tile_at(self.head.size, 0, index)
            _, data = read_stored(self.folder, replace(tile, level=None))
            # A bundle may have grown since the checkpoint was read; what is beyond it does not count.
            yield from map(parse, islice(cut_bundle(data), tile.width))


def public_leaves(folder: Path, verifier: Verifier) -> PublicLog:
    """Open the public files of a log; raises LogCorrupt when a single byte disagrees with its checkpoint."""
    found = check(folder, verifier)
    if not found.ok:
        raise LogCorrupt(f"no report is made of a log that does not pass its check: {found.problems[0]}")
    head, _ = read_checkpoint(folder, verifier)
    return PublicLog(folder, head)
