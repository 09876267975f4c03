"""Change proofs and signed notes, blindly and with knowledge of what is in them; none may be accepted.

Each changed text is handed to the verifier of this installation and to the one for strangers; it counts as
accepted when either takes it. Both demand the log's signature and one of a witness. The controls leave out
what a verifier must do (the log's signatures, the witness, the entry) and must accept what that lets in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audits import offline
from audits.log.format import (
    COSIGNATURE,
    ML_DSA_44,
    Checkpoint,
    Verifier,
    encode64,
    open_checkpoint,
    parse_note,
)
from audits.log.proof import Proof, parse_proof, verify_proof
from audits.log.signing import SigningKey
from audits.log.tree import inclusion_proof, leaf_hash, over
from audits.log.trust import Policy
from audits.preemptive.result import Better, Row, counted
from core.errors import LogCorrupt

_ORIGIN = "suite.invalid/log"
_LOG = SigningKey(_ORIGIN, bytes(range(32)))
_STRANGER = SigningKey(_ORIGIN, bytes(32))
_WITNESS = SigningKey("suite.invalid/witness", bytes(range(1, 33)), COSIGNATURE)
_LATTICE = SigningKey("suite.invalid/lattice", bytes(range(1, 33)), ML_DSA_44)
_TRUST = Policy((_LOG.vkey,), (_WITNESS.vkey, _LATTICE.vkey), 1)
_STRANGERS_TRUST = offline.read_policy(_TRUST.render())
_SIZES = (1, 2, 3, 7, 8, 13, 64, 255, 256, 257, 300)
_SIZE = 1
_PRINTABLE = "".join(chr(code) for code in range(32, 127)) + "\n\t\0é—"


@dataclass(frozen=True, slots=True)
class _Pool:
    """Good proofs, of entries all over logs of several sizes, and the dice that choose among them."""

    proofs: Sequence[Proof]
    dice: random.Random

    def pick(self) -> Proof:
        return self.dice.choice(self.proofs)

    def other(self, proof: Proof) -> Proof:
        while (found := self.pick()) in (proof, replace(proof, note=found.note)):
            pass
        return found


Mutation = Callable[[_Pool], str]
Accepts = Callable[[str], bool]


def proofs(seed: int, *, quick: bool, data: Path | None = None) -> tuple[Row, ...]:  # noqa: ARG001  # makes its own
    """Change proofs and notes 50,000 times (quick: 40) in each of 20 ways: 1,000,000 in all."""
    trials = 40 if quick else 50_000
    pool = _Pool(_made(), random.Random(seed))
    if not all(_by_us(proof.render()) and _by_a_stranger(proof.render()) for proof in pool.proofs):
        raise LogCorrupt("an unchanged proof of the suite does not verify")
    rows = [_row(name, pool, change, trials, _by_either, "low") for name, change in MUTATIONS.items()]
    controls = [
        _row(f"control: {name}", pool, change, min(trials, 1_000), accepts, "high")
        for name, (change, accepts) in CONTROLS.items()
    ]
    return (*rows, *controls)


def _row(case: str, pool: _Pool, change: Mutation, trials: int, accepts: Accepts, better: Better) -> Row:
    hits = sum(accepts(change(pool)) for _ in range(trials))
    return counted(case, hits, trials, reach=0.0 if better == "low" else 1.0, better=better)


def _made() -> list[Proof]:
    """Make proofs of up to six entries of each log; the witness signs with ML-DSA-44 in every eighth."""
    made: list[Proof] = []
    for size in _SIZES:
        leaves = [b'{"log":%d,"n":%d}' % (size, n) for n in range(size)]
        hashes = [leaf_hash(leaf) for leaf in leaves]
        roots = over(hashes)
        text = Checkpoint(_ORIGIN, size, roots(0, size)).text
        for index in sorted({0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size))):
            witness = _WITNESS if len(made) % 8 else _LATTICE
            note = _LOG.sign(text) + witness.signature(text, 1_800_000_000).line
            made.append(Proof(index, tuple(inclusion_proof(index, size, roots)), note, leaves[index]))
    return made


def _by_us(text: str) -> bool:
    return _verifies(text, _TRUST)


def _verifies(text: str, trust: Verifier) -> bool:
    try:
        verify_proof(text, None, trust)
    except LogCorrupt:
        return False
    return True


def _by_a_stranger(text: str) -> bool:
    try:
        offline.check_proof(text, None, _STRANGERS_TRUST)
    except offline.Wrong:
        return False
    return True


def _by_either(text: str) -> bool:
    return _by_us(text) or _by_a_stranger(text)


@dataclass(frozen=True, slots=True)
class _Unsigned:
    """What believes any note about the log, whoever signed it."""

    name: str

    def verify(self, note: str) -> str:
        return parse_note(note).text


def _by_one_who_skips_signatures(text: str) -> bool:
    return _verifies(text, _Unsigned(_ORIGIN))


def _by_one_without_witness(text: str) -> bool:
    return _verifies(text, Policy((_LOG.vkey,)))


def _by_one_who_skips_the_entry(text: str) -> bool:
    try:
        return bool(open_checkpoint(parse_proof(text).note, _TRUST))
    except LogCorrupt:
        return False


def _bit(pool: _Pool) -> str:
    """Flip a bit of the file; what is then no text was refused when it was read."""
    text = pool.pick().render()
    while True:
        data = bytearray(text.encode())
        data[pool.dice.randrange(len(data))] ^= 1 << pool.dice.randrange(8)
        changed = data.decode(errors="replace")
        if changed != text:
            return changed


def _put(pool: _Pool) -> str:
    text = pool.pick().render()
    at = pool.dice.randrange(len(text) + 1)
    return text[:at] + pool.dice.choice(_PRINTABLE) + text[at:]


def _cut(pool: _Pool) -> str:
    text = pool.pick().render()
    return text[: pool.dice.randrange(len(text))]


def _drop(pool: _Pool) -> str:
    text = pool.pick().render()
    start = pool.dice.randrange(len(text))
    return text[:start] + text[start + pool.dice.randint(1, 60) :]


def _splice(pool: _Pool) -> str:
    """Replace some of a text by as much of another from the same place."""
    proof = pool.pick()
    text, other = proof.render(), pool.other(proof).render()
    while True:
        start, length = pool.dice.randrange(len(text)), pool.dice.randint(1, 60)
        changed = text[:start] + other[start : start + length] + text[start + length :]
        if changed not in {text, other}:
            return changed


def _index(pool: _Pool) -> str:
    proof = pool.pick()
    while (index := pool.dice.choice((pool.dice.randrange(400), pool.dice.getrandbits(63)))) == proof.index:
        pass
    return replace(proof, index=index).render()


def _step(pool: _Pool) -> str:
    """Change a step of the path, leave one out, add one, or turn two around."""
    proof = pool.pick()
    path, dice = list(proof.path), pool.dice
    at = dice.randrange(len(path) + 1)
    how = dice.randrange(4)
    if how == 0 and at < len(path):
        step = bytearray(path[at])
        step[dice.randrange(32)] ^= 1 << dice.randrange(8)
        path[at] = bytes(step)
    elif how == 1 and at < len(path):
        del path[at]
    elif how == 2 and at + 1 < len(path):
        path[at], path[at + 1] = path[at + 1], path[at]
    else:
        path.insert(at, dice.choice((dice.randbytes(32), *path)))
    return replace(proof, path=tuple(path)).render()


def _foreign_path(pool: _Pool) -> str:
    proof = pool.pick()
    while (path := pool.pick().path) == proof.path:
        pass
    return replace(proof, path=path).render()


def _leaf(pool: _Pool) -> str:
    proof = pool.pick()
    leaf = bytearray(proof.leaf)
    leaf[pool.dice.randrange(len(leaf))] ^= 1 << pool.dice.randrange(8)
    return replace(proof, leaf=bytes(leaf)).render()


def _foreign_leaf(pool: _Pool) -> str:
    proof = pool.pick()
    return replace(proof, leaf=pool.other(proof).leaf).render()


def _node_as_leaf(pool: _Pool) -> str:
    """Pass an inner node off as an entry: what the prefixes of RFC 6962 are there to stop."""
    proof = pool.pick()
    while not proof.path:
        proof = pool.pick()
    pair = (leaf_hash(proof.leaf), proof.path[0])
    left, right = pair if proof.index % 2 == 0 else pair[::-1]
    return replace(proof, leaf=left + right, index=proof.index // 2, path=proof.path[1:]).render()


def _foreign_note(pool: _Pool) -> str:
    """Put a checkpoint of the same log at another size under a path."""
    proof = pool.pick()
    while (note := pool.pick().note).split("\n")[_SIZE] == proof.note.split("\n")[_SIZE]:
        pass
    return replace(proof, note=note).render()


def _line(number: int, change: Callable[[str, _Pool], str]) -> Mutation:
    """Change one line of the note, the signatures being left as they are."""

    def changed(pool: _Pool) -> str:
        proof = pool.pick()
        lines = proof.note.split("\n")
        old = lines[number]
        while lines[number] == old:
            lines[number] = change(old, pool)
        return replace(proof, note="\n".join(lines)).render()

    return changed


def _any_size(_old: str, pool: _Pool) -> str:
    return str(pool.dice.choice((pool.dice.randrange(400), pool.dice.getrandbits(62))))


def _any_origin(old: str, pool: _Pool) -> str:
    at = pool.dice.randrange(len(old))
    return old[:at] + pool.dice.choice("abcxyz./-é") + old[at + 1 :]


def _any_root(_old: str, pool: _Pool) -> str:
    return encode64(pool.dice.randbytes(32))


def _signature_bit(old: str, pool: _Pool) -> str:
    """Flip a bit of the key's id, of the time or of the signature."""
    mark, name, blob = old.split(" ")
    data = bytearray(offline.decoded(blob))
    data[pool.dice.randrange(len(data))] ^= 1 << pool.dice.randrange(8)
    return f"{mark} {name} {encode64(bytes(data))}"


