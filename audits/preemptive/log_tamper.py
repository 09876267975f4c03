"""Change a log in every way that somebody may who has its files, or its key, or its database of last week.

Each changed log is looked at by the check of this installation and by the verifier for strangers, who share no
code; it counts as detected when both find it. Both believe what the log and its witness signed, and know the
last checkpoint that the witness cosigned. Whoever holds the log's own key asks the witness, a real one with a
memory, to cosign their fork.

Three controls must miss what they do not look at: a check that is blind to entries, and, with the witness off,
a check that believes the log's key alone, before a fork and before a rollback.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from audits import offline
from audits.log.check import check
from audits.log.format import (
    COSIGNATURE,
    TILE_WIDTH,
    Checkpoint,
    Tile,
    read_checkpoint,
    read_tile,
    render_bundle,
    render_hashes,
)
from audits.log.signing import SigningKey
from audits.log.tree import consistency_proof, grow, leaf_hash, over, over_tiles
from audits.log.trust import Policy
from audits.log.witness import Request, Witness
from audits.preemptive.result import Better, Row, counted
from core.clock import SystemClock
from core.errors import LogCorrupt
from core.store import Store

Files = dict[str, bytes]
_LOG = SigningKey("suite.invalid/log", bytes(range(32)))
_STRANGER = SigningKey(_LOG.name, bytes(32))
_WITNESS = SigningKey("suite.invalid/witness", bytes(range(1, 33)), COSIGNATURE)
_TRUST = Policy((_LOG.vkey,), (_WITNESS.vkey,), 1)
_STRANGERS_TRUST = offline.read_policy(_TRUST.render())
_COSIGNED = 200
_EDITS = ("edit", "delete", "insert", "reorder")


@dataclass(frozen=True, slots=True)
class _Bench:
    """A whole log on the disk and in memory, its witness, and the dice that choose what happens to it."""

    folder: Path
    leaves: list[bytes]
    files: Files
    witness: Witness
    dice: random.Random

    def put(self, files: Mapping[str, bytes | None]) -> None:
        for name, data in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if data is None else path.write_bytes(data)

    @property
    def seen(self) -> Checkpoint:
        """The last checkpoint that the witness cosigned."""
        last = self.witness.latest(_LOG.name)
        assert last is not None
        return Checkpoint(_LOG.name, last.size, last.root)


Attack = Callable[[_Bench], Mapping[str, bytes | None]]
Look = Callable[[_Bench], bool]


def log_tamper(seed: int, *, quick: bool, data: Path | None = None) -> tuple[Row, ...]:  # noqa: ARG001  # makes its own
    """Attack a log of 520 entries (quick: 300) 6,250 times (quick: 10) in each of 16 ways: 100,000 in all."""
    size, trials = (300, 10) if quick else (520, 6_250)
    dice = random.Random(seed)
    leaves = [dice.randbytes(dice.randint(1, 200)) for _ in range(size)]
    with tempfile.TemporaryDirectory() as name, closing(Store(f"sqlite:///{name}/witness.db")) as memory:
        witness = Witness(_WITNESS, memory, {_LOG.name: _LOG.vkey}, SystemClock())
        files = _signed(leaves, _LOG, witness, old=0)
        bench = _Bench(Path(name, "log"), leaves, files, witness, dice)
        bench.put(files)
        if not all(look(bench) for look in (_whole, _whole_to_strangers, _tree_alone, _unwitnessed)):
            raise LogCorrupt("the untouched log of the suite does not pass its own check")
        rows = [_row(name, bench, attack, trials, _refused_by_both) for name, attack in ATTACKS.items()]
        controls = [
            _row(f"control: {name}", bench, attack, min(trials, 400), _refused_by(look), better="low")
            for name, (attack, look) in CONTROLS.items()
        ]
    return (*rows, *controls)


def _row(
    case: str, bench: _Bench, attack: Attack, trials: int, refused: Look, better: Better = "high"
) -> Row:
    hits = _detected(bench, attack, trials, refused)
    return counted(case, hits, trials, reach=1.0 if better == "high" else 0.0, better=better)


def _detected(bench: _Bench, attack: Attack, trials: int, refused: Look) -> int:
    """Count how often the attacked log is refused; it is mended after each."""
    count = 0
    for _ in range(trials):
        changed = {name: data for name, data in attack(bench).items() if data != bench.files.get(name)}
        bench.put(changed)
        count += bool(changed) and refused(bench)
        bench.put({name: bench.files.get(name) for name in changed})
    return count


def _refused_by_both(bench: _Bench) -> bool:
    return not _whole(bench) and not _whole_to_strangers(bench)


def _refused_by(look: Look) -> Look:
    return lambda bench: not look(bench)


def _whole(bench: _Bench) -> bool:
    return check(bench.folder, _TRUST, seen=[bench.seen]).ok


def _whole_to_strangers(bench: _Bench) -> bool:
    seen = bench.seen
    try:
        offline.check_log(
            bench.folder, _STRANGERS_TRUST, [offline.Head(seen.origin, seen.size, seen.root, ())]
        )
    except offline.Wrong:
        return False
    return True


def _unwitnessed(bench: _Bench) -> bool:
    """Check as somebody might who believes the log's key and has never heard of witnesses."""
    return check(bench.folder, _LOG.vkey).ok


