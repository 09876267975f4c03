from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audits.log import format as fmt
from audits.log import tree
from audits.log.signing import LogKey, SigningKey
from audits.log.witness import Answer, Request, Seen, Witness, parse_request
from core.errors import LogCorrupt
from core.store import Store
from tests.audits.conftest import ORIGIN, witness

KEY = LogKey(SigningKey(ORIGIN, b"\1" * 32), SigningKey(ORIGIN, b"\2" * 32, fmt.ML_DSA_44))
LEAVES = [tree.leaf_hash(bytes([n])) for n in range(40)]
FORK = [tree.leaf_hash(bytes([n, 1])) for n in range(40)]


def note(size: int, leaves: list[bytes] = LEAVES, key: LogKey = KEY, origin: str = ORIGIN) -> str:
    return key.sign(fmt.Checkpoint(origin, size, tree.root(leaves[:size])).text, 1)


def request(old: int, new: int, leaves: list[bytes] = LEAVES, **other: Any) -> bytes:
    proof = tree.consistency_proof(old, new, tree.over(leaves)) if 0 < old < new else []
    return Request(old, tuple(proof), note(new, leaves, **other)).render().encode()


@dataclass
class Desk:
    """A witness, its memory and its clock."""

    memory: Store
    witness: Witness
    clock: Any

    def ask(self, old: int, new: int, leaves: list[bytes] = LEAVES) -> Answer:
        return self.witness.add_checkpoint(request(old, new, leaves))


@pytest.fixture
def desk(tmp_path: Path, clock: Any) -> Iterator[Desk]:
    memory = Store(f"sqlite:///{tmp_path / 'witness.db'}")
    yield Desk(memory, witness(memory, KEY, clock), clock)
    memory.close()


def cosigned(answer: Answer, size: int, key: fmt.VerifierKey) -> bool:
    text = fmt.parse_note(note(size)).text
    return answer.status == 200 and key.signed(fmt.parse_note(f"{text}\n{answer.body}"))


def test_a_log_that_grows_is_cosigned(desk: Desk) -> None:
    known = 0
    for size in (0, 1, 2, 7, 7, 8, 31, 40):
        assert cosigned(desk.ask(known, size), size, desk.witness.vkey)
        known = size
    seen = desk.witness.latest(ORIGIN)
    assert seen is not None
    assert (seen.size, seen.root) == (40, tree.root(LEAVES))


def test_every_refusal_has_the_status_of_the_specification(desk: Desk) -> None:
    other = LogKey(SigningKey(ORIGIN, b"\3" * 32), SigningKey(ORIGIN, b"\4" * 32, fmt.ML_DSA_44))
    strange = LogKey(
        SigningKey("other.test", b"\3" * 32), SigningKey("other.test", b"\4" * 32, fmt.ML_DSA_44)
    )
    add = desk.witness.add_checkpoint
    assert desk.ask(0, 9).status == 200
    assert add(b"old 9\n").status == 400
    assert add(request(9, 12).replace(b"old 9", b"old 09")).status == 400
    assert add(request(12, 9)).status == 400
    assert add(request(0, 9, origin="other.test", key=strange)).status == 404
    assert add(request(9, 12, key=other)).status == 403
    half = Request(9, (), KEY.classical.sign(fmt.parse_note(note(12)).text)).render().encode()
    assert add(half).status == 403
    for old in (0, 8):
        stale = desk.ask(old, 12)
        assert (stale.status, stale.body, stale.type) == (409, "9\n", "text/x.tlog.size")
    assert desk.ask(9, 9, FORK).status == 409
    assert desk.ask(9, 9, FORK).type.startswith("text/plain")
    assert desk.ask(9, 12, FORK).status == 422
    assert add(request(9, 12).replace(b"old 9\n", b"old 9\n" + b"A" * 43 + b"=\n")).status == 422
    assert add(Request(9, (bytes(32),), note(9)).render().encode()).status == 422
    assert add(Request(9, (), note(12)).render().encode()).status == 422
    # Nothing of all that changed what it remembers.
    assert cosigned(desk.ask(9, 12), 12, desk.witness.vkey)


def test_the_first_request_proves_nothing_and_the_empty_log_has_one_root(desk: Desk) -> None:
    body = Request(0, (bytes(32),), note(3)).render().encode()
    assert desk.witness.add_checkpoint(body).status == 422
    empty = KEY.sign(fmt.Checkpoint(ORIGIN, 0, bytes(32)).text, 1)
    assert desk.witness.add_checkpoint(Request(0, (), empty).render().encode()).status == 422
    assert desk.witness.latest(ORIGIN) is None


