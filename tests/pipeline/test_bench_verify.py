from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import bench_verify
from pipeline.bench_verify import Cost, report, run


def test_the_bench_verifies_a_marked_and_signed_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_verify, "_ROUNDS", 1)
    decoding, verifying = run(tmp_path, seconds=5.5, width=320, height=240)
    assert decoding.wall > 0
    assert verifying.cpu > 0


def test_the_ratio_is_to_one_decoding() -> None:
    assert "0.50 of decoding on the wall, 2.00 in CPU" in report(Cost(2.0, 1.0), Cost(1.0, 2.0))
