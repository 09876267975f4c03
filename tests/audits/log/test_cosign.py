from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from audits.log import cosign
from audits.log.check import check
from audits.log.cosign import Quorum, RemoteWitness
from audits.log.format import (
    COSIGNATURE,
    ML_DSA_44,
    VerifierKey,
    open_checkpoint,
    parse_note,
    read_checkpoint,
)
from audits.log.signing import SigningKey
from audits.log.witness import Answer, Seen, Witness
from core.errors import LogCorrupt, Unavailable
from core.store import Store
from core.tables import LogCheckpoint, LogEntry
from tests.audits.conftest import Log


@dataclass
class Fake:
    """A witness that answers as told, or asks the real one."""

    real: Witness
    answers: list[Answer | Exception]

    @property
    def vkey(self) -> VerifierKey:
        return self.real.vkey

    def latest(self, origin: str) -> Seen | None:
        return None

    def add_checkpoint(self, body: bytes) -> Answer:
        answer = self.answers.pop(0) if self.answers else self.real.add_checkpoint(body)
        if isinstance(answer, Exception):
            raise answer
        return answer


def size(log: Log) -> int:
    return read_checkpoint(log.folder, log.policy)[0].size


def checkpoints(log: Log) -> int:
    with log.store.reading() as session:
        return int(session.execute(sa.select(sa.func.max(col(LogCheckpoint.size)))).scalar_one())


def test_what_is_published_is_cosigned(log: Log) -> None:
    for count in (3, 300, 1500):
        log.happen(count)
        log.integrate()
    assert size(log) == 1803
    assert check(log.folder, log.policy).ok


def test_a_checkpoint_without_a_quorum_is_not_published(log: Log) -> None:
    log.happen(3)
    log.integrate()
    witness = log.quorum.witnesses[0]
    assert isinstance(witness, Witness)
    log.quorum = Quorum((Fake(witness, [Unavailable("out for lunch")] * 2),), 1)
    log.happen(2)
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"0 of the 1 cosignatures it needs.*witness: out for lunch"):
            log.integrate()
    # One signed tree waits, and no second is signed behind it.
    log.happen(2)
    assert (size(log), checkpoints(log)) == (3, 5)
    log.integrate()
    assert (size(log), checkpoints(log)) == (7, 7)


def test_without_the_gate_it_would_be(log: Log) -> None:
    """The control."""
    log.quorum = replace(log.quorum, witnesses=(), needed=0)
    log.happen(3)
    log.integrate()
    assert open_checkpoint((log.folder / "checkpoint").read_text(), log.key.policy).size == 3


@contextmanager
def rolled_back(log: Log) -> Iterator[None]:
    """Restore database and folder as they were when the block was entered."""
    place = Path(str(log.store.url).removeprefix("sqlite:///"))
    before = place.with_name("before.db")
    with log.store.session() as session:
        session.connection().exec_driver_sql("COMMIT")
        session.connection().exec_driver_sql(f"VACUUM INTO '{before}'")
    shutil.copytree(log.folder, log.folder.with_name("before"))
    yield
    log.store.close()
    for name in ("-wal", "-shm", ""):
        place.with_name(place.name + name).unlink(missing_ok=True)
    before.rename(place)
    shutil.rmtree(log.folder)
    log.folder.with_name("before").rename(log.folder)
    log.store = Store(log.store.url)


def test_a_database_restored_from_a_backup_is_caught_and_grows_no_fork(log: Log) -> None:
    log.happen(5)
    log.integrate()
    with rolled_back(log):
        log.happen(4)
        log.integrate()
    log.happen(7)
    for _ in range(2):
        with pytest.raises(LogCorrupt, match=r"has cosigned a log of 9 entries.*older backup"):
            log.integrate()
    # Nothing was signed over the other entries, and what is public is whole.
    assert checkpoints(log) == size(log) == 5
    assert check(log.folder, log.policy).ok


def test_without_the_witness_the_fork_goes_unnoticed(log: Log) -> None:
    """The control."""
    log.quorum = Quorum()
    log.happen(5)
    log.integrate()
    with rolled_back(log):
        log.happen(4)
        log.integrate()
    log.happen(7)
    assert log.integrate() == 7
    assert size(log) == 12


def test_a_restored_database_meets_a_remote_witness_too(log: Log) -> None:
    witness = log.quorum.witnesses[0]
    assert isinstance(witness, Witness)
    log.quorum = Quorum((Fake(witness, []),), 1)
    log.happen(5)
    log.integrate()
    with rolled_back(log):
        log.happen(4)
        log.integrate()
    log.happen(2)
    with pytest.raises(LogCorrupt, match="has cosigned a log of 9 entries"):
        log.integrate()
    log.happen(2)
    with pytest.raises(LogCorrupt, match="has cosigned a log of 9 entries"):
        log.integrate()
    assert size(log) == 5


