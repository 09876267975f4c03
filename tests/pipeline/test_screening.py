"""A detector that raises, hangs, dies or is missing holds the clip and says why."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pebble import ProcessPool
from sqlmodel import select

from audits.erasure import erase_person, finish
from core.errors import KeyMissing, ModelMissing, NotFound, TimedOut
from core.finding import Screening
from core.media.clip import Clip
from core.state import State
from core.tables import Job
from pipeline import people
from pipeline import shelf as shelves
from pipeline.intake import Ask, submit
from pipeline.run import advance
from pipeline.screening import ChildDetector, child_pool
from pipeline.shelf import Shelf
from pipeline.tools import Tools
from safety.gallery import Enrolment, Template
from tests.conftest import ManualClock
from tests.doubles import Eyes, add_partner, make_tools

SECONDS = 20.0
CLIP = Clip(path=Path("clip.mkv"), container="matroska", video=None, audio=None)


class Blank:
    """Sees nothing, as it should."""

    @classmethod
    def load(cls, models_dir: Path, tier: str) -> Blank:
        return cls()

    def screen(self, clip: Any, gallery: Any) -> Screening:
        return Screening(detector="likeness", tier="embedded", models=())


class Raising(Blank):
    def screen(self, clip: Any, gallery: Any) -> Screening:
        raise ZeroDivisionError("the net is wrong")


class Hanging(Blank):
    def screen(self, clip: Any, gallery: Any) -> Screening:
        time.sleep(600)
        raise AssertionError

    def enrol(self, references: Any) -> Any:
        time.sleep(600)


class Dying(Blank):
    def screen(self, clip: Any, gallery: Any) -> Screening:
        os.abort()


class Naming(Blank):
    """Says whom it was to look for."""

    def screen(self, clip: Any, gallery: Any) -> Screening:
        names = sorted(template.identity for template in gallery)
        return Screening(detector="likeness", tier="embedded", models=(), notes=(str(id(gallery)), *names))

    def compare(self, template: Template, recording: Path) -> str:
        return template.identity


class Missing(Blank):
    @classmethod
    def load(cls, models_dir: Path, tier: str) -> Blank:
        raise ModelMissing("yunet is missing at var/models")


def _hurried() -> None:
    shelves.FOLLOW_SECONDS = 0.1


def _in_memory(shelf: Shelf) -> list[str]:
    """Say whom a child process has in its memory, without asking it to look."""
    return sorted(template.identity for template in shelves._kept(shelf)._gallery)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    with child_pool() as made:
        yield made
        made.stop()


def screened_with(tmp_path: Path, clock: ManualClock, detector: Any) -> tuple[Job, dict[str, Any]]:
    tools = make_tools(tmp_path, clock, detectors=(detector, Eyes("voice")))
    tools = replace(tools, settings=tools.settings.model_copy(update={"screen_seconds": SECONDS}))
    add_partner(tools.store)
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()
    for _ in range(3):
        advance(tools, "w", job.id)
    with tools.store.reading() as session:
        from pipeline.receipt import explanation

        found = session.exec(select(Job)).one()
        told = explanation(session, found, "caller")
    tools.store.close()
    return found, told


@pytest.mark.parametrize(
    ("kind", "status", "why"),
    [
        ("Raising", "failed", "the net is wrong"),
        ("Hanging", "timed_out", "did not answer within 20 s"),
        ("Dying", "failed", "process ended"),
        ("Missing", "missing", "yunet is missing"),
        ("NoSuchClass", "failed", "NoSuchClass"),
    ],
)
def test_a_broken_detector_holds(
    tmp_path: Path, clock: ManualClock, pool: ProcessPool, kind: str, status: str, why: str
) -> None:
    detector = ChildDetector("likeness", "embedded", f"{__name__}:{kind}", tmp_path, pool, SECONDS)
    job, told = screened_with(tmp_path, clock, detector)
    assert (job.state, job.held_at) == (State.HELD, "screen")
    text = str(told["decisions"][-1])
    assert status in text
    assert why in text


def test_the_same_detector_unbroken_clears(tmp_path: Path, clock: ManualClock, pool: ProcessPool) -> None:
    """The control."""
    detector = ChildDetector("likeness", "embedded", f"{__name__}:Blank", tmp_path, pool, 60)
    job, _ = screened_with(tmp_path, clock, detector)
    assert job.state == State.CLEARED


def test_no_detector_at_all_holds_whatever_the_pack_says(tmp_path: Path, clock: ManualClock) -> None:
    tools = make_tools(tmp_path, clock, detectors=())
    add_partner(tools.store)
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()
    for _ in range(3):
        advance(tools, "w", job.id)
    with tools.store.reading() as session:
        assert session.get_one(Job, job.id).state == State.HELD
    tools.store.close()


def test_an_enrolment_that_hangs_is_ended(tmp_path: Path, pool: ProcessPool) -> None:
    detector = ChildDetector("likeness", "embedded", f"{__name__}:Hanging", tmp_path, pool, 3)
    with pytest.raises(TimedOut):
        detector.enrol([tmp_path / "x.png"])


def with_shelf(tools: Tools, folder: Path, pool: ProcessPool) -> ChildDetector:
    key_file = folder / "vault"
    key_file.write_bytes(b"k" * 32)
    settings = tools.settings
    shelf = Shelf(settings.database, settings.keys_database, key_file, "likeness", "embedded")
    return ChildDetector("likeness", "embedded", f"{__name__}:Naming", folder, pool, 60, shelf)


def enrolled(tools: Tools, name: str) -> str:
    made = Enrolment(np.ones((1, 4), np.float32), (), ())
    with tools.store.session() as session:
        who = people.add_identity(session, name, [], tools.clock).id
        people.enrol(
            session, tools.vault, who, "likeness", "embedded", made, actor="system", clock=tools.clock
        )
        session.commit()
    return who


def test_the_child_reads_the_gallery_itself_and_keeps_it(
    tmp_path: Path, clock: ManualClock, pool: ProcessPool
) -> None:
    tools = make_tools(tmp_path, clock)
    detector = with_shelf(tools, tmp_path, pool)
    ada = enrolled(tools, "Ada Frost")
    first, again = (detector.look(CLIP).result().notes for _ in range(2))
    assert first == again == (first[0], ada)
    bo = enrolled(tools, "Bo Lind")
    assert set(detector.look(CLIP).result().notes[1:]) == {ada, bo}
    assert detector.compare(tmp_path / "x.wav", bo).result() == bo
    with pytest.raises(NotFound, match="No likeness"):
        detector.compare(tmp_path / "x.wav", "person_none").result()
    # The control: a shelf whose key is another one gives nobody, and an error.
    (tmp_path / "other").write_bytes(b"x" * 32)
    assert detector.shelf is not None
    wrong = replace(detector, shelf=replace(detector.shelf, key_file=tmp_path / "other"))
    with pytest.raises(KeyMissing):
        wrong.look(CLIP).result()


def test_a_child_that_waits_for_work_forgets_the_erased(
    tmp_path: Path, clock: ManualClock, pool: ProcessPool
) -> None:
    tools = make_tools(tmp_path, clock)
    detector = with_shelf(tools, tmp_path, pool)
    assert detector.shelf is not None
    pool.schedule(_hurried).result()
    ada, bo = enrolled(tools, "Ada Frost"), enrolled(tools, "Bo Lind")
    assert set(detector.look(CLIP).result().notes[1:]) == {ada, bo}
    assert set(pool.schedule(_in_memory, args=(detector.shelf,)).result()) == {ada, bo}, "the control"
    with tools.store.session() as session:
        erase_person(session, ada, actor="operator", clock=clock)
        session.commit()
    finish(tools)
    for _ in range(100):
        if pool.schedule(_in_memory, args=(detector.shelf,)).result() == [bo]:
            break
        time.sleep(0.1)
    assert pool.schedule(_in_memory, args=(detector.shelf,)).result() == [bo]
