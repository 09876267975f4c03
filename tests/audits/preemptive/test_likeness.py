from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from audits.preemptive import faces, likeness
from audits.preemptive.faces import Embedded, Photo
from audits.preemptive.suites import run
from core.errors import BadInput
from core.facts import LINE, fits
from generation.engines.persona import Persona, portrait
from safety.likeness.cohort import Cohort


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four synthetic people with two pictures each, in the layout that the suite reads; fold 3 is not tuned on."""
    folder = tmp_path_factory.mktemp("faces")
    lines = []
    for number in range(4):
        name = f"P{number}"
        (folder / "pictures" / name).mkdir(parents=True)
        for shot, yaw in enumerate((-6.0, 6.0), 1):
            picture = portrait(Persona(11 + number), size=256, yaw=yaw)
            path = folder / "pictures" / name / f"{name}_{shot:04d}.jpg"
            cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        lines.append(f"3\t{name}\t1\t2")
    lines.append("1\tP0\t1\tP9\t1")
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_the_suite_prints_its_table_on_the_data_it_is_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likeness, "_TURNS", {45: 0.01})
    monkeypatch.setattr(likeness, "_SIZES", {24: 0.9})
    result = run("likeness", quick=True, data=folder)
    rows = {str(row.get("case", row.get("untold"))): row for row in result.rows}
    assert rows["exact search, 2000 people"]["passed"]
    assert rows["a face is found in the photograph"]["hits"] == 8
    assert rows["faces of 24 px found"]["rate"] == 1
    brief = rows["seen for half a second in 16 s, of those whose photograph matches"]
    assert (brief["hits"], brief["trials"]) == (3, 3)
    # Eight pictures cannot tell a rate of one in ten thousand, and the table says so instead of a figure.
    untold = [row for row in result.rows if "untold" in row]
    assert any("1e-04" in str(row["untold"]) for row in untold)
    assert len(result.data) == 1
    assert all(fits(LINE, case) for case in rows), "or the log does not take the result"


def test_without_photographs_only_the_search_is_tried() -> None:
    (row,) = run("likeness", quick=True).rows
    assert row["passed"]


def test_data_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(BadInput):
        faces.photos(tmp_path)


def test_scores_at_rates_and_open_sets_are_what_a_small_example_says() -> None:
    photos = tuple(Photo(name, Path(name), tuned=False) for name in "aaabbc")
    vectors = np.array(((1, 0), (1, 0), (1, 0), (0, 1), (0.6, 0.8), (0.8, 0.6)), np.float32)
    data = Embedded(photos, vectors, Cohort())
    same, other = faces.pair_scores(data)
    assert (len(same), len(other)) == (4, 11)
    assert faces.at_rate(other, 1 / 11) == pytest.approx(0.96)
    top, strangers, right, people = faces.open_set(data, 2)
    assert people == 2
    assert top.tolist() == pytest.approx([1.0])
    assert right.tolist() == pytest.approx([1.0])
    # The stranger is more like the mean of b, (0.316, 0.949), than like a? No: 0.8 against 0.822.
    assert strangers.tolist() == pytest.approx([0.8 * 0.3162 + 0.6 * 0.9487], abs=1e-3)


def test_a_calibration_goes_as_far_as_the_data_tell() -> None:
    rng = np.random.default_rng(1)
    names = [f"p{number // 3}" for number in range(900)]
    vectors = rng.standard_normal((900, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    data = Embedded(tuple(Photo(name, Path(name), tuned=False) for name in names), vectors, Cohort())
    made = faces.calibrated(data, "noise")
    assert [rate for rate, _ in made.impostors] == [1e-4, 1e-3]
    assert made.impostors[0][1] > made.impostors[1][1] > 0
    assert not made.provisional
    with pytest.raises(BadInput, match="too few"):
        faces.calibrated(data.among(range(100)), "noise")