def test_a_rewritten_log_of_the_same_size_is_caught(log: Log) -> None:
    log.happen(5)
    log.integrate()
    with rolled_back(log):
        log.happen(4)
        log.integrate()
    log.happen(4)
    with pytest.raises(LogCorrupt, match="older backup, or the log was rewritten"):
        log.integrate()


@pytest.mark.parametrize("answer", [
    Answer(200, "garbage\n"), Answer(200, ""), Answer(200, "— a AAAAAAAA\n"), Answer(500, "broken"),
    Answer(404, "who?\n"), Answer(403, "no\n"), Answer(409, "x\n", "text/x.tlog.size"),
])  # fmt: skip
def test_an_answer_that_is_no_cosignature_leaves_the_quorum_unmet(log: Log, answer: Answer) -> None:
    log.happen(3)
    log.integrate()
    witness = log.quorum.witnesses[0]
    assert isinstance(witness, Witness)
    log.quorum = Quorum((Fake(witness, [answer]),), 1)
    log.happen(1)
    with pytest.raises((Unavailable, LogCorrupt), match="0 of the 1"):
        log.integrate()
    assert size(log) == 3
    assert log.integrate() == 0
    assert size(log) == 4


def test_a_log_from_before_it_had_two_keys_is_completed(log: Log) -> None:
    quorum, log.quorum = log.quorum, Quorum()
    log.happen(3)
    log.integrate()
    text = parse_note((log.folder / "checkpoint").read_text()).text
    old = log.key.classical.sign(text)
    (log.folder / "checkpoint").write_text(old)
    with log.store.session() as session:
        session.execute(sa.update(LogCheckpoint).values(note=old))
        session.commit()
    log.quorum = quorum
    assert log.integrate() == 0
    assert size(log) == 3
    log.happen(2)
    assert log.integrate() == 2
    assert check(log.folder, log.policy).ok


def test_two_of_three_are_enough(log: Log, tmp_path: Path) -> None:
    def another(n: int, kind: bytes) -> Witness:
        key = SigningKey(f"w{n}.test", bytes([n]) * 32, kind)
        return Witness(
            key, Store(f"sqlite:///{tmp_path / f'{n}.db'}"), {log.key.name: log.key.policy}, log.clock
        )

    second = another(2, COSIGNATURE)
    third = Fake(another(3, ML_DSA_44), [Unavailable("gone")] * 9)
    log.quorum = Quorum((*log.quorum.witnesses, second, third), 2)
    log.happen(3)
    log.integrate()
    assert size(log) == 3
    log.quorum = replace(log.quorum, needed=3)
    log.happen(3)
    with pytest.raises(Unavailable, match=r"2 of the 3.*gone"):
        log.integrate()


def test_a_witness_that_comes_late_is_brought_up_to_date(log: Log) -> None:
    """The log begins with what it guesses and learns the rest from the 409."""
    witness = log.quorum.witnesses[0]
    assert isinstance(witness, Witness)
    log.happen(3)
    log.integrate()
    log.quorum = Quorum()
    log.happen(400)
    log.integrate()
    log.quorum = Quorum((Fake(witness, []),), 1)
    assert log.integrate() == 0
    assert size(log) == 403


@contextmanager
def served(witness: Witness) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = witness.add_checkpoint(body) if self.path == "/w/add-checkpoint" else Answer(404, "")
            self.send_response(answer.status)
            self.send_header("content-type", answer.type)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/w/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_witness_behind_a_url(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = log.quorum.witnesses[0]
    assert isinstance(witness, Witness)
    with served(witness) as url:
        log.quorum = Quorum((RemoteWitness(witness.vkey, url),), 1)
        for count in (3, 300):
            log.happen(count)
            log.integrate()
    assert size(log) == 303
    monkeypatch.setattr(cosign, "PATIENCE_SECONDS", 0.5)
    log.happen(1)
    with pytest.raises(Unavailable, match="does not answer"):
        log.integrate()
    assert size(log) == 303


def test_the_entries_of_an_unwitnessed_checkpoint_are_in_the_database(log: Log) -> None:
    witness = log.quorum.witnesses[0]
    assert isinstance(witness, Witness)
    log.quorum = Quorum((Fake(witness, [Unavailable("gone")]),), 1)
    log.happen(3)
    with pytest.raises(Unavailable):
        log.integrate()
    with log.store.reading() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(LogEntry)).scalar_one() == 3
    assert not (log.folder / "checkpoint").exists()
