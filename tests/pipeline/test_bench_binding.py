from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import bench_binding, bench_prints
from pipeline.bench_binding import Cost
from pipeline.bench_prints import CHANGES, SCENES


@pytest.mark.slow
def test_every_question_finds_its_clip_among_a_few(tmp_path: Path) -> None:
    costs = bench_binding.run(tmp_path, clips=9, manifests=30, questions=10, seconds=4)
    for name in ("byBinding", "byContent"):
        cost = costs[name]
        assert isinstance(cost, Cost)
        assert cost.found == 1.0
        assert 0 < cost.median <= cost.p99
    assert "| byContent | 9 clips |" in bench_binding.report(costs, 9, 30)


@pytest.mark.slow
def test_two_scenes_are_told_apart_after_a_change(tmp_path: Path) -> None:
    changes = {"mirrored": CHANGES["mirrored"]}
    rows = bench_prints.run(tmp_path, clips=None, seeds=1, scenes=SCENES[:2], changes=changes)
    assert [(row.track, row.half) for row in rows] == [
        (track, half) for half in ("tuning", "test") for track in ("picture", "sound")
    ]
    for row in rows:
        assert (row.found, row.of, row.mistaken) == (1, 1, 0)
        assert row.own > row.stranger + 0.2
    assert "| mirrored | picture | tuning |" in bench_prints.report(rows)
