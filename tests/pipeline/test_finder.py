from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from core.state import State
from core.store import Store, open_store
from core.tables import Fingerprint, Job
from pipeline import credentials
from pipeline.finder import Finder
from provenance.fingerprint import audio, video
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from tests.doubles import add_partner


def picture(seed: int) -> VideoPrint:
    words = np.random.default_rng(seed).integers(0, 2**64, (1, 12, 4), dtype=np.uint64)
    return VideoPrint(np.arange(12, dtype=np.float32) / 2, words, np.full(12, 90, np.uint8))


def sound(seed: int) -> AudioPrint:
    return AudioPrint(np.random.default_rng(seed).integers(0, 2**32, 60, dtype=np.uint32))


@dataclass
class Shelf:
    store: Store

    def put(self, seed: int, state: State = State.RELEASED) -> str:
        job = Job(
            id=f"j{seed}",
            partner="acme",
            kind="generation",
            prompt="x",
            ask={},
            state=state,
            payload=f"{seed:016x}",
            created_ms=1,
            updated_ms=1,
        )
        with self.store.session() as session:
            session.add(job)
            session.flush()
            credentials.bind(session, job, f"label {seed}", b"s", at_ms=1)
            prints = {video.ALG: video.encode(picture(seed)), audio.ALG: audio.encode(sound(seed))}
            credentials.keep_prints(session, job.id, prints)
            session.commit()
        return job.id


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    store = open_store(f"sqlite:///{tmp_path / 'test.db'}")
    add_partner(store)
    yield Shelf(store)
    store.close()


def test_a_clip_is_found_by_either_track_as_soon_as_it_is_there(shelf: Shelf) -> None:
    finder = Finder(shelf.store)
    assert finder.pictures(picture(1), 5) == []
    for seed in range(1, 30):
        shelf.put(seed)
        (seen,), (heard,) = finder.pictures(picture(seed), 5), finder.sounds(sound(seed), 5)
        assert (
            seen.credential == heard.credential == credentials.Credential(f"j{seed}", f"label {seed}", False)
        )
        assert (seen.match.score, heard.match.score) == (1.0, 1.0)
    assert finder.pictures(picture(99), 5) == finder.sounds(sound(99), 5) == []


def test_a_process_that_lost_everything_finds_as_much(shelf: Shelf) -> None:
    for seed in range(1, 9):
        shelf.put(seed)
    assert [len(Finder(shelf.store).pictures(picture(seed), 5)) for seed in range(1, 10)] == [1] * 8 + [0]


def test_only_what_was_released_is_found(shelf: Shelf) -> None:
    finder = Finder(shelf.store)
    for seed, state in enumerate(State):
        shelf.put(seed, state)
        public = state in credentials.PUBLIC
        assert len(finder.pictures(picture(seed), 5)) == len(finder.sounds(sound(seed), 5)) == int(public)


def test_a_row_that_was_committed_late_is_not_missed(shelf: Shelf) -> None:
    """On PostgreSQL a transaction with a lower number may become visible after one with a higher."""
    finder = Finder(shelf.store)
    shelf.put(1)
    shelf.put(2)
    with shelf.store.session() as session:
        first = session.get_one(Fingerprint, 1)
        late = Fingerprint(id=first.id, job=first.job, alg=first.alg, data=first.data)
        session.delete(first)
        session.commit()
    assert finder.pictures(picture(1), 5) == []
    assert len(finder.pictures(picture(2), 5)) == 1
    with shelf.store.session() as session:
        session.add(late)
        session.commit()
    assert len(finder.pictures(picture(1), 5)) == 1


def test_a_print_that_cannot_be_read_hides_no_other(shelf: Shelf) -> None:
    shelf.put(1)
    with shelf.store.session() as session:
        session.get_one(Fingerprint, 1).data = b"junk"
        session.commit()
    shelf.put(2)
    finder = Finder(shelf.store)
    assert (len(finder.pictures(picture(1), 5)), len(finder.pictures(picture(2), 5))) == (0, 1)


def test_marking_again_replaces_what_is_found(shelf: Shelf) -> None:
    finder = Finder(shelf.store)
    job = shelf.put(1)
    assert len(finder.pictures(picture(1), 5)) == 1
    with shelf.store.session() as session:
        credentials.keep_prints(session, job, {video.ALG: video.encode(picture(7))})
        session.commit()
    assert (finder.pictures(picture(1), 5), len(finder.pictures(picture(7), 5))) == ([], 1)
