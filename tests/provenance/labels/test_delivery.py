"""Labels as they leave: read back from the encoded file, with the watermark still there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from core.errors import BadMedia
from core.media.clip import Clip
from core.media.probe import probe, tags
from core.media.read import frames, whole_sound
from core.media.write import Delivery, Mezzanine
from provenance.labels import NO_LABELS, Plan, check, packs, plan, stamped
from provenance.labels._badge import MIN_INK, plates
from provenance.labels._notice import spoken
from provenance.mark import mark
from provenance.marks import MarkKey, audio, video
from tests.provenance.labels.test_plan import occasion

KEY = MarkKey("key", bytes(range(32)))
PAYLOAD = 0x0123456789ABCDEF
RATE = 16_000


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Three seconds of bright, soft shapes that glide by."""
    path = tmp_path_factory.mktemp("scene") / "scene.mkv"
    rng = np.random.default_rng(11)
    shapes = rng.integers(90, 256, (12, 32, 3), dtype=np.uint8)
    wall = cv2.resize(shapes, (960, 360), interpolation=cv2.INTER_CUBIC)
    with Mezzanine(path, width=480, height=360, fps=8) as out:
        for index in range(24):
            out.frame(np.ascontiguousarray(wall[:, index * 6 : index * 6 + 480]))
    return probe(path)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("song") / "song.mkv"
    rng = np.random.default_rng(12)
    with Mezzanine(path, rate=RATE, channels=2) as out:
        out.sound((0.1 * rng.standard_normal((6 * RATE, 2))).astype(np.float32))
    return probe(path)


def results(planned: Plan, clip: Clip) -> dict[str, str]:
    return {row.duty: row.result for row in check(planned, clip)}


@pytest.mark.parametrize("territory", ["DE", "CN", "IN", "KR", "US"])
def test_every_territory_gets_its_picture_labelled_and_the_mark_survives(
    scene: Clip, tmp_path: Path, territory: str
) -> None:
    planned = plan(occasion(territory=territory))
    marked = mark(scene, tmp_path / "out.mp4", PAYLOAD, KEY, planned, crf=23, preset="veryfast")
    sheet = check(planned, marked.clip)
    assert {row.result for row in sheet} <= {"pass", "release", "not_applicable"}, sheet
    assert [row for row in sheet if row.result == "pass"]
    assert video.detect(frames(marked.clip.path), [KEY], thorough=False).payload == PAYLOAD


@pytest.mark.parametrize("territory", ["DE", "CN", "KR"])
def test_every_territory_gets_its_sound_announced_and_the_mark_survives(
    song: Clip, tmp_path: Path, territory: str
) -> None:
    planned = plan(occasion(territory=territory, picture=False))
    marked = mark(song, tmp_path / "out.m4a", PAYLOAD, KEY, planned)
    assert "fail" not in results(planned, marked.clip).values()
    notice = len(spoken(planned.notices[0], RATE)) / RATE
    assert marked.clip.seconds == pytest.approx(song.seconds + notice + 0.4, abs=0.15)
    assert audio.detect(whole_sound(marked.clip.path), RATE, [KEY]).payload == PAYLOAD


def test_what_was_not_labelled_fails_its_sheet(scene: Clip, song: Clip, tmp_path: Path) -> None:
    """The control of the two tests above."""
    seen, heard = plan(occasion(territory="CN")), plan(occasion(territory="CN", picture=False))
    bare = mark(scene, tmp_path / "out.mp4", PAYLOAD, KEY, preset="veryfast").clip
    silent = mark(song, tmp_path / "out.m4a", PAYLOAD, KEY).clip
    assert results(seen, bare)["cn.explicit"] == "fail"
    assert results(seen, bare)["cn.implicit"] == "fail"
    assert results(heard, silent)["cn.rhythm"] == "fail"


def written(scene: Clip, path: Path, stamp: Any) -> Clip:
    with Delivery.like(path, scene, preset="veryfast") as out:
        for frame in frames(scene.path):
            out.frame(stamp(frame.rgb, frame.time))
    return probe(path)


def test_labels_that_vanish_blur_or_say_something_else_fail(scene: Clip, tmp_path: Path) -> None:
    planned, other = plan(occasion(territory="KR")), plan(occasion(territory="IN"))
    stamp, wrong = stamped(planned, 480, 360), stamped(other, 480, 360)
    stamps: dict[str, Any] = {
        "whole": stamp,
        "half": lambda rgb, time: stamp(rgb, time) if time < 1.5 else rgb,
        "late": lambda rgb, time: stamp(rgb, time) if time > 0.5 else rgb,
        "blurred": lambda rgb, time: cv2.blur(stamp(rgb, time), (25, 25)),
        "pale": lambda rgb, time: (stamp(rgb, time).astype(int) // 4 + 180).astype(np.uint8),
        "other": wrong,
    }
    found = {
        name: results(planned, written(scene, tmp_path / f"{name}.mp4", one))["kr.visible"]
        for name, one in stamps.items()
    }
    assert found == {"whole": "pass"} | dict.fromkeys(("half", "late", "blurred", "pale", "other"), "fail")


def test_china_shows_its_label_for_two_seconds_and_writes_its_key(scene: Clip, tmp_path: Path) -> None:
    planned = plan(occasion(territory="CN"))
    clip = mark(scene, tmp_path / "out.mp4", PAYLOAD, KEY, planned, preset="veryfast").clip
    rows = {row.duty: row for row in check(planned, clip)}
    assert rows["cn.explicit"].result == "pass"
    assert "for 2." in rows["cn.explicit"].how
    assert "clip_1" in tags(clip.path)["AIGC"]
    shorter = replace(planned.badges[0], seconds=1.0)
    brief = written(scene, tmp_path / "brief.mp4", stamped(Plan(badges=(shorter,)), 480, 360))
    assert results(planned, brief)["cn.explicit"] == "fail"


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (704, 480), (641, 359), (320, 320)])
@pytest.mark.parametrize("pack", packs(), ids=lambda pack: pack.id)
def test_letters_are_as_high_as_the_law_says_in_every_format(size: tuple[int, int], pack: Any) -> None:
    width, height = size
    for source in ("created", "composite"):
        planned = plan(occasion(territory=pack.covers[0], source=source))
        for plate in plates(planned, width, height):
            rows, columns = plate.grey.shape
            assert 0 <= plate.x <= width - columns
            assert 0 <= plate.y <= height - rows
            assert plate.ink >= max(MIN_INK, 0.04 * min(width, height) - 1)
            letters = (plate.grey > 200).any(axis=1)
            assert letters.sum() == pytest.approx(plate.ink, abs=2)


def test_a_picture_too_small_for_letters_is_refused() -> None:
    planned = plan(occasion(territory="US-NY"))
    with pytest.raises(BadMedia, match="too small for a label"):
        stamped(planned, 96, 64)
    assert stamped(NO_LABELS, 96, 64), "the control"


def test_a_frame_is_changed_nowhere_but_on_the_plate() -> None:
    planned = plan(occasion(territory="EU"))
    (plate,) = plates(planned, 320, 240)
    rgb = np.full((240, 320, 3), 255, np.uint8)
    changed = (stamped(planned, 320, 240)(rgb, 0.0) != rgb).any(axis=2)
    rows, columns = plate.grey.shape
    assert changed[plate.y : plate.y + rows, plate.x : plate.x + columns].all()
    assert changed.sum() == rows * columns
    assert (rgb == 255).all(), "the frame that came in is left alone"
