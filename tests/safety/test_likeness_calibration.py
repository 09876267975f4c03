from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelMissing
from safety.likeness import calibration
from safety.likeness.calibration import MOST, rate
from safety.likeness.tiers import EMBEDDED_CALIBRATION as EMBEDDED

counts = st.integers(1, 10**6)
few = st.integers(1, 20)


@given(people=counts, tracks=counts)
def test_a_comparison_is_never_allowed_more_than_its_share(people: int, tracks: int) -> None:
    assert rate(people=people, tracks=tracks) * people * tracks <= max(0.01, MOST * people * tracks)
    assert rate(people=people, tracks=tracks) <= MOST


@given(people=counts, tracks=counts, references=few, views=few)
def test_more_comparisons_never_loosen_and_the_threshold_stays_where_data_ends(
    people: int, tracks: int, references: int, views: int
) -> None:
    here = EMBEDDED.threshold(people=people, tracks=tracks, references=references, views=views)
    assert here <= EMBEDDED.threshold(people=people + 1, tracks=tracks, references=references, views=views)
    assert here <= EMBEDDED.threshold(people=people, tracks=tracks, references=references + 1, views=views)
    assert here <= EMBEDDED.threshold(people=people, tracks=tracks, references=references, views=views + 1)
    ceiling = EMBEDDED.threshold(people=10**9, tracks=1, references=references, views=views)
    assert here <= ceiling < 1
    assert EMBEDDED.watch(people=people, tracks=tracks) <= here


def test_the_floor_is_where_a_thousand_people_are_screened() -> None:
    assert rate(people=1000, tracks=1) == pytest.approx(EMBEDDED.least)
    assert EMBEDDED.expected_alarms(people=1000, tracks=1) == pytest.approx(0.01)
    assert EMBEDDED.expected_alarms(people=100_000, tracks=1) == pytest.approx(1.0)


def test_a_calibration_file_is_read_back_and_belongs_to_one_recogniser(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(calibration.written(EMBEDDED, "a" * 64))
    assert calibration.read(file, "a" * 64) == EMBEDDED
    with pytest.raises(ModelMissing, match="another recogniser"):
        calibration.read(file, "b" * 64)
    with pytest.raises(ModelMissing, match="missing"):
        calibration.read(tmp_path / "none.json", "a" * 64)


@pytest.mark.parametrize(
    "change",
    [
        {"impostors": [[1e-5, 0.4]]},
        {"impostors": [[1e-5, 0.4], [1e-4, 0.5]]},
        {"impostors": [[0, 0.4], [1e-4, 0.3]]},
        {"impostors": "none"},
        {"centroid": -1},
        {"centroid": "x"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_calibration_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps(json.loads(calibration.written(EMBEDDED, "a" * 64)) | change))
    with pytest.raises(ModelMissing):
        calibration.read(file, "a" * 64)
    file.write_text("{")
    with pytest.raises(ModelMissing):
        calibration.read(file, "a" * 64)
