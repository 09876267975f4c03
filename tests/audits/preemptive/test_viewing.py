from __future__ import annotations

import json
from pathlib import Path

from audits.preemptive import scenes
from audits.preemptive.viewing import viewing
from core.media.read import frames
from core.media.write import Delivery


def test_the_page_hides_which_film_is_marked_and_the_key_tells(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    with Delivery(tmp_path / "clips" / "one.mp4", width=320, height=240, fps=12) as out:
        for rgb in scenes.pictures(1, 0.5):
            out.frame(rgb)
    page = viewing(tmp_path / "clips", tmp_path / "out", seed=3)
    key = json.loads((tmp_path / "out" / "key.json").read_text())
    assert key["pair-1"] in {"A", "B"}
    assert "pair-1-A.mp4" in page.read_text()
    source = [frame.rgb.astype(int) for frame in frames(tmp_path / "clips" / "one.mp4")]
    away = {
        side: sum(
            abs(frame.rgb - one).mean()
            for frame, one in zip(frames(tmp_path / "out" / f"pair-1-{side}.mp4"), source, strict=True)
        )
        for side in "AB"
    }
    assert max(away, key=lambda side: away[side]) == key["pair-1"]
