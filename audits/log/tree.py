"""The Merkle tree of RFC 6962 and RFC 9162 as pure functions over hashes of 32 bytes.

A tree is seen through `Roots`: a function that gives the root of the leaves [start, end). It can be built
on a list of leaf hashes or on the tiles of a log, so that every proof has one definition, the RFC's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from audits.log.format import HASH_SIZE, TILE_WIDTH, Tile
from core.errors import LogCorrupt

Roots = Callable[[int, int], bytes]
ReadTile = Callable[[Tile], Sequence[bytes]]

EMPTY_ROOT = hashlib.sha256(b"").digest()
_TILE_BITS = 8


def leaf_hash(leaf: bytes) -> bytes:
    """Hash a leaf (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Give the root over a list of leaf hashes; the empty tree has SHA-256 of nothing."""
    if not hashes:
        return EMPTY_ROOT
    while len(hashes) > 1:
        pairs = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
        hashes = [*pairs, hashes[-1]] if len(hashes) % 2 else pairs
    return hashes[0]


def over(hashes: Sequence[bytes]) -> Roots:
    """See a list of leaf hashes as a tree."""
    return lambda start, end: root(hashes[start:end])


def over_tiles(size: int, read: ReadTile) -> Roots:
    """See the tiles of a log of `size` leaves as a tree; `read` gives the hashes of a tile it is asked for."""

    def roots(start: int, end: int) -> bytes:
        if start == end:
            return EMPTY_ROOT
        span = end - start
        if span & (span - 1) == 0 and start % span == 0:
            return _node(size, read, span.bit_length() - 1, start // span)
        middle = start + _split(span)
        return node_hash(roots(start, middle), roots(middle, end))

    return roots


def _node(size: int, read: ReadTile, height: int, index: int) -> bytes:
    """Give the root of the complete subtree number `index` of 2^height leaves, from the one tile with it."""
    level, inner = divmod(height, _TILE_BITS)
    first, count = index << inner, 1 << inner
    hashes = read(tile_at(size, level, first // TILE_WIDTH))
    return root(hashes[first % TILE_WIDTH : first % TILE_WIDTH + count])


def tile_at(size: int, level: int, index: int) -> Tile:
    """Name the tile of a log of `size` leaves, with the width it has there (1-256)."""
    held = (size >> (_TILE_BITS * level)) - index * TILE_WIDTH
    if held <= 0:
        raise LogCorrupt(f"a log of {size} entries has no tile {index} at level {level}")
    return Tile(level, index, min(held, TILE_WIDTH))


def grow(size: int, added: Sequence[bytes], read: ReadTile) -> dict[Tile, list[bytes]]:
    """Give every hash tile that is new or wider once `added` leaf hashes follow the first `size`.

    Only the partial tiles on the right edge of the old tree are read.
    """
    tiles: dict[Tile, list[bytes]] = {}
    level, row = 0, list(added)
    while row:
        first, old = divmod(size >> (_TILE_BITS * level), TILE_WIDTH)
        held = read(Tile(level, first, old)) if old else []
        row = [*held, *row]
        chunks = [row[i : i + TILE_WIDTH] for i in range(0, len(row), TILE_WIDTH)]
        tiles |= {Tile(level, first + n, len(c)): c for n, c in enumerate(chunks)}
        row = [root(chunk) for chunk in chunks if len(chunk) == TILE_WIDTH]
        level += 1
    return tiles


def _split(span: int) -> int:
    """Give the largest power of two below `span`."""
    return 1 << ((span - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, roots: Roots) -> list[bytes]:
    """Prove that leaf `index` is in the first `size` leaves: PATH(m, D[n]) of RFC 6962, section 2.1.1."""
    if not 0 <= index < size:
        raise LogCorrupt(f"a log of {size} entries has no entry {index}")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(roots(middle, end))
            end = middle
        else:
            path.append(roots(start, middle))
            start = middle
    return path[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Iterable[bytes], expected: bytes) -> None:
    """Raise LogCorrupt unless `proof` leads from the leaf's hash to the root (RFC 9162, section 2.1.3.2)."""
    path = list(proof)
    if not 0 <= index < size or any(len(h) != HASH_SIZE for h in (leaf, *path)):
        raise LogCorrupt("the inclusion proof is malformed")
    found, last = leaf, size - 1
    for sibling in path:
        if last == 0:
            raise LogCorrupt("the inclusion proof is too long")
        if index % 2 or index == last:
            found = node_hash(sibling, found)
            # On the right edge the levels where this node has no sibling are skipped.
            while not index % 2 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        index, last = index >> 1, last >> 1
    if last or found != expected:
        raise LogCorrupt("the inclusion proof does not lead to the root")


def consistency_proof(old: int, new: int, roots: Roots) -> list[bytes]:
    """Prove that the first `old` leaves are a prefix of the first `new`: PROOF of RFC 6962, section 2.1.2."""
    if not 0 < old <= new:
        raise LogCorrupt(f"nothing proves a log of {old} entries against one of {new}")
    start, end, path, whole = 0, new, [], True
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(roots(middle, end))
            end = middle
        else:
            path.append(roots(start, middle))
            start, whole = middle, False
    return [*([] if whole else [roots(start, end)]), *path[::-1]]


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Iterable[bytes]) -> None:
    """Raise LogCorrupt unless `proof` shows the old tree to be a prefix of the new one.

    RFC 9162, section 2.1.4.2; an old size of 0 proves nothing and is refused.
    """
    if old < 1:
        raise LogCorrupt("the empty log is a prefix of every log: that proves nothing")
    verify_subtree(0, old, new, proof, part_root=old_root, whole_root=new_root)


