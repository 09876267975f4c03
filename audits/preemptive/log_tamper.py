"""Change a log in random places, as somebody would who has its files and not its key; all must be found.

The control checks the tree against the signature and leaves the entries out: it must miss changed entries.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from audits.log.check import check
from audits.log.format import (
    TILE_WIDTH,
    Checkpoint,
    Tile,
    read_checkpoint,
    read_tile,
    render_bundle,
    render_hashes,
)
from audits.log.signing import SigningKey
from audits.log.tree import grow, leaf_hash, over_tiles
from audits.preemptive.result import Row
from core.errors import LogCorrupt

Files = dict[str, bytes]
_LOG = SigningKey("suite.invalid/log", bytes(range(32)))
_STRANGER = SigningKey(_LOG.name, bytes(32))


@dataclass(frozen=True, slots=True)
class _Bench:
    """A whole log on the disk and in memory, and the dice that choose what happens to it."""

    folder: Path
    leaves: list[bytes]
    files: Files
    dice: random.Random

    def put(self, files: Mapping[str, bytes | None]) -> None:
        for name, data in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if data is None else path.write_bytes(data)


Attack = Callable[[_Bench], Mapping[str, bytes | None]]
Look = Callable[[Path], bool]


def log_tamper(seed: int, *, quick: bool, data: Path | None = None) -> tuple[Row, ...]:  # noqa: ARG001  # makes its own
    """Attack a log of 600 entries (quick: 300) 400 times (quick: 25) in each way."""
    size, trials = (300, 25) if quick else (600, 400)
    dice = random.Random(seed)
    leaves = [dice.randbytes(dice.randint(1, 200)) for _ in range(size)]
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder), leaves, _files(leaves, _LOG), dice)
        bench.put(bench.files)
        if not _whole(bench.folder) or not _tree_alone(bench.folder):
            raise LogCorrupt("the untouched log of the suite does not pass its own check")
        found = {name: _detected(bench, attack, trials, _whole) for name, attack in ATTACKS.items()}
        blind = _detected(bench, _flip_entry, trials, _tree_alone)
    rows = [_row(name, trials, count, passed=count == trials) for name, count in found.items()]
    return (*rows, _row("control: entry, check blind to entries", trials, blind, passed=blind < trials))


def _row(attack: str, trials: int, detected: int, *, passed: bool) -> Row:
    return {"attack": attack, "trials": trials, "detected": detected, "passed": passed}


def _detected(bench: _Bench, attack: Attack, trials: int, look: Look) -> int:
    """Count how often a look at the attacked log finds it broken; the log is mended after each."""
    count = 0
    for _ in range(trials):
        changed = {name: data for name, data in attack(bench).items() if data != bench.files.get(name)}
        bench.put(changed)
        count += bool(changed) and not look(bench.folder)
        bench.put({name: bench.files.get(name) for name in changed})
    return count


def _whole(folder: Path) -> bool:
    return check(folder, _LOG.vkey).ok


def _tree_alone(folder: Path) -> bool:
    """Check tiles and signature only, as somebody might who thinks that the tree is the log."""
    try:
        head, _ = read_checkpoint(folder, _LOG.vkey)
        return over_tiles(head.size, partial(read_tile, folder))(0, head.size) == head.root
    except LogCorrupt:
        return False


def _nothing(tile: Tile) -> list[bytes]:
    raise LogCorrupt(f"a new log has no {tile.path}")


def _files(leaves: list[bytes], signer: SigningKey | None) -> Files:
    """Give every public file of a log of these leaves; without a signer, all but the checkpoint."""
    tiles = grow(0, [leaf_hash(leaf) for leaf in leaves], _nothing)
    files = {tile.path: render_hashes(hashes) for tile, hashes in tiles.items()}
    for tile in tiles:
        if tile.level == 0:
            at = tile.index * TILE_WIDTH
            files[replace(tile, level=None).path] = render_bundle(leaves[at : at + tile.width])
    if signer:
        root = over_tiles(len(leaves), tiles.__getitem__)(0, len(leaves))
        head = Checkpoint(signer.name, len(leaves), root)
        files["checkpoint"] = signer.sign(head.text).encode()
    return files


def _flip(bench: _Bench, names: list[str]) -> Mapping[str, bytes]:
    name = bench.dice.choice(names)
    data = bytearray(bench.files[name])
    data[bench.dice.randrange(len(data))] ^= 1 << bench.dice.randrange(8)
    return {name: bytes(data)}


def _flip_anywhere(bench: _Bench) -> Mapping[str, bytes]:
    return _flip(bench, sorted(bench.files))


def _flip_entry(bench: _Bench) -> Mapping[str, bytes]:
    return _flip(bench, sorted(name for name in bench.files if "entries" in name))


def _truncate(bench: _Bench) -> Mapping[str, bytes]:
    name = bench.dice.choice(sorted(bench.files))
    return {name: bench.files[name][: bench.dice.randrange(len(bench.files[name]))]}


def _remove_file(bench: _Bench) -> Mapping[str, None]:
    return {bench.dice.choice(sorted(bench.files)): None}


def _edited(bench: _Bench, edit: str) -> list[bytes]:
    leaves = list(bench.leaves)
    at, other = bench.dice.sample(range(len(leaves)), 2)
    if edit == "delete":
        del leaves[at]
    elif edit == "insert":
        leaves.insert(at, bench.dice.randbytes(40))
    elif edit == "reorder":
        leaves[at], leaves[other] = leaves[other], leaves[at]
    else:
        leaves[at] = bench.dice.randbytes(40)
    return leaves


def _rewrite(edit: str, signer: SigningKey | None, bench: _Bench) -> Mapping[str, bytes | None]:
    """Change the entries, rebuild every tile above them, and take away the files of the old tree."""
    rebuilt = _files(_edited(bench, edit), signer)
    # Left in place, the old partial tiles beside the new ones would still be the whole old log.
    gone = bench.files.keys() - rebuilt.keys() - {"checkpoint"}
    return {**dict.fromkeys(gone), **rebuilt}


ATTACKS: Mapping[str, Attack] = {
    "flip a bit anywhere": _flip_anywhere,
    "flip a bit of an entry": _flip_entry,
    "truncate a file": _truncate,
    "remove a file": _remove_file,
    **{
        f"{edit} an entry, rebuild the tree": partial(_rewrite, edit, None)
        for edit in ("edit", "delete", "insert", "reorder")
    },
    **{
        f"{edit} an entry, sign with another key": partial(_rewrite, edit, _STRANGER)
        for edit in ("edit", "delete")
    },
}
