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

from core.errors import KeyMissing, ModelMissing, NotFound, TimedOut
from core.finding import Screening
from core.media.clip import Clip
from core.state import State
from core.tables import Job
from pipeline import people
from pipeline.intake import Ask, submit
from pipeline.run import advance
from pipeline.screening import ChildDetector, child_pool
from pipeline.shelf import Shelf
from safety.gallery import Enrolment
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


class Missing(Blank):
    @classmethod
    def load(cls, models_dir: Path, tier: str) -> Blank:
        raise ModelMissing("yunet is missing at var/models")


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


def test_the_child_reads_the_gallery_itself_and_keeps_it(
    tmp_path: Path, clock: ManualClock, pool: ProcessPool
) -> None:
    tools = make_tools(tmp_path, clock)
    key_file = tmp_path / "vault"
    key_file.write_bytes(b"k" * 32)
    settings = tools.settings
    shelf = Shelf(settings.database, settings.keys_database, key_file, "likeness", "embedded")
    target = f"{__name__}:Naming"
    detector = ChildDetector("likeness", "embedded", target, tmp_path, pool, 60, shelf)

    def enrolled(name: str) -> str:
        made = Enrolment(np.ones((1, 4), np.float32), (), ())
        with tools.store.session() as session:
            who = people.add_identity(session, name, [], clock).id
            people.enrol(session, tools.vault, who, "likeness", "embedded", made, actor="system", clock=clock)
            session.commit()
        return who

    ada = enrolled("Ada Frost")
    first, again = (detector.look(CLIP).result().notes for _ in range(2))
    assert first == again == (first[0], ada)
    bo = enrolled("Bo Lind")
    assert set(detector.look(CLIP).result().notes[1:]) == {ada, bo}
    assert detector.look(CLIP, only=bo).result().notes[1:] == (bo,)
    with pytest.raises(NotFound, match="No likeness"):
        detector.look(CLIP, only="person_none").result()
    # The control: a shelf whose key is another one gives nobody, and an error.
    key_file.with_name("other").write_bytes(b"x" * 32)
    wrong = replace(detector, shelf=replace(shelf, key_file=key_file.with_name("other")))
    with pytest.raises(KeyMissing):
        wrong.look(CLIP).result()
