"""The public page answers in words, for every verdict, and keeps nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from api.verify_page import HEADLINES, lanes
from core.errors import BadMedia, TooMany
from provenance.verdict import Verdict
from provenance.verify import Report
from tests.api.world import World

HOSTILE = '<img src=x onerror="alert(1)">'
MARK = {"found": True, "payload": "0123456789abcdef", "p_false": 1e-12, "key_id": "k", "geometry": None}


def report(verdict: Verdict = "tampered", **layers: Any) -> Report:
    """A report with something in every layer."""
    manifest = {
        "state": "invalid",
        "label": "urn:c2pa:1",
        "issuer": HOSTILE,
        "generator": "Greenlight 0.1.0",
        "actions": ["c2pa.opened", "c2pa.edited"],
        "failures": ["assertion.bmffHash.mismatch"],
        "ingredients": [
            {"label": "urn:c2pa:0", "relationship": "parentOf", "state": "trusted", "failures": []},
            {"label": None, "relationship": "componentOf", "state": "none", "failures": ["x"]},
        ],
    }
    filled = {
        "manifest": manifest,
        "video_mark": MARK,
        "audio_mark": None,
        "fingerprint": {"score": 0.97},
        "record": {"id": "clip_1", "released_at": "2026-11-23T00:00:00Z", "withdrawn": True},
        "log": {"included": True, "index": 7, "checkpoint": "c"},
    }
    segments = (
        {"track": "video", "start": 0.0, "end": 2.0, "finding": "mark", "technique": "watermark"},
        {"track": "video", "start": 2.0, "end": 4.0, "finding": "no mark", "technique": "watermark"},
        {"track": "audio", "start": 0.0, "end": 4.0, "finding": "same content", "technique": "fingerprint"},
    )
    return Report(
        verdict=verdict,
        reasons=(f"Because of {HOSTILE}",),
        layers=filled | layers,
        segments=segments,
        elapsed_s=0.2,
    )


def seeing(world: World, look: Callable[[Path], Any]) -> None:
    world.client.app.state.tools = replace(world.tools, verify_untrusted=look)


def asked(world: World, name: str = "clip.mp4", content: bytes = b"a file") -> Any:
    return world.client.post("/verify", files={"file": (name, content)})


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_each_verdict_is_said_in_words_first(world: World, verdict: Verdict) -> None:
    seeing(world, lambda _path: report(verdict))
    answer = asked(world)
    assert answer.status_code == 200
    assert 0 < answer.text.index(HEADLINES[verdict]) < answer.text.index("What each sign says")


def test_the_verdicts_that_there_are_have_words() -> None:
    assert set(HEADLINES) == set(get_args(Verdict))
    assert "proves nothing" in HEADLINES["unknown"]


def test_layers_timeline_and_history_are_shown(world: World) -> None:
    seeing(world, lambda _path: report())
    text = asked(world).text
    for said in ("0123456789abcdef", "clip_1", "withdrawn", "Entry 7", "97 %", "2.0 to 4.0 s: no mark"):
        assert said in text
    assert (
        text.index("This file: <code>urn:c2pa:1")
        < text.index("urn:c2pa:0")
        < text.index("without a manifest")
    )


def test_a_file_with_nothing_in_it_gets_a_page_too(world: World) -> None:
    nothing = {
        "state": "none",
        "label": None,
        "issuer": None,
        "generator": None,
        "actions": [],
        "failures": [],
    }
    layers = {"manifest": nothing | {"ingredients": []}}
    layers |= dict.fromkeys(("video_mark", "audio_mark", "fingerprint", "record", "log"))
    seeing(world, lambda _path: replace(report("unknown", **layers), segments=()))
    text = asked(world).text
    assert HEADLINES["unknown"] in text
    assert "What was found where" not in text
    assert "History" not in text


def test_words_of_a_stranger_stay_words(world: World) -> None:
    seeing(world, lambda _path: report())
    answer = asked(world, name=f"../{HOSTILE}\x07.mp4")
    assert "<img" not in answer.text
    assert "&lt;img" in answer.text, "the control: they are shown"
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_nothing_is_kept(world: World) -> None:
    seen: list[Path] = []

    def look(path: Path) -> Report:
        assert path.read_bytes() == b"a file"
        seen.append(path)
        return report()

    seeing(world, look)
    before = world.contents()
    asked(world)
    assert [path.exists() for path in seen] == [False]
    assert world.contents() == before


@pytest.mark.parametrize(
    ("error", "status"),
    [(BadMedia("It is not media."), 422), (TooMany("Many files."), 429), (OSError(), 500)],
)
def test_what_goes_wrong_is_said_above_the_form(world: World, error: Exception, status: int) -> None:
    def look(_path: Path) -> Any:
        raise error

    seeing(world, look)
    answer = asked(world)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert 'role="alert"' in answer.text
    assert 'type="file"' in answer.text


def test_a_missing_an_empty_and_a_huge_file_are_said_too(world: World) -> None:
    assert 'role="alert"' in world.client.post("/verify").text
    assert "empty" in asked(world, content=b"").text
    huge = {"Content-Length": str(1 << 40), "Content-Type": "multipart/form-data; boundary=x"}
    answer = world.client.post("/verify", headers=huge, content=b"")
    assert (answer.status_code, 'role="alert"' in answer.text) == (413, True)


def test_the_timeline_is_scaled_to_the_longest_segment() -> None:
    (video, audio) = lanes(report().segments)
    assert [(part.left, part.width) for part in video.stretches] == [(0.0, 50.0), (50.0, 50.0)]
    assert [(part.left, part.width) for part in audio.stretches] == [(0.0, 100.0)]
    assert lanes([]) == []
