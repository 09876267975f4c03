from __future__ import annotations

from pipeline.bench_likeness import Costs, report


def test_the_ratio_is_to_one_decoding_and_reading_stands_apart() -> None:
    line = report(Costs(decoding=2.0, screening=3.0, reading=1.0, found=2))
    assert "looking at two faces: 1.00" in line
    assert "0.50 more" in line
