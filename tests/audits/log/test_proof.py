from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.log import format as fmt
from audits.log.proof import Proof, Prover, parse_proof, prove, verify_proof
from audits.log.signing import SigningKey
from core.errors import Conflict, LogCorrupt

NOTE = SigningKey("a.test/log", bytes(32)).sign(fmt.Checkpoint("a.test/log", 9, bytes(32)).text)


@given(st.integers(0, 10**15), st.lists(st.binary(min_size=32, max_size=32), max_size=30), st.binary())
def test_a_proof_reads_back(index: int, path: list[bytes], leaf: bytes) -> None:
    proof = Proof(index, tuple(path), NOTE, leaf)
    assert parse_proof(proof.render()) == proof


def test_a_proof_looks_like_the_specification() -> None:
    lines = Proof(3, (bytes(32),), NOTE).render().split("\n")
    assert lines[:5] == ["c2sp.org/tlog-proof@v1", "index 3", "A" * 43 + "=", "", "a.test/log"]
    assert Proof(3, (), NOTE, b"{}").render().split("\n")[1:3] == ["extra e30=", "index 3"]


def test_every_entry_is_proven_from_the_public_files(log: Any) -> None:
    log.happen(300)
    log.integrate()
    vkey = log.key.vkey
    prover = Prover(log.folder, vkey)
    for proof in map(prover.prove, (0, 1, 255, 256, 299)):
        assert f'"n":{proof.index}'.encode() in proof.leaf
        for text in (proof.render(), replace(proof, leaf=b"").render()):
            assert verify_proof(text, proof.leaf, vkey).size == 300
            with pytest.raises(LogCorrupt):
                verify_proof(text, proof.leaf + b" ", vkey)
        assert verify_proof(proof.render(), None, vkey).size == 300
        with pytest.raises(LogCorrupt, match="carries no entry"):
            verify_proof(replace(proof, leaf=b"").render(), None, vkey)


def test_what_no_checkpoint_covers_yet_has_no_proof_yet(log: Any) -> None:
    log.happen(3)
    log.integrate()
    with pytest.raises(Conflict, match="not covered by a checkpoint yet"):
        prove(log.folder, log.key.vkey, 3)
    log.happen(1)
    log.integrate()
    assert prove(log.folder, log.key.vkey, 3).size == 4


def test_an_old_proof_still_verifies(log: Any) -> None:
    log.happen(5)
    log.integrate()
    proof = prove(log.folder, log.key.vkey, 2)
    log.happen(600)
    log.integrate()
    assert verify_proof(proof.render(), None, log.key.vkey).size == 5


def test_a_changed_proof_is_refused(log: Any) -> None:
    log.happen(13)
    log.integrate()
    policy, proof = log.policy, prove(log.folder, log.policy, 6)
    text, leaf = proof.render(), proof.leaf
    assert verify_proof(text, leaf, policy).size == 13
    # Every place up to the long signature's first bytes, then some of its 3,200.
    for at in (*range(560), *range(560, len(text), 101)):
        for put in ("", "A", "\n", text[at] + "="):
            changed = text[:at] + put + text[at + 1 :]
            if changed != text:
                with pytest.raises(LogCorrupt):
                    verify_proof(changed, leaf, policy)


def test_a_proof_of_another_log_is_refused(log: Any) -> None:
    log.happen(1)
    log.integrate()
    text = prove(log.folder, log.key.vkey, 0).render()
    other = SigningKey(log.key.name, b"\x07" * 32).vkey
    with pytest.raises(LogCorrupt, match="not signed"):
        verify_proof(text, None, other)


def test_nothing_is_proven_from_an_altered_file(log: Any) -> None:
    log.happen(300)
    log.integrate()
    assert prove(log.folder, log.key.vkey, 7).size == 300
    # The last byte of the bundle is entry 255's; the last hash of the tile is in the path of entry 254.
    for name, index in (("tile/entries/000", 255), ("tile/0/000", 254)):
        original = (log.folder / name).read_bytes()
        (log.folder / name).write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(LogCorrupt):
            prove(log.folder, log.key.vkey, index)
        (log.folder / name).write_bytes(original)
