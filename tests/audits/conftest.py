from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audits.log.signing import LogKey
from audits.log.writer import integrate, log_key
from core.clock import Clock
from core.events import Event, Tag, record
from core.store import Store, open_store

ORIGIN = "greenlight.test/log"


@dataclass
class Log:
    """A log under test: its database, its public folder and its key."""

    store: Store
    folder: Path
    key: LogKey
    clock: Clock

    def happen(self, count: int, **columns: str) -> list[int]:
        """Commit `count` events in one transaction and return their ids."""
        with self.store.session() as session:
            rows = [
                record(
                    session,
                    Event(tag=Tag.CLIP_RELEASED, actor="system", facts={"n": n}, **columns),
                    self.clock,
                )
                for n in range(count)
            ]
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
