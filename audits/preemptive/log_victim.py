"""The process that `log-kill` kills: it appends events and writes the log, and says what it promised.

`python -m audits.preemptive.log_victim ADDRESS FOLDER EARLY` waits for numbers on its standard input. For each
it forks a victim, which says `pid PID`, then commits events with numbers counted from there and says `ack
NUMBER` for each of them, while another of its threads sequences, witnesses and publishes. Once the victim is
dead, `dead` is said. With EARLY it acknowledges before it commits: the control.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import SQLModel

from audits.log.cosign import Quorum
from audits.log.format import ML_DSA_44
from audits.log.keys import log_key, signing_key
from audits.log.signing import LogKey
from audits.log.trust import Policy
from audits.log.witness import Witness
from audits.log.writer import integrate
from core.clock import SystemClock
from core.store import Store
from core.tables import AuditEvent, LogCheckpoint, LogEntry

ORIGIN = "suite.invalid/log"
_LARGEST = 40
_EARLY_SECONDS = 0.02
"""How long the control leaves a promise unkept, so that a few kills fall into it."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A log with its database, keys, witness and public folder below one folder of their own."""

    store: Store
    folder: Path
    key: LogKey
    quorum: Quorum

    @property
    def policy(self) -> Policy:
        """Whom a reader of it believes."""
        return self.quorum.policy(self.key)

    def integrate(self) -> int:
        """Bring the log up to date."""
        return integrate(self.store, self.folder, self.key, SystemClock(), self.quorum)

    def commit(self, numbers: range) -> None:
        """Commit events with these numbers in one transaction."""
        rows = [
            {"at_ms": n, "tag": "suite", "actor": "suite", "leaf": b"%d %s" % (n, b"x" * (n % 500))}
            for n in numbers
        ]
        with self.store.session() as session:
            session.connection().execute(sa.insert(AuditEvent), rows)
            session.commit()


def open_bench(address: str, home: Path) -> Bench:
    """Open the log, making what is not there yet."""
    store, clock = Store(address), SystemClock()
    with store.session() as session:
        for model in (AuditEvent, LogEntry, LogCheckpoint):
            SQLModel.metadata.tables[str(model.__tablename__)].create(session.connection(), checkfirst=True)
        session.commit()
    key = log_key(home / "keys" / "log", ORIGIN)
    signing = signing_key(home / "keys" / "witness", f"{ORIGIN}/witness", ML_DSA_44)
    memory = Store(f"sqlite:///{home / 'witness.db'}")
    return Bench(
        store, home / "log", key, Quorum((Witness(signing, memory, {ORIGIN: key.policy}, clock),), 1)
    )


def _say(line: str) -> None:
    # One short write is whole or not there, whenever we die.
    os.write(1, f"{line}\n".encode())


def _append(bench: Bench, start: int, *, early: bool) -> None:
    at = start
    for size in itertools.cycle((1, 2, 7, 1, _LARGEST)):
        numbers = range(at, at + size)
        if early:
            _say("\n".join(f"ack {n}" for n in numbers))
            time.sleep(_EARLY_SECONDS)
        bench.commit(numbers)
        if not early:
            _say("\n".join(f"ack {n}" for n in numbers))
        at += size


def _die(address: str, home: Path, start: int, *, early: bool) -> None:
    bench = open_bench(address, home)
    appending = threading.Thread(target=_append, args=(bench, start), kwargs={"early": early}, daemon=True)
    _say(f"pid {os.getpid()}")
    appending.start()
    while True:
        bench.integrate()


def main() -> None:
    """Fork one victim after the other."""
    address, home, early = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "True"
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _die(address, home, int(line), early=early)
        os.waitpid(child, 0)
        _say("dead")


if __name__ == "__main__":
    main()