def verify_subtree(
    start: int, end: int, size: int, proof: Iterable[bytes], *, part_root: bytes, whole_root: bytes
) -> None:
    """Raise LogCorrupt unless the subtree [start, end) with this root lies in the tree of `size` leaves.

    Subtree consistency of C2SP merkle-tree; with start 0 it is the consistency of RFC 9162.
    """
    path = list(proof)
    if not is_subtree(start, end) or end > size:
        raise LogCorrupt(f"[{start}, {end}) is no subtree of a log of {size} entries")
    if start == end:
        if path or part_root != EMPTY_ROOT:
            raise LogCorrupt("an empty subtree has the empty root and no proof")
        return
    part, whole = _both_roots(start, end, size, part_root, path)
    if path or (part, whole) != (part_root, whole_root):
        raise LogCorrupt("the consistency proof does not lead to the roots")


def is_subtree(start: int, end: int) -> bool:
    """Tell whether [start, end) can be a subtree: start is a multiple of the power of two that spans it."""
    span = end - start
    return 0 <= start <= end and (span == 0 or start % (1 << (span - 1).bit_length()) == 0)


def _both_roots(start: int, end: int, size: int, known: bytes, path: list[bytes]) -> tuple[bytes, bytes]:
    """Rebuild (root of the part, root of the whole) from a proof that is consumed from its end."""
    whole, turns = True, []
    while (start, end) != (0, size):
        middle = _split(size)
        if not path or len(path[-1]) != HASH_SIZE:
            raise LogCorrupt("the consistency proof is too short or malformed")
        sibling = path.pop()
        if end <= middle:
            turns.append((False, False, sibling))
            size = middle
        elif start >= middle:
            turns.append((True, False, sibling))
            start, end, size = start - middle, end - middle, size - middle
        else:
            # Only a prefix can straddle the middle: its left half is a part of both trees.
            turns.append((True, True, sibling))
            end, size, whole = end - middle, size - middle, False
    if whole:
        part = both = known
    elif path and len(path[-1]) == HASH_SIZE:
        part = both = path.pop()
    else:
        raise LogCorrupt("the consistency proof is too short or malformed")
    for on_left, shared, sibling in reversed(turns):
        both = node_hash(sibling, both) if on_left else node_hash(both, sibling)
        part = node_hash(sibling, part) if shared else part
    return part, both
