from __future__ import annotations

import sys

import pytest

from audits.preemptive.sound import peer
from audits.preemptive.sound.clips import made


def test_what_stands_in_for_a_missing_package_is_taken_away_again() -> None:
    before = {name: sys.modules.get(name) for name in ("librosa", "torchaudio", "pkg_resources")}
    with peer._stand_ins():
        assert sys.modules["librosa"].resample is not None
    assert {name: sys.modules.get(name) for name in before} == before


def test_the_other_watermark_finds_its_mark_and_none_in_the_twin() -> None:
    if not peer.installed():
        pytest.skip("the package of the other watermark is not installed")
    clip = made(4, 10.0)
    marked = peer.embed(clip.sound, clip.rate)
    assert marked.shape == clip.sound.shape
    assert peer.found(marked, clip.rate)
    assert not peer.found(clip.sound, clip.rate)
