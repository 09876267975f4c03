from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from audits.log import mirror as module
from audits.log.check import check
from audits.log.mirror import mirror
from core.errors import LogCorrupt
from tests.audits.conftest import Log, make_log


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_copy_is_a_whole_log_and_nothing_in_it_changes(log: Log, tmp_path: Path) -> None:
    target = tmp_path / "mirror"
    before: dict[str, bytes] = {}
    size = 0
    for count in (0, 3, 250, 40, 600):
        log.happen(count)
        log.integrate()
        size += count
        assert mirror(log.folder, target, log.policy) == size
        report = check(target, log.policy)
        assert (report.problems, report.size) == ((), size)
        now = files(target)
        kept = {name: data for name, data in before.items() if name != "checkpoint"}
        assert kept.items() <= now.items()
        assert f"checkpoints/{size}" in now
        before = now
    assert mirror(log.folder, target, log.policy) == size
    assert files(target) == before


def test_a_copy_that_was_interrupted_goes_on(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mirror"
    log.happen(3)
    log.integrate()
    mirror(log.folder, target, log.policy)
    log.happen(900)
    log.integrate()
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    put, calls = module.put, 0

    def dying(*some: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyError
        put(*some)

    with monkeypatch.context() as patch:
        patch.setattr(module, "put", dying)
        with pytest.raises(KeyError):
            mirror(log.folder, target, log.policy)
    assert check(target, log.policy).size == 3
    assert mirror(log.folder, target, log.policy) == 903
    assert check(target, log.policy).ok


def test_a_log_that_does_not_continue_the_copy_is_refused(log: Log, tmp_path: Path, clock: Any) -> None:
    target = tmp_path / "mirror"
    other = make_log(tmp_path / "other", clock)
    shutil.copytree(tmp_path / "keys", tmp_path / "other" / "keys", dirs_exist_ok=True)
    other = make_log(tmp_path / "other", clock)
    log.happen(5)
    log.integrate()
    mirror(log.folder, target, log.policy)
    for count in (4, 3):
        other.happen(count, actor="another")
        other.integrate()
        with pytest.raises(LogCorrupt, match="does not continue the copy of 5"):
            mirror(other.folder, target, log.policy)
    assert check(target, log.policy).size == 5
    other.store.close()


def test_a_changed_file_in_the_copy_is_not_overwritten(log: Log, tmp_path: Path) -> None:
    target = tmp_path / "mirror"
    log.happen(5)
    log.integrate()
    mirror(log.folder, target, log.policy)
    (target / "tile" / "0" / "000.p" / "7").write_bytes(b"x")
    log.happen(2)
    log.integrate()
    with pytest.raises(LogCorrupt, match="not what was published"):
        mirror(log.folder, target, log.policy)
    assert (target / "tile" / "0" / "000.p" / "7").read_bytes() == b"x"
