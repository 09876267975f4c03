from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import select

from audits.preemptive import scenes
from core.media.probe import probe
from core.media.write import Delivery
from core.state import State
from core.tables import Fingerprint, Job
from pipeline.finder import Finder
from pipeline.reprint import reprint
from pipeline.tools import Tools
from provenance.fingerprint import audio, video
from provenance.mark import prints_of
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    add_partner(made.store)
    return made


def released(tools: Tools, path: Path, job_id: str, state: State = State.RELEASED) -> None:
    with tools.store.session() as session:
        name = tools.blobs.publish(tools.blobs.put("private", f"{job_id}.mp4", path), f"clips/{job_id}.mp4")
        session.add(
            Job(
                id=job_id,
                partner="acme",
                kind="generation",
                prompt="x",
                ask={},
                state=state,
                payload=f"{ord(job_id):016x}",
                public=name,
                created_ms=1,
                updated_ms=1,
                released_ms=1,
            )
        )
        session.commit()


def film(path: Path, seed: int) -> Path:
    with Delivery(path, width=96, height=64, fps=scenes.FPS, rate=scenes.RATE, channels=1) as out:
        out.sound(scenes.tune(seed, 5.0))
        for rgb in scenes.pictures(seed, 5.0):
            out.frame(rgb[:64, :96].copy())
    return path


def test_released_clips_without_fingerprints_get_them_once(tools: Tools, tmp_path: Path) -> None:
    released(tools, film(tmp_path / "a.mp4", 1), "a")
    released(tools, film(tmp_path / "b.mp4", 2), "b", State.WITHDRAWN)
    (tmp_path / "c.mp4").write_bytes(b"\0\0\0\x08ftyp")
    released(tools, tmp_path / "c.mp4", "c")
    done = {one.job: one for one in reprint(tools)}
    assert set(done) == {"a", "c"}
    assert done["a"].algs == (audio.ALG, video.ALG)
    assert done["c"].problem
    with tools.store.reading() as session:
        rows = session.exec(select(Fingerprint)).all()
    assert {(row.job, row.alg) for row in rows} == {("a", audio.ALG), ("a", video.ALG)}
    assert [one.job for one in reprint(tools)] == ["c"]


def test_the_fingerprints_are_those_of_marking(tools: Tools, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 1)
    kept = prints_of(probe(path))
    assert set(kept) == {audio.ALG, video.ALG}
    assert video.decode(kept[video.ALG]).words.shape[:2] == (1, 10)
    assert Finder(tools.store).pictures(video.decode(kept[video.ALG]), 5) == []
