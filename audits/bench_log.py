"""What remembering costs: appending to the log, as a ratio to plain INSERTs of the same rows.

`python -m audits.bench_log` runs, for every setup, blocks of the same rows one after the other: plain, into a
table like that of the events but without the column and index that the log wants; logged, into the table of
events while a sequencer in another process writes the log, witnesses and publishes it; and on PostgreSQL
chained, where every transaction locks, reads and replaces the hash of the row before. The order turns around
with every round, and the ratio is taken within a round, so that the noise of a machine falls on both sides.
`logged` counts until the writers are done, `published` until the last row is in a public, cosigned checkpoint.
At last events come at a steady 1,000 a second, and the time from each commit to the checkpoint is taken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import queue
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import SQLModel

from audits.log.cosign import Quorum
from audits.log.format import ML_DSA_44, read_checkpoint
from audits.log.keys import log_key, signing_key
from audits.log.witness import Witness
from audits.log.writer import integrate
from core.clock import SystemClock
from core.errors import Unavailable
from core.store import Store
from core.tables import AuditEvent, LogCheckpoint, LogEntry

ORIGIN = "bench.invalid/log"
SECONDS = 0.25
LEAF_BYTES = 549
PLAIN = sa.Table(
    "plainevent",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    *(sa.Column(name, sa.String) for name in ("tag", "partner", "identity", "rule", "actor", "subject")),
    sa.Column("job", sa.String, index=True),
    sa.Column("at_ms", sa.BigInteger),
    *(sa.Column(name, sa.LargeBinary) for name in ("leaf", "sealed")),
    sqlite_autoincrement=True,
)
CHAIN = sa.Table(
    "chainhead",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
Row = dict[str, object]
Write = Callable[[Store, Sequence[Row]], None]


@dataclass(frozen=True, slots=True)
class Setup:
    """One line of the table: `clients` writers, each with transactions of `rows` rows, `each` of them a block."""

    name: str
    url: str
    clients: int
    rows: int
    each: int
    chained: bool


def rows(start: int, count: int) -> list[Row]:
    """Make events with leaves of 549 bytes, such as a request makes."""
    made = []
    for n in range(start, start + count):
        job = f"clip_{hashlib.sha256(str(n).encode()).hexdigest()[:20]}"
        leaf = {"actor": "worker:bench", "job": job, "n": n, "tag": "clip:marked", "v": 1}
        text = json.dumps(leaf | {"pad": ""}, separators=(",", ":"))
        leaf["pad"] = "x" * (LEAF_BYTES - len(text))
        made.append(
            {
                "at_ms": n, "tag": "clip:marked", "partner": "bench", "job": job, "actor": "worker:bench",
                "leaf": json.dumps(leaf, separators=(",", ":")).encode(),
            }
        )  # fmt: skip
    return made


def _insert(table: sa.TableClause) -> Write:
    statement = sa.insert(table)

    def write(store: Store, some: Sequence[Row]) -> None:
        with store.session() as session:
            session.connection().execute(statement, some)
            session.commit()

    return write


def _chained(store: Store, some: Sequence[Row]) -> None:
    with store.session() as session:
        connection = session.connection()
        head = connection.execute(
            sa.select(CHAIN.c.hash).where(CHAIN.c.id == 1).with_for_update()
        ).scalar_one()
        for row in some:
            head = hashlib.sha256(head + row["leaf"]).digest()
        connection.execute(sa.insert(PLAIN), some)
        connection.execute(sa.update(CHAIN).where(CHAIN.c.id == 1).values(hash=head))
        session.commit()


WRITES: dict[str, Write] = {
    "plain": _insert(PLAIN),
    "logged": _insert(SQLModel.metadata.tables["auditevent"]),
    "chained": _chained,
}


def _block(setup: Setup, write: Write, start: int) -> float:
    """Have all clients write their transactions at once and return the seconds it took."""
    store = Store(setup.url)
    batches: queue.SimpleQueue[list[Row]] = queue.SimpleQueue()
    for number in range(setup.clients * setup.each):
        batches.put(rows(start + number * setup.rows, setup.rows))

    def client() -> None:
        for _ in range(setup.each):
            write(store, batches.get())

    threads = [threading.Thread(target=client) for _ in range(setup.clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    store.close()
    return took


def _sequence(url: str, folder: str, stop: Event) -> None:
    store, clock, home = Store(url), SystemClock(), Path(folder)
    key = log_key(home / "keys" / "log", ORIGIN)
    memory = Store(f"sqlite:///{home / 'witness.db'}")
    signing = signing_key(home / "keys" / "witness", f"{ORIGIN}/witness", ML_DSA_44)
    quorum = Quorum((Witness(signing, memory, {ORIGIN: key.policy}, clock),), 1)
    while not stop.wait(SECONDS):
        integrate(store, home / "log", key, clock, quorum)


@contextmanager
def _log(url: str, folder: Path) -> Iterator[Path]:
    """Make the tables and keep a sequencer going in another process; give the public folder."""
    store = Store(url)
    with store.session() as session:
        connection = session.connection()
        tables = [
            SQLModel.metadata.tables[str(model.__tablename__)]
            for model in (AuditEvent, LogEntry, LogCheckpoint)
        ]
        for table in (*tables, PLAIN, CHAIN):
            table.create(connection)
        connection.execute(sa.insert(CHAIN).values(id=1, hash=bytes(32)))
        session.commit()
    store.close()
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_sequence, args=(url, str(folder), stop))
    process.start()
    try:
        yield folder / "log"
    finally:
        stop.set()
        process.join()


def _published(folder: Path, size: int) -> None:
    """Wait until so many entries are public."""
    key = log_key(folder.parent / "keys" / "log", ORIGIN)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint").exists() or read_checkpoint(folder, key.vkey)[0].size < size:
        if time.monotonic() > deadline:
            raise Unavailable("The sequencer does not keep up.")
        time.sleep(0.005)


def measure(setup: Setup, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Give the rates of plain writing and the ratios to it, one per round."""
    found: dict[str, list[float]] = {
        "plain/s": [],
        "logged": [],
        "published": [],
        "chained": [],
        "logged to chained": [],
    }
    kinds = ["plain", "logged", *(["chained"] if setup.chained else [])]
    count = setup.clients * setup.each * setup.rows
    size = 0
    with _log(setup.url, folder) as public:
        _published(public, 0)
        for number in range(-1, rounds):
            took = {}
            for kind in kinds if number % 2 else kinds[::-1]:
                begun = time.perf_counter()
                took[kind] = _block(setup, WRITES[kind], number * count)
                if kind == "logged":
                    size += count
                    _published(public, size)
                    took["published"] = time.perf_counter() - begun
            if number < 0:
                continue  # the first round warms caches and connections
            found["plain/s"].append(count / took["plain"])
            for kind in ("logged", "published", *kinds[2:]):
                found[kind].append(took["plain"] / took[kind])
            if setup.chained:
                found["logged to chained"].append(took["chained"] / took["logged"])
    return found


