"""A stranger's file, looked at by a real child."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from core.errors import BadMedia, BadQuery, UnknownType
from core.media import sandbox
from core.media.write import Delivery
from core.state import State
from core.store import open_store
from core.tables import Job, Manifest
from pipeline import credentials, matching
from pipeline.finder import Finder
from pipeline.matching import Matcher, onlooker
from provenance.fingerprint import video
from provenance.perceive import perceive
from tests.doubles import add_partner


@pytest.fixture
def matcher(tmp_path: Path) -> Iterator[Matcher]:
    store = open_store(f"sqlite:///{tmp_path / 'test.db'}")
    add_partner(store)
    ring: Any = SimpleNamespace(
        detecting=lambda: ()
    )  # the marks have tests of their own, and a search takes long
    yield Matcher(store, Finder(store), onlooker(ring, sandbox.Cage(seconds=60)))
    store.close()


def filmed(path: Path, seed: int) -> Path:
    ground = np.random.default_rng(seed).integers(0, 256, (9, 24, 3), np.uint8)
    wide = cv2.resize(ground, (640, 180), interpolation=cv2.INTER_CUBIC)
    with Delivery(path, width=320, height=180, fps=Fraction(8)) as out:
        for index in range(24):
            out.frame(np.ascontiguousarray(wide[:, 8 * index : 8 * index + 320]))
    return path


def released(matcher: Matcher, clip: Path, label: str) -> None:
    seen = video.decode(bytes.fromhex(perceive(clip, ()).video_print)).stored()
    with matcher.store.session() as session:
        job = Job(
            id=label,
            partner="acme",
            kind="generation",
            prompt="x",
            ask={},
            state=State.RELEASED,
            payload=label,
            created_ms=1,
            updated_ms=1,
        )
        session.add(job)
        session.flush()
        session.add(Manifest(label=label, job=job.id, store=b"s", at_ms=1))
        credentials.keep_prints(session, job.id, {video.ALG: video.encode(seen)})
        session.commit()


def test_a_silent_clip_is_found_by_its_picture_and_a_stranger_is_not(
    matcher: Matcher, tmp_path: Path
) -> None:
    clips = [filmed(tmp_path / f"{seed}.mp4", seed) for seed in (1, 2, 3)]
    for clip in clips[:2]:
        released(matcher, clip, clip.stem)
    found = [[one.label for one in matcher.by_content(clip, 10)] for clip in clips]
    assert found == [["1"], ["2"], []]


def test_what_a_child_cannot_read_is_told(matcher: Matcher, tmp_path: Path) -> None:
    junk, broken = tmp_path / "junk", tmp_path / "broken"
    junk.write_bytes(b"no media at all" * 100)
    broken.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 8)
    with pytest.raises(UnknownType):
        matcher.by_content(junk, 10)
    with pytest.raises(BadQuery):
        matcher.by_content(broken, 10)


def test_a_child_that_answers_nonsense_is_not_believed(
    matcher: Matcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching.sandbox, "run", lambda *_args, **_more: {"media": "perhaps"})
    with pytest.raises(BadMedia):
        matcher.by_content(filmed(tmp_path / "1.mp4", 1), 10)