def _replayed(old: str, pool: _Pool) -> str:
    """Take the signature of the same key over another checkpoint."""
    name = old.split(" ")[1]
    lines = [line for line in pool.pick().note.split("\n") if line.split(" ")[1:2] == [name]]
    return lines[0] if lines else old


def _forged(pool: _Pool) -> str:
    """Sign a false checkpoint with another key under the log's name and key id, and keep the cosignature."""
    proof = pool.pick()
    lines = proof.note.split("\n")
    leaf = b'{"forged":%d}' % pool.dice.getrandbits(62)
    root = offline.climb(proof.index, proof.size, leaf_hash(leaf), proof.path)
    signed = _STRANGER.signature(Checkpoint(_ORIGIN, proof.size, root).text)
    mine = replace(signed, key_id=pool.dice.choice((signed.key_id, _LOG.vkey.key_id)))
    note = "\n".join([*lines[:2], encode64(root), "", mine.line.rstrip("\n"), *lines[5:]])
    return replace(proof, leaf=leaf, note=note).render()


def _unwitnessed(pool: _Pool) -> str:
    """Leave the witness out of a checkpoint that the log did sign."""
    proof = pool.pick()
    return replace(proof, note="\n".join(proof.note.split("\n")[:5]) + "\n").render()


MUTATIONS: Mapping[str, Mutation] = {
    "a bit": _bit,
    "a character put in": _put,
    "cut short": _cut,
    "some of it left out": _drop,
    "some of another proof": _splice,
    "another index": _index,
    "a step of the path": _step,
    "the path of another entry": _foreign_path,
    "a bit of the entry": _leaf,
    "another entry": _foreign_leaf,
    "an inner node as the entry": _node_as_leaf,
    "another checkpoint of the log": _foreign_note,
    "another origin": _line(0, _any_origin),
    "another size": _line(1, _any_size),
    "another root": _line(2, _any_root),
    "a bit of the log's signature": _line(4, _signature_bit),
    "a bit of the witness's": _line(5, _signature_bit),
    "the log's signature of another checkpoint": _line(4, _replayed),
    "a false checkpoint under a stranger's key": _forged,
    "no witness": _unwitnessed,
}
CONTROLS: Mapping[str, tuple[Mutation, Accepts]] = {
    "a stranger's key, signatures not looked at": (_forged, _by_one_who_skips_signatures),
    "no witness, none asked for": (_unwitnessed, _by_one_without_witness),
    "another entry, entries not looked at": (_foreign_leaf, _by_one_who_skips_the_entry),
}
