"""What a page costs: `make bench-queries` fills a database with 10,000,000 events and asks it by every field.

The events are those of invented requests, with the values of a busy year: 200 partners of unequal size, 40
policy packs one after the other, 5,000 identities. They are put straight into the tables, the index is written
by the code that always writes it, and every page starts at a random place of the log with random values.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from audits.filters import Filter
from audits.index import catch_up
from audits.queries import events
from audits.terms import Field
from core.events import canonical
from core.store import Store, open_store
from core.tables import AuditEvent, LogCheckpoint, LogEntry

_BATCH = 10_000
_START_MS = 1_760_000_000_000
_STEP_MS = 3_000
_TERRITORIES = ("EU", "US", "JP", "BR")


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds that pages of one kind of question took."""

    name: str
    p50: float
    p95: float
    most: float
    pages: int
    entries: int


def _digest(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind}{number}".encode()).hexdigest()


class World:
    """Deals the values; the same seed deals the same ones."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def value(self, name: Field) -> str:
        """Draw a value to ask for, as often as it stands in the log."""
        rng = self.rng
        drawn: Mapping[Field, Any] = {
            Field.PARTNER: lambda: f"partner_{int(200 * rng.random() ** 3)}",
            Field.TAG: lambda: rng.choice(["clip:released", "clip:held", "review:decided", "clip:withdrawn"]),
            Field.STATE: lambda: rng.choice(["released", "held", "refused", "withdrawn", "admitted"]),
            Field.RULE: lambda: f"rule_{int(60 * rng.random() ** 2)}",
            Field.CATEGORY: lambda: f"category_{int(60 * rng.random() ** 2) % 18}",
            Field.IDENTITY: lambda: f"person_{int(5000 * rng.random() ** 2)}",
            Field.REVIEWER: lambda: f"rev_{rng.randrange(12)}",
            Field.MODEL: lambda: _digest("model", rng.randrange(12)),
            Field.POLICY: lambda: _digest("pack", rng.randrange(40)),
            Field.ACTOR: lambda: f"worker:host:{rng.randrange(64)}",
            Field.TERRITORY: lambda: rng.choice(_TERRITORIES),
        }
        return str(drawn[name]())

    def request(self, number: int, done: float) -> Iterator[dict[str, Any]]:
        """Make the leaves of one request; `done` is how far the year is."""
        job = f"clip_{_digest('job', number)[:20]}"
        about = {"partner": self.value(Field.PARTNER), "job": job}
        worker = {"actor": self.value(Field.ACTOR)} | about
        pack = _digest("pack", int(done * 40))
        first = {"territory": self.value(Field.TERRITORY), "identities": [self.value(Field.IDENTITY)]}
        yield {"tag": "request:received", "actor": f"partner:{about['partner']}", "facts": first} | about
        refused, held = self.rng.random() < 0.1, self.rng.random() < 0.05
        yield worker | self._decided("prompt", "refuse" if refused else "allow", pack, hit=refused)
        if refused:
            yield worker | {"tag": "clip:refused"}
            return
        yield worker | {"tag": "clip:generated", "facts": {"checkpoint": _digest("model", 10)}}
        yield worker | self._decided("screen", "hold" if held else "allow", pack, hit=held)
        if held:
            yield worker | {"tag": "clip:held"}
            reviewer = {"actor": f"reviewer:{self.value(Field.REVIEWER)}"} | about
            yield reviewer | {"tag": "review:decided", "facts": {"verdict": "approve", "final": 1}}
        for verb in ("cleared", "marked", "signed", "recorded", "released"):
            yield worker | {"tag": f"clip:{verb}", "facts": {"file": _digest(verb, number), "pack": pack}}
        if self.rng.random() < 0.001:
            yield worker | {"tag": "clip:withdrawn"}

    def _decided(self, stage: str, outcome: str, pack: str, *, hit: bool) -> dict[str, Any]:
        rule = self.value(Field.RULE)
        category = f"category_{int(rule.removeprefix('rule_')) % 18}"
        models = [_digest("model", self.rng.randrange(10)) for _ in range(3)]
        facts = {
            "stage": stage,
            "outcome": outcome,
            "pack": pack,
            "models": [{"name": "detector", "sha256": digest} for digest in models],
            "rules": [{"id": rule, "category": category, "outcome": outcome}] if hit else [],
            "matches": [{"identity": self.value(Field.IDENTITY), "score": 9000}] if hit else [],
        }
        return {"tag": "policy:decided", "facts": facts} | ({"rule": rule} if hit else {})


def fill(store: Store, count: int, seed: int = 1) -> None:
    """Put `count` events of invented requests into the tables of a new log, and write the index."""
    leaves = enumerate(_leaves(World(seed), count))
    with store.session() as session:
        session.connection().exec_driver_sql("PRAGMA cache_size=-500000")
        while batch := list(islice(leaves, _BATCH)):
            _put(session, batch)
            session.commit()
        session.add(LogCheckpoint(size=count, root=bytes(32), note="", at_ms=_START_MS))
        session.commit()
    while catch_up(store):
        pass


def _leaves(world: World, count: int) -> Iterator[dict[str, Any]]:
    made = number = 0
    while True:
        number += 1
        for leaf in world.request(number, min(made / count, 0.9999)):
            if made == count:
                return
            yield leaf | {"v": 2, "at_ms": _START_MS + made * _STEP_MS}
            made += 1


def _put(session: Session, batch: list[tuple[int, dict[str, Any]]]) -> None:
    rows, entries = [], []
    for index, said in batch:
        leaf = canonical(said)
        columns = {name: said.get(name) for name in ("at_ms", "tag", "actor", "partner", "job", "rule")}
        rows.append(columns | {"id": index + 1, "identity": None, "leaf": leaf, "detail": "{}"})
        hashed = hashlib.sha256(b"\x00" + leaf).digest()
        entries.append({"index": index, "event_id": index + 1, "leaf_hash": hashed})
    session.execute(sa.insert(AuditEvent), rows)
    session.execute(sa.insert(LogEntry), entries)


def ask(store: Store, count: int, *, pages: int, limit: int = 100, seed: int = 2) -> Iterator[Timing]:
    """Time `pages` pages by each field, by a span of a day, and by what combines badly."""
    world = World(seed)
    for name in Field:
        if name is not Field.JOB:
            yield _timed(store, str(name), [_by(world, count, name) for _ in range(pages)], limit)
    yield _timed(store, "job", [_by_job(world, count) for _ in range(pages)], limit)
    yield _timed(store, "time span", [_by_day(world, count) for _ in range(pages)], limit)
    for names in (
        (Field.PARTNER, Field.TAG),
        (Field.TERRITORY, Field.STATE, Field.POLICY),
        (Field.PARTNER, Field.REVIEWER, Field.MODEL),
    ):
        asked = [_by(world, count, *names) for _ in range(pages)]
        yield _timed(store, " and ".join(names), asked, limit)
    yield _timed(store, "nothing", [(Filter(), world.rng.randrange(count)) for _ in range(pages)], limit)


def _by(world: World, count: int, *names: Field) -> tuple[Filter, int]:
    values = {name: (world.value(name),) for name in names}
    return Filter(values=values), world.rng.randrange(count)


def _by_job(world: World, count: int) -> tuple[Filter, int]:
    number = 1 + world.rng.randrange(max(1, count // 10))
    return Filter(values={Field.JOB: (f"clip_{_digest('job', number)[:20]}",)}), 0


def _by_day(world: World, count: int) -> tuple[Filter, int]:
    since_ms = _START_MS + world.rng.randrange(count) * _STEP_MS
    return Filter(since_ms=since_ms, until_ms=since_ms + 86_400_000), 0


def _timed(store: Store, name: str, asked: list[tuple[Filter, int]], limit: int) -> Timing:
    took, entries = [], 0
    for wanted, after in asked:
        begin = time.perf_counter()
        with store.reading() as session:
            page = events(session, wanted, after=after, limit=limit)
        took.append((time.perf_counter() - begin) * 1000)
        entries += len(page.entries)
    took.sort()
    return Timing(name, took[len(took) // 2], took[int(len(took) * 0.95)], took[-1], len(took), entries)


def main() -> None:
    """Fill a database in a folder that is removed again, ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--pages", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-queries-") as folder:
        path = Path(folder) / "log.db"
        store = open_store(f"sqlite:///{path}")
        begin = time.perf_counter()
        fill(store, given.events)
        seconds, size = time.perf_counter() - begin, path.stat().st_size / 2**30
        sys.stdout.write(f"{given.events:,} events, {size:.1f} GiB, filled and indexed in {seconds:.0f} s\n")
        sys.stdout.write(f"{'by':<32}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}{'entries a page':>16}\n")
        for told in ask(store, given.events, pages=given.pages):
            each = told.entries / told.pages
            sys.stdout.write(
                f"{told.name:<32}{told.p50:>9.1f}{told.p95:>9.1f}{told.most:>9.1f}{each:>16.1f}\n"
            )
            sys.stdout.flush()
        store.close()


if __name__ == "__main__":
    main()
