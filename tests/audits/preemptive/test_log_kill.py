from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from audits.log.folder import write
from audits.preemptive import log_kill
from audits.preemptive.log_victim import open_bench
from audits.preemptive.suites import run
from tests.conftest import listening


def test_kills_lose_nothing_and_the_control_loses_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_kill, "_databases", lambda: {"SQLite": ""})
    result = run("log-kill", quick=True, seed=3)
    assert result.passed, result.markdown()
    assert [row["hits"] for row in result.rows[:3]] == [0, 0, 0]
    assert result.rows[2]["trials"] == log_kill.QUICK_KILLS
    assert result.rows[3]["hits"] > 0


@pytest.mark.services
def test_kills_on_postgresql_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    if not listening(5432):
        pytest.skip("PostgreSQL does not listen on localhost")
    monkeypatch.setattr(log_kill, "_SCHEMA", "log_kill_test")
    tally = log_kill._killed("postgresql+psycopg://root@127.0.0.1/test", 3, random.Random(1))
    assert (tally.lost, tally.doubled, tally.broken) == (0, 0, 0), tally.problems
    assert tally.acknowledged <= tally.logged


def test_a_broken_log_is_seen(tmp_path: Path) -> None:
    """The control of the look: one byte of a tile, and a checkpoint that does not continue the last."""
    bench = open_bench(f"sqlite:///{tmp_path / 'suite.db'}", tmp_path)
    bench.commit(range(300))
    bench.integrate()
    tally: Any = log_kill._Tally()
    log_kill._look(bench, tally)
    log_kill._take_in(bench, tally)
    assert (tally.broken, len(tally.logged)) == (0, 300)
    path = bench.folder / "tile" / "0" / "000"
    data = path.read_bytes()
    write({path: bytes([data[0] ^ 1]) + data[1:]})
    log_kill._look(bench, tally)
    assert tally.broken == 1
    write({path: data})
    tally.head = type(tally.head)(tally.head.origin, 200, bytes(32))
    log_kill._look(bench, tally)
    assert tally.broken == 2
    bench.store.close()