def lag(
    url: str, folder: Path, *, clients: int, rows_each: int, per_second: int, seconds: int
) -> list[float]:
    """Commit events at a steady rate and give the seconds from each commit until its checkpoint is public.

    Entries are in the order of the commits but for those that raced; the first to be committed is paired with
    the first to be shown.
    """
    committed: list[float] = []
    shown: list[float] = []
    due: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    total = per_second * seconds
    with _log(url, folder) as public:
        _published(public, 0)
        workers = [
            threading.Thread(target=_committing, args=(url, due, rows_each, committed))
            for _ in range(clients)
        ]
        watcher = threading.Thread(target=_watching, args=(public / "checkpoint", total, shown))
        for thread in (*workers, watcher):
            thread.start()
        begun = time.perf_counter()
        for number in range(0, total, rows_each):
            time.sleep(max(0.0, begun + number / per_second - time.perf_counter()))
            due.put(number)
        for _ in workers:
            due.put(None)
        for thread in (*workers, watcher):
            thread.join()
    return [seen - was for was, seen in zip(sorted(committed), shown, strict=True)]


def _committing(url: str, due: queue.SimpleQueue[int | None], count: int, committed: list[float]) -> None:
    store = Store(url)
    while (number := due.get()) is not None:
        WRITES["logged"](store, rows(number, count))
        committed.extend([time.perf_counter()] * count)
    store.close()


def _watching(checkpoint: Path, total: int, shown: list[float]) -> None:
    while len(shown) < total:
        size = int(checkpoint.read_text(encoding="utf-8").split("\n", 2)[1])
        shown.extend([time.perf_counter()] * (size - len(shown)))
        time.sleep(0.002)


@contextmanager
def database(address: str, folder: Path) -> Iterator[str]:
    """Give an address of an empty database: SQLite in the folder, or a schema of our own in PostgreSQL."""
    if not address:
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    engine = sa.create_engine(address)
    schema = "bench_log"
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
            connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
        yield f"{address}?options=-csearch_path%3D{schema}"
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    finally:
        engine.dispose()


def _line(name: str, values: Sequence[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{name} {middle:.2f} ({low:.2f}-{high:.2f})"


def main() -> None:
    """Run the bench and print the ratios: the median, and the least and the greatest of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", default="", help="SQLAlchemy address; empty: SQLite only")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=30, help="length of the steady run")
    parser.add_argument("--part", type=float, default=1.0, help="part of the rows of a full run")
    chosen = parser.parse_args()
    setups = [
        Setup("SQLite FULL, 1 row", "", 1, 1, 600, False),
        Setup("SQLite FULL, 256 rows", "", 1, 256, 60, False),
    ]
    runs = [("SQLite FULL, 10 rows", "", 1, 10)]
    if chosen.postgres:
        setups += [Setup(f"PostgreSQL, {n} clients", chosen.postgres, n, 1, 2400 // n, True) for n in (8, 32)]
        runs.append(("PostgreSQL, 16 clients", chosen.postgres, 16, 1))
    for setup in setups:
        with tempfile.TemporaryDirectory() as name, database(setup.url, Path(name)) as url:
            each = max(1, int(setup.each * chosen.part))
            found = measure(replace(setup, url=url, each=each), Path(name), chosen.rounds)
        sys.stdout.write(
            f"{setup.name}: {'; '.join(_line(kind, got) for kind, got in found.items() if got)}\n"
        )
        sys.stdout.flush()
    for title, address, clients, rows_each in runs:
        with tempfile.TemporaryDirectory() as name, database(address, Path(name)) as url:
            waits = lag(
                url, Path(name), clients=clients, rows_each=rows_each, per_second=1000, seconds=chosen.seconds
            )
        cuts = statistics.quantiles(waits, n=100)
        told = f"p50 {cuts[49]:.3f} s, p99 {cuts[98]:.3f} s, max {max(waits):.3f} s"
        sys.stdout.write(f"{title} a transaction, 1,000 events/s, commit to checkpoint: {told}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
