from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.log import format as fmt
from audits.log import tree
from core.errors import LogCorrupt

LEAVES = [tree.leaf_hash(b"leaf %d" % n) for n in range(70_000)]
SIZES = st.integers(1, 600) | st.sampled_from([256, 257, 511, 512, 65_536, 65_537, 70_000])


def unpack(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def judge(kind: str, vector: dict[str, Any]) -> None:
    """Run one vector of transparency-dev/merkle; raise LogCorrupt where the proof does not hold."""
    proof = [unpack(item) for item in vector["proof"] or ()]
    if kind == "inclusion":
        leaf, root = unpack(vector["leafHash"]), unpack(vector["root"])
        tree.verify_inclusion(vector["leafIdx"], vector["treeSize"], leaf, proof, root)
    elif kind == "subtreeinclusion":
        if not tree.is_subtree(vector["start"], vector["end"]):
            raise LogCorrupt("no subtree")
        leaf, root, start = unpack(vector["leafHash"]), unpack(vector["root"]), vector["start"]
        tree.verify_inclusion(vector["leafIdx"] - start, vector["end"] - start, leaf, proof, root)
    elif kind == "consistency":
        roots = unpack(vector["root1"]), unpack(vector["root2"])
        tree.verify_consistency(vector["size1"], vector["size2"], *roots, proof)
    else:
        part, whole = unpack(vector["root1"]), unpack(vector["root2"])
        span = vector["start"], vector["end"], vector["size"]
        tree.verify_subtree(*span, proof, part_root=part, whole_root=whole)


def test_the_518_public_vectors(shared_data: Path) -> None:
    folder = shared_data / "tlog" / "merkle"
    wrong = []
    paths = sorted(folder.rglob("*.json"))
    for path in paths:
        vector = json.loads(path.read_text())
        try:
            judge(path.relative_to(folder).parts[0], vector)
            refused = False
        except LogCorrupt:
            refused = True
        if refused != vector["wantErr"]:
            wrong.append(path)
    assert len(paths) == 518
    assert wrong == []


def test_the_eight_leaves_of_rfc_6962() -> None:
    inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    hashes = [tree.leaf_hash(bytes.fromhex(text)) for text in inputs]
    assert tree.root(hashes).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert tree.root([]) == tree.EMPTY_ROOT


def test_the_tessera_log_is_rebuilt(shared_data: Path) -> None:
    folder = shared_data / "tlog" / "tessera_log"

    def read(tile: fmt.Tile) -> list[bytes]:
        return fmt.read_tile(folder, tile)

    for path in sorted(folder.glob("checkpoint*")):
        checkpoint = fmt.parse_checkpoint(fmt.parse_note(path.read_text(encoding="utf-8")).text)
        size = checkpoint.size
        assert tree.over_tiles(size, read)(0, size) == checkpoint.root
        leaves = read(fmt.Tile(None, 0, size)) if size else []
        assert tree.root([tree.leaf_hash(leaf) for leaf in leaves]) == checkpoint.root


@given(SIZES, st.integers(0), st.integers(0, 319))
def test_inclusion_proofs_hold_and_break(size: int, pick: int, bit: int) -> None:
    index, roots = pick % size, tree.over(LEAVES)
    proof = tree.inclusion_proof(index, size, roots)
    whole = roots(0, size)
    tree.verify_inclusion(index, size, LEAVES[index], proof, whole)
    parts = [LEAVES[index], *proof]
    at = bit % (len(parts) * 256)
    part = bytearray(parts[at // 256])
    part[at % 256 // 8] ^= 1 << at % 8
    parts[at // 256] = bytes(part)
    with pytest.raises(LogCorrupt):
        tree.verify_inclusion(index, size, parts[0], parts[1:], whole)
    with pytest.raises(LogCorrupt):
        tree.verify_inclusion(index, size, LEAVES[index], [*proof, bytes(32)], whole)


@given(st.integers(1, 600), st.integers(0))
def test_consistency_proofs_hold_and_break(new: int, pick: int) -> None:
    old, roots = 1 + pick % new, tree.over(LEAVES)
    proof = tree.consistency_proof(old, new, roots)
    before, after = roots(0, old), roots(0, new)
    tree.verify_consistency(old, new, before, after, proof)
    for wrong in ([*proof, bytes(32)], [bytes(32), *proof], [hash_[::-1] for hash_ in proof], proof[:-1]):
        if wrong != proof:
            with pytest.raises(LogCorrupt):
                tree.verify_consistency(old, new, before, after, wrong)
    with pytest.raises(LogCorrupt):
        tree.verify_consistency(old, new, before, bytes(32), proof)


def test_an_old_size_of_zero_is_refused() -> None:
    with pytest.raises(LogCorrupt):
        tree.verify_consistency(0, 5, tree.EMPTY_ROOT, tree.root(LEAVES[:5]), [])


@given(st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_growing_in_any_steps_gives_the_same_tiles(steps: list[int]) -> None:
    tiles: dict[fmt.Tile, list[bytes]] = {}
    size = 0
    for step in steps:
        tiles |= tree.grow(size, LEAVES[size : size + step], tiles.__getitem__)
        size += step
        assert tree.over_tiles(size, tiles.__getitem__)(0, size) == tree.root(LEAVES[:size])
    at_once = tree.grow(0, LEAVES[:size], tiles.__getitem__)
    assert {tile: tiles[tile] for tile in at_once} == at_once


def test_tiles_of_the_specification() -> None:
    tiles = tree.grow(0, LEAVES, {}.__getitem__)
    widths = {level: [t.width for t in tiles if t.level == level] for level in range(3)}
    assert widths == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}
    assert [t.width for t in tree.grow(0, LEAVES[:256], {}.__getitem__)] == [256, 1]
    roots = tree.over_tiles(70_000, tiles.__getitem__)
    proof = tree.inclusion_proof(69_999, 70_000, roots)
    tree.verify_inclusion(69_999, 70_000, LEAVES[69_999], proof, tree.root(LEAVES))
