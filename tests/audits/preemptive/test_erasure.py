from __future__ import annotations

from typing import Any

import pytest

from audits.preemptive import erasure
from audits.preemptive.suites import run


def test_a_sample_of_subjects_is_erased_to_the_last_byte_and_the_controls_find_them() -> None:
    result = run("erasure", quick=True)
    assert result.passed, result.markdown()
    rows = {row["case"]: (row["hits"], row["trials"]) for row in result.rows}
    assert rows["control: words on the disk before"] == (20, 20)
    assert rows["words on the disk after"] == rows["subjects a key still opens"] == (0, 20)
    assert rows["control: keys kept, subjects opened"] == rows["control: columns and files kept"] == (10, 10)


@pytest.mark.parametrize(
    ("part", "broken", "case"),
    [
        ("core.vault.Vault.destroy", lambda *_: True, "subjects a key still opens"),
        ("core.store.Store.scrub", lambda *_: True, "words on the disk after"),
        ("core.blobs.LocalBlobs.remove", lambda *_: None, "words on the disk after"),
    ],
)
def test_the_suite_fails_when_a_part_of_the_erasure_is_broken(
    part: str, broken: Any, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, broken)
    monkeypatch.setattr(erasure, "_controls", lambda *_: ())
    failed = [row["case"] for row in run("erasure", quick=True).rows if not row["passed"]]
    assert case in failed
