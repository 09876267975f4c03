"""A page for people to hear whether they can tell marked sound from unmarked: a blinded ABX test.

One file that needs nothing else: sounds, answers and the count are in it. For each clip A and B are the sound with
and without the mark in a random order, X is one of them again. The page tells after the last clip how many were
right, and how likely that is by guessing.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from audits.preemptive.sound.clips import SoundClip
from core.errors import BadMedia
from core.media.clip import Sound
from core.media.export import export
from provenance.marks import MarkKey, audio

_SECONDS = 10
_PAGE = Path(__file__).with_name("listening.html")


def listening_page(clips: Iterable[SoundClip], key: MarkKey, dice: np.random.Generator) -> str:
    """Mark the clips and write the page; clips that cannot carry a mark are left out."""
    trials = []
    for clip in clips:
        try:
            marked = audio.embed(clip.sound, clip.rate, key, int.from_bytes(dice.bytes(8), "big"))
        except BadMedia:
            continue
        pair = [_packed(clip.sound, clip.rate), _packed(marked, clip.rate)]
        first, same = (int(dice.integers(2)) for _ in range(2))
        trials.append(
            {
                "a": pair[first],
                "b": pair[1 - first],
                "x": pair[first if same == 0 else 1 - first],
                "key": same,
            }
        )
    return _PAGE.read_text().replace("/*TRIALS*/[]", json.dumps(trials))


def _packed(sound: Sound, rate: int) -> str:
    """Give the first seconds as a FLAC that a browser plays from within the page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.flac"
        export(path, np.clip(sound[: _SECONDS * rate], -1, 1), rate)
        return "data:audio/flac;base64," + base64.b64encode(path.read_bytes()).decode()
