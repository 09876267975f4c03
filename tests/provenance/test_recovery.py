"""The second scene of the demo on five different clips: stripped, re-encoded, and still ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli.demo import re_encoded
from core.media.clip import Clip
from core.media.probe import probe
from core.media.read import frames, whole_sound
from core.shot import Shot
from generation.engines import open_engine
from generation.grid import snap
from provenance.mark import mark
from provenance.marks import MarkKey, audio, video

KEY = MarkKey("test", bytes(range(32)))
SCENES = {
    "waves on a beach": 1,
    "green hills under clouds": 2,
    "a city street at night": 3,
    "birds in the open sky": 4,
    "abstract shapes dancing": 5,
}


def rendered(prompt: str, seed: int, into: Path) -> Clip:
    engine = open_engine("sandbox", into.parent)
    shot = snap(Shot(prompt=prompt, seconds=8, width=480, height=272, fps=24, seed=seed), engine.limits)
    return engine.render(shot, into, lambda _fraction: None)


@pytest.mark.slow
@pytest.mark.parametrize(("prompt", "seed"), SCENES.items(), ids=lambda value: str(value)[:12])
def test_both_marks_survive_being_stripped_and_encoded_again(tmp_path: Path, prompt: str, seed: int) -> None:
    payload = 0x0123456789ABCDEF ^ seed
    clip = rendered(prompt, seed, tmp_path / "clip.mkv")
    marked = mark(clip, tmp_path / "marked.mp4", payload, KEY)
    assert (marked.video, marked.audio) == (True, True)
    again = tmp_path / "again.mp4"
    re_encoded(marked.clip.path, again, crf=28, audio_bitrate=96_000)
    sound = probe(again).audio
    assert sound is not None
    assert video.detect(frames(again), [KEY]).payload == payload
    assert audio.detect(whole_sound(again), sound.rate, [KEY]).payload == payload


@pytest.mark.slow
def test_the_same_scene_unmarked_says_nothing(tmp_path: Path) -> None:
    """The control."""
    clip = rendered("waves on a beach", 1, tmp_path / "clip.mkv")
    plain = tmp_path / "plain.mp4"
    re_encoded(clip.path, plain)
    assert not video.detect(frames(plain), [KEY]).found
    assert not audio.detect(whole_sound(plain), 48_000, [KEY]).found
