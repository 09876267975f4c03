from __future__ import annotations

from pathlib import Path

import pytest

from audits.preemptive import recovery as module
from audits.preemptive import scenes
from audits.preemptive.suites import run
from core.media.write import Delivery


@pytest.mark.slow
def test_a_scene_is_recovered_and_its_unmarked_twin_is_not() -> None:
    result = run("recovery", quick=True)
    assert result.passed, result.markdown()
    told = {str(row["case"]): row["hits"] for row in result.rows}
    assert told["recovered"] == 1
    assert told["control: mark in the unmarked twin"] == 0


def test_given_clips_are_cut_into_pieces_and_windows_and_silent_ones_get_a_tune(tmp_path: Path) -> None:
    (tmp_path / "data" / "filmed").mkdir(parents=True)
    with Delivery(tmp_path / "data" / "filmed" / "given.mp4", width=640, height=240, fps=2) as out:
        for rgb in scenes.pictures(1, 13 * 2 / scenes.FPS):
            out.frame(module._sized(rgb, (640, 240)))
    sizes = []
    for take in module._takes(tmp_path, 0, tmp_path / "data", 0):
        assert take.clip.video is not None
        assert take.clip.audio is not None
        assert (take.kind, take.clip.video.frames) == ("filmed", 12)
        assert take.clip.audio.seconds == pytest.approx(6.0)
        sizes.append((take.clip.video.width, take.clip.video.height))
    assert sizes == 2 * [(640, 240), (320, 240), (320, 240)]
