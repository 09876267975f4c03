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


def test_given_clips_are_used_and_silent_ones_get_a_tune(tmp_path: Path) -> None:
    with Delivery(tmp_path / "given.mp4", width=64, height=48, fps=12) as out:
        for rgb in scenes.pictures(1, 0.5):
            out.frame(module._sized(rgb, (64, 48)))
    (clip,) = module._clips(tmp_path / "..", 0, tmp_path, 5)
    assert clip.video is not None
    assert (clip.video.width, clip.video.frames) == (64, 6)
    assert clip.audio is not None
    assert clip.audio.seconds == pytest.approx(6.0)
