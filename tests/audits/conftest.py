from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audits.log.signing import LogKey
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

    def happen(self, count: int, **columns: str) -> list[int]:
        """Commit `count` events in one transaction and return their ids.

        They are of schema version 1, which declares no facts: what the log does with bytes is tested here.
        """
        at_ms = milliseconds(self.clock.now())
        columns = {"tag": Tag.CLIP_RELEASED.value, "actor": "system"} | columns
        leaves = [render(Leaf(v=1, at_ms=at_ms, facts={"n": n}, **columns)) for n in range(count)]
        with self.store.session() as session:
            rows = [AuditEvent(at_ms=at_ms, leaf=leaf, **columns) for leaf in leaves]
            session.add_all(rows)
            session.commit()
            return [row.id for row in rows if row.id is not None]

    def integrate(self) -> int:
        return integrate(self.store, self.folder, self.key, self.clock)


def make_log(folder: Path, clock: Clock) -> Log:
    store = open_store(f"sqlite:///{folder / 'greenlight.db'}")
    return Log(store, folder / "log", log_key(folder / "keys" / "log", ORIGIN), clock)


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[Log]:
    made = make_log(tmp_path, clock)
    yield made
    made.store.close()
