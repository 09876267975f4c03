from __future__ import annotations

import pytest

from audits.preemptive import tamper as module
from audits.preemptive.suites import run


@pytest.mark.slow
def test_every_change_gets_a_right_verdict_and_none_is_falsely_verified() -> None:
    result = run("tamper", quick=True)
    assert result.passed, result.markdown()
    cases = [row for row in result.rows if "cases" in row]
    assert sum(int(row["cases"]) for row in cases) > 50
    assert {row["case"] for row in cases} >= {
        "wav: content",
        "manifest of another release",
        "signed by a stranger",
        "mark copied to a foreign clip",
        "sound of another release",
        "encoded again",
        "input tampered with",
    }
    assert result.rows[-1]["files"] > 0, "the control: the library alone would have passed some"


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("ftyp", "file type"),
        ("moov/trak/tkhd", "content"),
        ("moov header", "structure"),
        ("uuid header", "around the manifest"),
        ("GEOB header", "around the manifest"),
        ("manifest claim.v2", "what the manifest says"),
        ("manifest claim.v2 box", "boxes of the manifest"),
        ("manifest signature padding", "padding of the signature"),
        ("ID3 padding", "structure"),
        ("IDAT check", "structure"),
        ("scan", "content"),
    ],
)
def test_parts_fall_into_groups(name: str, group: str) -> None:
    assert module._group(name) == group
