from __future__ import annotations

from pathlib import Path

from audits.bench_queries import ask, fill
from audits.index import indexed, log_size
from audits.terms import Field
from core.store import open_store


def test_every_field_is_asked_and_found(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    fill(store, 4000)
    with store.reading() as session:
        assert indexed(session) == log_size(session) == 4000
    told = {timing.name: timing for timing in ask(store, 4000, pages=12)}
    store.close()
    assert {str(name) for name in Field} <= set(told)
    assert all(0 < timing.p50 <= timing.p95 <= timing.most and timing.pages == 12 for timing in told.values())
    rare = {"reviewer", "rule", "identity", "partner and reviewer and model"}
    assert [name for name, timing in told.items() if timing.entries == 0 and name not in rare] == []
