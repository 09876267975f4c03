from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from audits.log.cosign import Quorum
from audits.log.format import ML_DSA_44
from audits.log.signing import LogKey, SigningKey
from audits.log.trust import Policy
from audits.log.witness import Witness
from audits.log.writer import integrate, log_key
from core.clock import Clock, milliseconds
from core.events import Leaf, Tag, render
from core.store import Store, open_store
from core.tables import AuditEvent

ORIGIN = "greenlight.test/log"


@dataclass
class Log:
    """A log under test: its database, its public folder and its key."""

    store: Store
    folder: Path
    key: LogKey
    clock: Clock
    quorum: Quorum = field(default_factory=Quorum)

    @property
    def policy(self) -> Policy:
        """What a reader of this log is to believe."""
        return self.quorum.policy(self.key)

    def happen(self, count: int, facts: dict[str, Any] | None = None, **columns: str) -> list[int]:
        """Commit `count` events in one transaction and return their ids.

        They are of schema version 1, which declares no facts: what the log does with bytes is tested here.
        """
        at_ms = milliseconds(self.clock.now())
        columns = {"tag": Tag.CLIP_RELEASED.value, "actor": "system"} | columns
        leaves = [render(Leaf(v=1, at_ms=at_ms, facts=facts or {"n": n}, **columns)) for n in range(count)]
        with self.store.session() as session:
            rows = [AuditEvent(at_ms=at_ms, leaf=leaf, **columns) for leaf in leaves]
            session.add_all(rows)
            session.commit()
            return [row.id for row in rows if row.id is not None]

    def integrate(self) -> int:
        return integrate(self.store, self.folder, self.key, self.clock, self.quorum)


def make_log(folder: Path, clock: Clock) -> Log:
    store = open_store(f"sqlite:///{folder / 'greenlight.db'}")
    key = log_key(folder / "keys" / "log", ORIGIN)
    memory = Store(f"sqlite:///{folder / 'witness.db'}")
    return Log(store, folder / "log", key, clock, Quorum((witness(memory, key, clock),), 1))


def witness(memory: Store, key: LogKey, clock: Clock) -> Witness:
    """Make a witness of one log, with a database of its own."""
    name = SigningKey(f"{key.name}/witness", b"\7" * 32, ML_DSA_44)
    return Witness(name, memory, {key.name: key.policy}, clock)


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[Log]:
    made = make_log(tmp_path, clock)
    yield made
    made.store.close()