def test_it_is_written_down_before_it_is_signed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def dying(*_: object) -> None:
        raise MemoryError

    body = request(0, 5)
    monkeypatch.setattr(SigningKey, "signature", dying)
    with pytest.raises(MemoryError):
        desk.witness.add_checkpoint(body)
    seen = desk.witness.latest(ORIGIN)
    assert seen is not None
    assert seen.size == 5


def test_memory_outlives_the_process(desk: Desk) -> None:
    desk.ask(0, 20)
    again = witness(desk.memory, KEY, desk.clock)
    assert again.add_checkpoint(request(0, 12)).status == 409
    assert again.add_checkpoint(request(20, 25)).status == 200


class Overtaken(Witness):
    """Another request, to 9 entries, is answered between this one's looking and its writing."""

    overtaker: Desk | None = None

    def latest(self, origin: str) -> Seen | None:
        seen = super().latest(origin)
        if self.overtaker:
            other, self.overtaker = self.overtaker, None
            assert other.ask(5, 9).status == 200
        return seen


def overtaken(desk: Desk) -> Answer:
    desk.ask(0, 5)
    slow = Overtaken(desk.witness._key, desk.memory, desk.witness._logs, desk.clock)
    slow.overtaker = desk
    return slow.add_checkpoint(request(5, 7))


def test_two_requests_at_once_never_roll_back(desk: Desk) -> None:
    """The race of the specification: of two requests from one old size only the first is cosigned."""
    answer = overtaken(desk)
    assert (answer.status, answer.body) == (409, "9\n")
    seen = desk.witness.latest(ORIGIN)
    assert seen is not None
    assert seen.size == 9


def test_without_the_comparison_it_would_roll_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    remembered = Witness._remembered

    def blind(self: Witness, head: fmt.Checkpoint, last: Seen | None, at_s: int) -> bool:
        return remembered(self, head, self.latest(ORIGIN) if last else None, at_s)

    monkeypatch.setattr(Witness, "_remembered", blind)
    assert overtaken(desk).status == 200
    seen = desk.witness.latest(ORIGIN)
    assert seen is not None
    assert seen.size == 7


def test_two_first_requests_at_once(desk: Desk) -> None:
    slow = Overtaken(desk.witness._key, desk.memory, desk.witness._logs, desk.clock)
    slow.overtaker = Desk(desk.memory, desk.witness, desk.clock)
    slow.overtaker.ask = lambda *_: desk.ask(0, 9)  # type: ignore[method-assign]
    assert slow.add_checkpoint(request(0, 7)).status == 409


def test_its_times_never_go_back(desk: Desk) -> None:
    times = []
    for old, new, step in ((0, 3, 0), (3, 4, -3600), (4, 5, 10)):
        desk.clock.advance(step)
        line = desk.ask(old, new).body
        blob = fmt.parse_note(f"x\n\n{line}").signatures[0].blob
        times.append(int.from_bytes(blob[:8], "big"))
    assert times == sorted(times)
    assert times[0] > 0


@settings(max_examples=50)
@given(st.integers(0, 10**19 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_request_reads_back(old: int, proof: list[bytes]) -> None:
    asked = Request(old, tuple(proof), note(3))
    assert parse_request(asked.render().encode()) == asked


@settings(max_examples=200)
@given(st.integers(0), st.binary(max_size=3), st.integers(0, 3))
def test_a_changed_request_is_corrupt_or_reads_back(where: int, put: bytes, cut: int) -> None:
    body = request(9, 12)
    at = where % len(body)
    changed = body[:at] + put + body[at + cut :]
    try:
        asked = parse_request(changed)
    except LogCorrupt:
        return
    assert asked.render().encode() == changed


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"old 1\n\n", b"old -1\n\n" + note(3).encode(), b"Old 1\n\n" + note(3).encode(),
        b"old 1\n" + b"AAAA\n" + b"\n" + note(3).encode(),
        b"old 1\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + note(3).encode(),
        b"old 1\n\n" + b"x" * 70_000, b"old 1\n\njust text\n\n\xe2\x80\x94 a AAAAAAAA\n",
    ],
)  # fmt: skip
def test_malformed_requests_are_refused(body: bytes, desk: Desk) -> None:
    assert desk.witness.add_checkpoint(body).status == 400
