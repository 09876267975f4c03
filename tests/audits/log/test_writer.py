from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from audits.log import format as fmt
from audits.log import horizon, tree, writer
from audits.log import publish as publishing
from audits.log.check import check
from audits.log.format import read_checkpoint
from audits.log.signing import LogKey
from core.errors import KeyMissing, LogCorrupt, Unavailable
from core.tables import AuditEvent, LogCheckpoint, LogEntry


class Crash(BaseException):
    """The process dies here."""


def size_of(log: Any) -> int:
    """Check the whole log from its public bytes and return its size."""
    report = check(log.folder, log.policy)
    assert report.problems == ()
    return report.size


def leaves_of(log: Any) -> list[bytes]:
    size = size_of(log)
    tiles = [tree.tile_at(size, 0, n) for n in range(-(-size // 256))]
    return [leaf for t in tiles for leaf in fmt.read_tile(log.folder, fmt.Tile(None, t.index, t.width))]


def events_of(log: Any) -> list[bytes]:
    with log.store.reading() as session:
        return list(session.exec(select(AuditEvent.leaf).order_by(col(AuditEvent.id))))


def test_an_empty_log_is_signed_too(log: Any) -> None:
    assert log.integrate() == 0
    assert size_of(log) == 0


def test_events_become_leaves_in_order(log: Any) -> None:
    for count in (1, 2, 252, 1, 1, 300, 1600):
        log.happen(count)
        assert log.integrate() == count
        assert leaves_of(log) == events_of(log)
    with log.store.reading() as session:
        assert writer.index_of(session, 1) == 0
        assert writer.index_of(session, 99_999) is None
    assert not list(log.folder.glob("tile/0/000.p"))


def test_a_batch_is_bounded_by_its_bytes_and_holds_one_event_at_least(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon, "BATCH_BYTES", 250)
    log.happen(7)
    assert log.integrate() == 7
    assert leaves_of(log) == events_of(log)
    with log.store.reading() as session:
        sizes = list(session.exec(select(LogCheckpoint.size).order_by(col(LogCheckpoint.size))))
    assert len(sizes) > 3
    monkeypatch.setattr(horizon, "BATCH_BYTES", 1)
    log.happen(2)
    assert log.integrate() == 2


def test_a_checkpoint_further_away_than_a_stride_is_reached(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "STRIDE", 10)
    for count in (3, 4, 300, 5):
        log.happen(count)
        log.integrate()
    shutil.rmtree(log.folder)
    log.integrate()
    assert leaves_of(log) == events_of(log)


def test_nothing_new_writes_nothing(log: Any) -> None:
    log.happen(3)
    log.integrate()
    before = {path: path.stat().st_mtime_ns for path in log.folder.rglob("*") if path.is_file()}
    assert log.integrate() == 0
    assert {path: path.stat().st_mtime_ns for path in log.folder.rglob("*") if path.is_file()} == before


def test_a_rolled_back_event_leaves_no_gap(log: Any) -> None:
    log.happen(2)
    with log.store.session() as session:
        session.add(AuditEvent(at_ms=1, tag="x", actor="system", leaf=b"{}"))
        session.flush()
        session.rollback()
    log.happen(2)
    assert log.integrate() == 4
    assert leaves_of(log) == events_of(log)


@pytest.mark.parametrize("nth", range(1, 8))
def test_a_crash_before_any_public_write_is_mended(
    log: Any, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    log.happen(250)
    log.integrate()
    log.happen(10)
    count, rename = 0, Path.rename

    def dying(draft: Path, path: Path) -> Path:
        nonlocal count
        count += 1
        if count == nth:
            raise Crash
        return rename(draft, path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying)
        try:
            log.integrate()
            crashed = False
        except Crash:
            crashed = True
    # Six files are written: two bundles, two tiles of level 0, one of level 1, the checkpoint.
    assert crashed == (nth <= 6)
    assert size_of(log) == (250 if crashed else 260)
    log.happen(1)
    assert log.integrate() == 1
    assert leaves_of(log) == events_of(log)


def test_a_crash_before_the_commit_leaves_nothing(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log.happen(3)
    log.integrate()
    log.happen(3)
    with monkeypatch.context() as patch:
        # The time of the checkpoint is taken when the entries are already inserted.
        patch.setattr(writer, "milliseconds", lambda _: (_ for _ in ()).throw(Crash()))
        with pytest.raises(Crash):
            log.integrate()
    with log.store.reading() as session:
        assert len(session.exec(select(LogEntry)).all()) == 3
    assert size_of(log) == 3
    assert log.integrate() == 3
    assert leaves_of(log) == events_of(log)


def test_integrators_and_writers_at_once(log: Any) -> None:
    def write() -> None:
        for _ in range(15):
            log.happen(3)

    def append() -> None:
        for _ in range(10):
            log.integrate()

    errors = run_all([write, write, append, append, append])
    assert errors == []
    log.integrate()
    assert size_of(log) == 90
    assert leaves_of(log) == events_of(log)


def run_all(jobs: list[Callable[[], None]]) -> list[Exception]:
    errors: list[Exception] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - the threads' errors are what the test is about
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_a_lost_folder_is_written_again(log: Any) -> None:
    for count in (5, 300, 1100):
        log.happen(count)
        log.integrate()
    before = read_checkpoint(log.folder, log.policy)[0]
    shutil.rmtree(log.folder)
    log.integrate()
    assert read_checkpoint(log.folder, log.policy)[0] == before
    assert leaves_of(log) == events_of(log)


def test_an_altered_public_file_is_never_extended_or_overwritten(log: Any) -> None:
    log.happen(300)
    log.integrate()
    path = log.folder / "tile" / "0" / "001.p" / "44"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    log.happen(1)
    with pytest.raises(LogCorrupt, match="do not lead"):
        log.integrate()
    assert path.read_bytes() == data
    with log.store.reading() as session:
        assert len(session.exec(select(LogEntry)).all()) == 300


def test_a_stranger_in_the_way_is_not_overwritten(log: Any) -> None:
    log.happen(3)
    path = log.folder / "tile" / "0" / "000.p" / "3"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(96))
    with pytest.raises(LogCorrupt, match=r"tile/0/000\.p/3"):
        log.integrate()
    assert path.read_bytes() == bytes(96)


def test_an_older_database_is_refused(log: Any) -> None:
    log.happen(3)
    log.integrate()
    with log.store.session() as session:
        session.execute(sa.delete(LogCheckpoint))
        session.execute(sa.delete(LogEntry))
        session.commit()
    with pytest.raises(LogCorrupt, match="not in this database"):
        log.integrate()


def test_an_altered_event_row_is_not_published(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log.happen(3)
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "_put_batch", lambda *_: (_ for _ in ()).throw(Crash()))
        with pytest.raises(Crash):
            log.integrate()
    with log.store.session() as session:
        session.execute(sa.update(AuditEvent).where(col(AuditEvent.id) == 2).values(leaf=b"forged"))
        session.commit()
    with pytest.raises(LogCorrupt, match="do not lead"):
        log.integrate()


def test_the_key_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "log"
    keys: list[LogKey] = []
    errors = run_all([lambda: keys.append(writer.log_key(path, "a.test/log"))] * 4)
    assert errors == []
    assert len({(key.classical.seed, key.post_quantum.seed) for key in keys}) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys[0].classical.seed.hex() not in repr(keys[0].classical)
    assert repr(keys[0].classical.seed) not in repr(keys[0])
    with pytest.raises(KeyMissing, match="not for"):
        writer.log_key(path, "b.test/log")
    path.write_text("garbage")
    with pytest.raises(KeyMissing):
        writer.log_key(path, "a.test/log")


def test_a_full_disk_holds_the_log_back_and_leaves_no_litter(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.happen(3)
    log.integrate()
    log.happen(3)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            log.integrate()
    assert size_of(log) == 3
    assert not [path for path in log.folder.rglob(".*") if path.name != ".lock"]
    log.integrate()
    assert leaves_of(log) == events_of(log)
