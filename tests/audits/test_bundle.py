from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from audits.bundle import verify_bundle, write_bundle
from audits.log.signing import SigningKey
from core.errors import BadInput, LogCorrupt, NotFound


@pytest.fixture
def path(log: Any, tmp_path: Path) -> Path:
    log.happen(2)
    log.happen(300, job="clip_1", rule="<b>rule</b>")
    log.integrate()
    into = tmp_path / "evidence.zip"
    with log.store.reading() as session:
        papers = {"receipt.json": b"{}"}
        assert write_bundle(session, log.folder, log.key.vkey, "clip_1", into, papers=papers) == 300
    return into


def test_a_bundle_verifies_elsewhere(log: Any, path: Path) -> None:
    assert verify_bundle(path, log.key.vkey) == 300
    with pytest.raises(LogCorrupt):
        verify_bundle(path, SigningKey(log.key.name, b"\x05" * 32).vkey)


def test_a_person_can_read_it(log: Any, path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        page = archive.read("index.html").decode()
        assert archive.read("papers/receipt.json") == b"{}"
        assert archive.read("checkpoint") == (log.folder / "checkpoint").read_bytes()
    assert "&lt;b&gt;rule" in page
    assert "<b>rule" not in page
    assert log.key.vkey.render() in page


def test_the_same_evidence_is_the_same_file(log: Any, path: Path, tmp_path: Path) -> None:
    with log.store.reading() as session:
        write_bundle(
            session,
            log.folder,
            log.key.vkey,
            "clip_1",
            tmp_path / "again.zip",
            papers={"receipt.json": b"{}"},
        )
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["leaf", "proof", "name", "none"])
def test_a_changed_bundle_is_refused(log: Any, path: Path, tmp_path: Path, kind: str) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    if kind == "leaf":
        files["events/000000007.json"] += b" "
    elif kind == "proof":
        files["proofs/000000007.tlog-proof"] = files["proofs/000000008.tlog-proof"]
    elif kind == "name":
        files["events/../7.json"] = b"{}"
    else:
        files = {name: data for name, data in files.items() if not name.startswith("events/")}
    with zipfile.ZipFile(tmp_path / "changed.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(LogCorrupt):
        verify_bundle(tmp_path / "changed.zip", log.key.vkey)


def test_nothing_to_show_and_bad_names(log: Any, path: Path, tmp_path: Path) -> None:
    with log.store.reading() as session:
        with pytest.raises(NotFound):
            write_bundle(session, log.folder, log.key.vkey, "clip_2", tmp_path / "no.zip", papers={})
        with pytest.raises(BadInput):
            write_bundle(
                session, log.folder, log.key.vkey, "clip_1", tmp_path / "no.zip", papers={"../x.json": b""}
            )
    assert not (tmp_path / "no.zip").exists()
    (tmp_path / "no.zip").write_bytes(b"not a zip")
    with pytest.raises(LogCorrupt):
        verify_bundle(tmp_path / "no.zip", log.key.vkey)
