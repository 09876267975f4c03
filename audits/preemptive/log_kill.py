"""Kill -9 the process that writes the log, again and again, and look at everything it left.

After each kill the whole log is checked from its public bytes as they lie there, and must continue the last
checkpoint that was seen; then the next call of the sequencer, the normal path, must bring every event that
was acknowledged into it, once. SQLite always; PostgreSQL, in a schema of its own, where the installation's
database is one. The control acknowledges before it commits, and must be caught losing something.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from audits.log.check import check
from audits.log.format import TILE_WIDTH, Checkpoint, Tile, read_checkpoint, read_tile
from audits.log.tree import tile_at
from audits.preemptive.log_victim import Bench, open_bench
from audits.preemptive.result import Row, counted
from core.errors import GreenlightError, Unavailable
from core.settings import Settings

KILLS = 1000
QUICK_KILLS = 4
CONTROL_KILLS = 20
_LONGEST_SECONDS = 0.15
_PATIENCE_SECONDS = 60.0
_SCHEMA = "log_kill"
_APART = 100_000
_SHOWN = 3


@dataclass(slots=True)
class _Tally:
    """What was promised, what the log holds, and what was found wrong."""

    acknowledged: set[int] = field(default_factory=set)
    logged: set[int] = field(default_factory=set)
    doubled: int = 0
    broken: int = 0
    problems: list[str] = field(default_factory=list)
    head: Checkpoint | None = None

    @property
    def lost(self) -> int:
        return len(self.acknowledged - self.logged)


def log_kill(seed: int, *, quick: bool, data: Path | None = None) -> tuple[Row, ...]:  # noqa: ARG001  # makes its own
    """Kill 1,000 times on every database there is (quick: 4), and 20 times in the control."""
    rows: list[Row] = []
    for name, address in _databases().items():
        kills = QUICK_KILLS if quick else KILLS
        tally = _killed(address, kills, random.Random(seed))
        promised = len(tally.acknowledged)
        rows.append(counted(f"{name}: acknowledged events lost", tally.lost, promised, reach=0, better="low"))
        rows.append(
            counted(f"{name}: entries twice", tally.doubled, len(tally.logged), reach=0, better="low")
        )
        rows.append(
            counted(
                f"{name}: kills that left a broken or forked log", tally.broken, kills, reach=0, better="low"
            )
        )
    kills = QUICK_KILLS if quick else CONTROL_KILLS
    blind = _killed("", kills, random.Random(seed), early=True)
    least = 1 / max(1, len(blind.acknowledged))
    return (
        *rows,
        counted("control: acknowledged too early, lost", blind.lost, len(blind.acknowledged), reach=least),
    )


def _databases() -> dict[str, str]:
    address = Settings().database
    return {"SQLite": ""} | ({"PostgreSQL": address} if address.startswith("postgresql") else {})


def _killed(address: str, kills: int, dice: random.Random, *, early: bool = False) -> _Tally:
    tally = _Tally()
    with tempfile.TemporaryDirectory() as name, _database(address, Path(name)) as url:
        bench = open_bench(url, Path(name))
        bench.integrate()
        with _victims(url, Path(name), early=early) as victims:
            for number in range(kills):
                _kill(victims, number * _APART, dice, tally, working=number == 0)
                _look(bench, tally)
                _recover(bench, tally, patient=not early)
        bench.store.close()
    for problem in tally.problems[:_SHOWN]:
        sys.stderr.write(f"log-kill: {problem}\n")
    return tally


@contextmanager
def _database(address: str, folder: Path) -> Iterator[str]:
    if not address:
        yield f"sqlite:///{folder / 'suite.db'}"
        return
    engine = sa.create_engine(address)
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE"))
        connection.execute(sa.text(f"CREATE SCHEMA {_SCHEMA}"))
    yield (
        sa.make_url(address)
        .update_query_dict({"options": f"-csearch_path={_SCHEMA}"})
        .render_as_string(hide_password=False)
    )
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {_SCHEMA} CASCADE"))
    engine.dispose()


@contextmanager
def _victims(url: str, folder: Path, *, early: bool) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "audits.preemptive.log_victim", url, str(folder), str(early)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victims:  # noqa: S603  # our own module
        yield victims
        victims.communicate()


def _kill(
    victims: subprocess.Popen[str], start: int, dice: random.Random, tally: _Tally, *, working: bool
) -> None:
    """Start a victim, let it work for a moment, kill it, and note what it had acknowledged.

    With `working` the moment begins with its first promise, so that a slow machine has something to lose.
    """
    assert victims.stdin is not None
    assert victims.stdout is not None
    victims.stdin.write(f"{start}\n")
    victims.stdin.flush()
    victim = int(victims.stdout.readline().removeprefix("pid "))
    if working:
        tally.acknowledged.add(int(victims.stdout.readline().removeprefix("ack ")))
    time.sleep(dice.uniform(0, _LONGEST_SECONDS))
    os.kill(victim, signal.SIGKILL)
    while (line := victims.stdout.readline().strip()) != "dead":
        if not line:
            raise Unavailable("The process that starts victims is gone.")
        tally.acknowledged.add(int(line.removeprefix("ack ")))


def _look(bench: Bench, tally: _Tally) -> None:
    """Check the public bytes as the dead left them: whole, and a continuation of what was seen before."""
    report = check(bench.folder, bench.policy, seen=[tally.head] if tally.head else ())
    if not report.ok:
        tally.broken += 1
        tally.problems += report.problems


def _recover(bench: Bench, tally: _Tally, *, patient: bool) -> None:
    """Go on by the normal path until the log holds what was acknowledged."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            bench.integrate()
        except GreenlightError as error:
            tally.broken += 1
            tally.problems.append(error.message)
            return
        _take_in(bench, tally)
        # A server may take a moment to see that its client is dead, and holds the horizon until then.
        if not patient or not tally.lost or time.monotonic() > deadline:
            return
        time.sleep(0.02)


def _take_in(bench: Bench, tally: _Tally) -> None:
    """Read the entries that are new since the last look."""
    size = tally.head.size if tally.head else 0
    head, _ = read_checkpoint(bench.folder, bench.policy)
    for number in range(size // TILE_WIDTH, -(-head.size // TILE_WIDTH)):
        tile = tile_at(head.size, 0, number)
        leaves = read_tile(bench.folder, Tile(None, number, tile.width))
        for leaf in leaves[max(0, size - number * TILE_WIDTH) :]:
            event = int(leaf.split(b" ")[0])
            tally.doubled += event in tally.logged
            tally.logged.add(event)
    tally.head = head
