"""What marking keeps of a clip to find it again by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from api.cli.demo import re_encoded
from core.media.probe import probe
from core.media.write import Mezzanine
from core.shot import Shot
from generation.engines import open_engine
from generation.grid import snap
from provenance.fingerprint import audio, video
from provenance.mark import mark
from provenance.marks import MarkKey
from provenance.perceive import perceive

KEY = MarkKey("test", bytes(range(32)))


@pytest.mark.slow
def test_a_clip_is_recognised_after_it_was_encoded_again(tmp_path: Path) -> None:
    engine = open_engine("sandbox", tmp_path)
    shots = [
        snap(
            Shot(prompt="birds in the open sky", seconds=5, width=320, height=180, fps=24, seed=seed),
            engine.limits,
        )
        for seed in (1, 2)
    ]
    clips = [engine.render(shot, tmp_path / f"{shot.seed}.mkv", lambda _fraction: None) for shot in shots]
    marked = [mark(clip, tmp_path / f"{n}.mp4", n + 1, KEY) for n, clip in enumerate(clips)]
    re_encoded(marked[0].clip.path, tmp_path / "again.mp4", crf=28, audio_bitrate=96_000)
    found = perceive(tmp_path / "again.mp4", ())
    picture, sound = (
        video.decode(bytes.fromhex(found.video_print)),
        audio.decode(bytes.fromhex(found.audio_print)),
    )
    seen = [video.similarity(picture, video.decode(one.prints[video.ALG])) for one in marked]
    heard = [audio.similarity(sound, audio.decode(one.prints[audio.ALG])) for one in marked]
    assert [match.found for match in (*seen, *heard)] == [True, False, True, False]


def test_what_cannot_be_recognised_is_not_kept_and_the_receipt_says_so(tmp_path: Path) -> None:
    with Mezzanine(tmp_path / "flat.mkv", width=320, height=180, fps=8, rate=48_000, channels=1) as out:
        out.sound(np.zeros((96_000, 1), np.float32))
        for _ in range(16):
            out.frame(np.full((180, 320, 3), 120, np.uint8))
    done = mark(probe(tmp_path / "flat.mkv"), tmp_path / "flat.mp4", 1, KEY)
    assert done.prints == {}
    assert ["found again" in note for note in done.notes][-2:] == [True, True]
