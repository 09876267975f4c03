from __future__ import annotations

from pathlib import Path

import pytest

from audits import bench_proofs
from audits.log.check import check


def test_the_bench_builds_a_whole_log_and_measures_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_proofs, "PROOFS", 3)
    figures = bench_proofs.measure(tmp_path, 66_000, 1)
    assert figures.entries == check(tmp_path, bench_proofs._TRUST).size == 66_000
    assert figures.check_mib < 256
    assert "| full check |" in bench_proofs.report(figures)
    sizes = {len(bench_proofs.entry(index)) for index in range(1000)}
    assert min(sizes) > 140
    assert max(sizes) < 510