def _tree_alone(bench: _Bench) -> bool:
    """Check tiles and signature only, as somebody might who thinks that the tree is the log."""
    try:
        head, _ = read_checkpoint(bench.folder, _TRUST)
        return over_tiles(head.size, partial(read_tile, bench.folder))(0, head.size) == head.root
    except LogCorrupt:
        return False


def _nothing(tile: Tile) -> list[bytes]:
    raise LogCorrupt(f"a new log has no {tile.path}")


def _files(leaves: Sequence[bytes]) -> tuple[Files, bytes]:
    """Give every public file of a log of these leaves but the checkpoint, and the root."""
    tiles = grow(0, [leaf_hash(leaf) for leaf in leaves], _nothing)
    files = {tile.path: render_hashes(hashes) for tile, hashes in tiles.items()}
    for tile in tiles:
        if tile.level == 0:
            at = tile.index * TILE_WIDTH
            files[replace(tile, level=None).path] = render_bundle(leaves[at : at + tile.width])
    return files, over_tiles(len(leaves), tiles.__getitem__)(0, len(leaves))


def _signed(leaves: Sequence[bytes], signer: SigningKey, witness: Witness, *, old: int) -> Files:
    """Give every public file of a log of these leaves, with the cosignature of the witness if it can be had."""
    files, root = _files(leaves)
    note = signer.sign(Checkpoint(signer.name, len(leaves), root).text)
    roots = over([leaf_hash(leaf) for leaf in leaves])
    proof = consistency_proof(old, len(leaves), roots) if 0 < old <= len(leaves) else []
    answer = witness.add_checkpoint(Request(old, tuple(proof), note).render().encode())
    cosigned = note + answer.body if answer.status == _COSIGNED else note
    return files | {"checkpoint": cosigned.encode()}


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


def _instead(bench: _Bench, files: Files) -> Mapping[str, bytes | None]:
    """Put files in the place of the log's, and take away the others of the old tree."""
    # Left in place, the old partial tiles beside the new ones would still be the whole old log.
    gone = bench.files.keys() - files.keys() - {"checkpoint"}
    return {**dict.fromkeys(gone), **files}


def _rebuild(edit: str, bench: _Bench) -> Mapping[str, bytes | None]:
    """Change the entries and rebuild every tile above them, under the old checkpoint."""
    return _instead(bench, _files(_edited(bench, edit))[0])


def _resign(edit: str, signer: SigningKey, bench: _Bench) -> Mapping[str, bytes | None]:
    """Change the entries, rebuild the tree, sign it, and ask the witness to cosign."""
    return _instead(bench, _signed(_edited(bench, edit), signer, bench.witness, old=len(bench.leaves)))


def _outgrow(bench: _Bench) -> Mapping[str, bytes | None]:
    """Change an entry and let the log grow past what the witness knows, under the log's own key."""
    leaves = [*_edited(bench, "edit"), *(bench.dice.randbytes(40) for _ in range(bench.dice.randint(1, 20)))]
    return _instead(bench, _signed(leaves, _LOG, bench.witness, old=len(bench.leaves)))


def _roll_back(bench: _Bench) -> Mapping[str, bytes | None]:
    """Put back an older state of the log, with the cosignature that it had then."""
    leaves = bench.leaves[: bench.dice.randrange(1, len(bench.leaves))]
    files, root = _files(leaves)
    text = Checkpoint(_LOG.name, len(leaves), root).text
    note = _LOG.sign(text) + _WITNESS.signature(text, 1).line
    return _instead(bench, files | {"checkpoint": note.encode()})


ATTACKS: Mapping[str, Attack] = {
    "flip a bit anywhere": _flip_anywhere,
    "flip a bit of an entry": _flip_entry,
    "truncate a file": _truncate,
    "remove a file": _remove_file,
    **{f"{edit} an entry, rebuild the tree": partial(_rebuild, edit) for edit in _EDITS},
    **{
        f"{edit} an entry, sign with another key": partial(_resign, edit, _STRANGER)
        for edit in ("edit", "delete")
    },
    **{f"{edit} an entry, sign with the log's own key": partial(_resign, edit, _LOG) for edit in _EDITS},
    "edit an entry, sign, grow past the witness": _outgrow,
    "roll back to an older cosigned state": _roll_back,
}
CONTROLS: Mapping[str, tuple[Attack, Look]] = {
    "entry, check blind to entries": (_flip_entry, _tree_alone),
    "fork by the log's own key, witness off": (partial(_resign, "edit", _LOG), _unwitnessed),
    "rollback, witness off": (_roll_back, _unwitnessed),
}
