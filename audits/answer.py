"""Check an answer against the public log: each entry is in it, and none that matches was left out.

Only public bytes and the keys of the log and its witnesses are believed. The range's entry bundles are hashed
from their leaves, everything else comes from the hash tiles, and together they must lead to the signed root:
so the leaves of the range are the ones that were signed, all of them. Then the filter is asked again of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from audits.filters import EVERYTHING, Filter
from audits.log.format import TILE_WIDTH, Checkpoint, Tile, Verifier, read_checkpoint, read_tile
from audits.log.tree import leaf_hash, root, tile_at
from audits.queries import Page
from audits.terms import Field, read_leaf, terms, territory_of
from core.errors import LogCorrupt

_SHOWN = 20


def check_answer(
    folder: Path, verifier: Verifier, page: Page, wanted: Filter, *, within: Filter = EVERYTHING
) -> Checkpoint:
    """Return the checkpoint that shows a page to be right and complete; LogCorrupt says what is not.

    Takes the time to hash the range once and one hash for every 256 other entries; memory is one bundle, and
    the territories of the requests begun in the log where the question is about territories.
    """
    head, _ = read_checkpoint(folder, verifier)
    if not 0 <= page.start <= page.end <= head.size:
        raise LogCorrupt(
            f"the answer speaks of the entries {page.start} to {page.end} of a log of {head.size}"
        )
    given = {entry.index: entry.leaf for entry in page.entries}
    missing, found = [], 0
    for index, leaf in _matching(folder, head, page, (wanted, within)):
        if index not in given:
            missing.append(index)
        elif given[index] != leaf:
            raise LogCorrupt(f"entry {index} of the answer is not what the log says")
        else:
            found += 1
    if missing:
        listed = ", ".join(str(index) for index in missing[:_SHOWN])
        raise LogCorrupt(f"the answer leaves out {len(missing)} entries that match: {listed}")
    if found != len(page.entries):
        raise LogCorrupt(f"{len(page.entries) - found} entries of the answer do not match the question")
    return head


@dataclass(slots=True)
class _Chunks:
    """The roots of the log's chunks of 256 entries, from leaves where they are read and from tiles elsewhere."""

    folder: Path
    head: Checkpoint
    roots: list[bytes] = field(default_factory=list)

    def skip(self, chunks: int) -> None:
        """Believe the hash tiles for the next chunks, until the root says otherwise."""
        for number in range(len(self.roots), len(self.roots) + chunks):
            self.roots.append(self._told(number))

    def leaves(self) -> list[bytes]:
        """Read the leaves of the next chunk."""
        tile = tile_at(self.head.size, 0, len(self.roots))
        leaves = read_tile(self.folder, Tile(None, tile.index, tile.width))
        self.roots.append(root([leaf_hash(leaf) for leaf in leaves]))
        return leaves

    def check(self) -> None:
        """Raise LogCorrupt unless the chunks lead to the signed root."""
        if root(self.roots) != self.head.root:
            raise LogCorrupt("the public entries of the range do not lead to the signed root")

    def _told(self, number: int) -> bytes:
        below = tile_at(self.head.size, 0, number)
        if below.width < TILE_WIDTH:
            return root(read_tile(self.folder, below))
        above = tile_at(self.head.size, 1, number // TILE_WIDTH)
        return read_tile(self.folder, above)[number % TILE_WIDTH]


def _matching(
    folder: Path, head: Checkpoint, page: Page, filters: tuple[Filter, ...]
) -> Iterator[tuple[int, bytes]]:
    """Give the entries of the range that match; after the last one the range has been shown to be the log's."""
    by_place = any(Field.TERRITORY in wanted.values for wanted in filters)
    places: dict[str, str] = {}
    chunks, total = _Chunks(folder, head), -(-head.size // TILE_WIDTH)
    # A request's territory stands in its first entry, which may lie before the range.
    first = 0 if by_place else page.start // TILE_WIDTH
    chunks.skip(min(first, total))
    for number in range(first, -(-page.end // TILE_WIDTH)):
        for index, leaf in enumerate(chunks.leaves(), start=number * TILE_WIDTH):
            said = read_leaf(leaf)
            job = said.get("job", "")
            if by_place and (place := territory_of(said)):
                places[job] = place
            if page.start <= index < page.end:
                known = terms(said, places.get(job))
                if all(wanted.matches(said.get("at_ms", -1), known) for wanted in filters):
                    yield index, leaf
    chunks.skip(total - len(chunks.roots))
    chunks.check()
