from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from audits.preemptive import scenes, video_attacks, video_mark, vmaf
from audits.preemptive.pieces import Pieces
from audits.preemptive.video_attacks import Cell, attacked, grid
from core.media.clip import Picture
from core.media.write import Delivery
from provenance.marks import MarkReading


def film(count: int = 6) -> list[Picture]:
    return [rgb for _, rgb in zip(range(count), scenes.pictures(1, 1.0), strict=False)]


def small(cell: Cell) -> list[tuple[int, ...]]:
    return [seen.luma.shape for seen in attacked(film(), Fraction(12), cell, np.random.default_rng(0))]


def test_a_quick_run_finds_the_mark_and_reads_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_mark, "_FEW", 40)
    rows = {str(row["case"]): row for row in video_mark.video_mark(0, quick=True, data=None, pieces=Pieces())}
    assert rows["delivery alone"]["hits"] == rows["H.264 CRF 28"]["hits"] == 1
    assert rows["control: wrong payload read"]["hits"] == 0
    assert rows["control: read in unmarked clips (keys x clips)"]["trials"] == 41
    assert rows["control: read in unmarked clips (keys x clips)"]["passed"]


def test_a_detector_that_invents_fails_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    said = MarkReading(track="video", found=True, payload=1, p_false=0.0, geometry={})
    monkeypatch.setattr(video_mark.video, "detect", lambda *_, **__: said)
    monkeypatch.setattr(video_mark, "_QUICK", ("delivery alone",))
    rows = {str(row["case"]): row for row in video_mark.video_mark(0, quick=True, data=None, pieces=Pieces())}
    assert not rows["control: wrong payload read"]["passed"]
    assert not rows["control: read in unmarked clips (keys x clips)"]["passed"]


def test_the_grid_names_every_cell_once_and_bends_as_it_says() -> None:
    cells = {cell.name: cell for cell in grid()}
    assert len(cells) == len(grid()) > 55
    assert set(small(cells["crop 0.5"])) == {(120, 160)}
    assert set(small(cells["rotate 90"])) == {(320, 240)}
    assert len(small(cells["every second frame dropped"])) == 3
    assert len(small(cells["24 to 30 frames a second"])) == 7


@pytest.mark.parametrize("name", ["hue .25", "noise 10", "perspective 0.5", "filmed from a screen"])
def test_bends_change_pictures_and_keep_their_size(name: str) -> None:
    (cell,) = (cell for cell in grid() if cell.name == name)
    assert cell.bend is not None
    before = film(1)[0]
    after = cell.bend(before, np.random.default_rng(0))
    assert after.shape == before.shape
    assert not np.array_equal(after, before)


def test_quality_is_measured_and_falls_with_noise() -> None:
    one = film(4)
    worse = [video_attacks._noisy(10.0)(rgb, np.random.default_rng(0)) for rgb in one]
    assert vmaf.psnr(one[0], one[0]) == 100.0
    assert 25 < vmaf.psnr(one[0], worse[0]) < 40
    assert vmaf.ssim(one[0], worse[0]) < vmaf.ssim(one[0], one[0]) == pytest.approx(1.0)
    if not vmaf.installed():
        pytest.skip("imageio-ffmpeg is not installed")
    assert vmaf.vmaf(one, worse, Fraction(12)) < vmaf.vmaf(one, one, Fraction(12)) - 1


def test_given_clips_are_cut_at_three_places(tmp_path: Path) -> None:
    with Delivery(tmp_path / "given.mp4", width=320, height=240, fps=12) as out:
        for rgb in scenes.pictures(1, 6.7):
            out.frame(rgb)
    takes = list(video_mark._takes(0, tmp_path, quick=False))
    assert [take.name for take in takes] == [f"given.mp4 from frame {first}" for first in (4, 22, 39)]
    assert [len(take.film()[0]) for take in takes] == [36, 36, 36]
    assert takes[0].film()[1] == 12


def test_a_run_that_was_cut_short_counts_each_piece_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_mark, "_FEW", 4)
    monkeypatch.setattr(video_mark, "_QUICK", ("delivery alone",))
    whole = video_mark.video_mark(0, quick=True, data=None, pieces=Pieces(tmp_path / "a", "x"))
    monkeypatch.setattr(video_mark, "_judged", lambda *_, **__: pytest.fail("made again"))
    assert video_mark.video_mark(0, quick=True, data=None, pieces=Pieces(tmp_path / "a", "x")) == whole
