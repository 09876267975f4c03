from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.bench import Cost, report, run


@pytest.mark.slow
def test_the_bench_measures_every_step_of_the_gate(tmp_path: Path) -> None:
    costs = run(tmp_path, seconds=5.5, width=320, height=240)
    steps = {"screen", "mark and deliver", "sign", "record", "verify and release", "x264 medium"}
    assert steps <= set(costs)
    assert all(costs[step].wall > 0 for step in steps)
    assert "| **the whole gate** |" in report(costs)


def test_ratios_are_to_the_one_encode() -> None:
    names = ("screen", "mark and deliver", "sign", "record", "verify and release")
    costs = {name: Cost(1.0, 2.0, 512.0) for name in names} | {"x264 medium": Cost(2.0, 4.0, 100.0)}
    assert "| screen | 0.50 | 0.50 | 0.50 GiB |" in report(costs)
    assert "| **the whole gate** | 2.50 | 2.50 | 0.50 GiB |" in report(costs)
