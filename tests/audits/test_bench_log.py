from __future__ import annotations

from pathlib import Path

from audits.bench_log import Setup, database, lag, measure, rows


def test_both_sides_write_the_same_rows_and_all_of_them_are_published(tmp_path: Path) -> None:
    with database("", tmp_path) as url:
        found = measure(Setup("small", url, 2, 3, 2, chained=True), tmp_path, 2)
    assert {kind: len(values) for kind, values in found.items()} == {
        "plain/s": 2,
        "logged": 2,
        "published": 2,
        "chained": 2,
        "logged to chained": 2,
    }
    assert all(ratio > 0 for values in found.values() for ratio in values)
    # Publishing comes after writing, so that it can only cost more.
    assert all(public <= logged for public, logged in zip(found["published"], found["logged"], strict=True))


def test_every_commit_is_followed_to_its_checkpoint(tmp_path: Path) -> None:
    with database("", tmp_path) as url:
        waits = lag(url, tmp_path, clients=2, rows_each=5, per_second=100, seconds=1)
    assert len(waits) == 100
    assert max(waits) > 0


def test_leaves_have_the_size_they_are_said_to_have() -> None:
    assert {len(row["leaf"]) for row in rows(0, 20)} == {549}
