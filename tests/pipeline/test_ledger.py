from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from audits.log.check import check
from audits.log.format import ML_DSA_44, read_checkpoint
from audits.log.signing import SigningKey
from core.errors import Unavailable
from core.settings import Settings
from core.store import Store, open_store
from core.tables import AuditEvent
from pipeline import sequencer
from pipeline.ledger import Ledger, open_ledger
from tests.pipeline.test_worker import eventually

FAR = SigningKey("far.test/w", b"\5" * 32, ML_DSA_44).vkey.render()


def opened(folder: Path, clock: Any, **settings: Any) -> Ledger:
    chosen = Settings(data_dir=folder / "data", _env_file=None, **settings)
    return open_ledger(chosen, open_store(chosen.database), clock)


def happen(ledger: Ledger) -> None:
    with ledger.store.session() as session:
        session.add(AuditEvent(at_ms=1, tag="clip:held", actor="system", leaf=b"{}"))
        session.commit()


def test_the_default_has_one_witness_with_its_own_key_and_database(tmp_path: Path, clock: Any) -> None:
    ledger = opened(tmp_path, clock, witness_dir=tmp_path / "elsewhere")
    happen(ledger)
    assert ledger.integrate() == 1
    assert read_checkpoint(ledger.folder, ledger.policy)[0].size == 1
    assert (ledger.policy.quorum, len(ledger.policy.witnesses)) == (1, 1)
    assert sorted(path.name for path in (tmp_path / "elsewhere").glob("[!.]*")) >= ["key", "witness.db"]
    assert not (tmp_path / "data" / "witness").exists()
    # Opened again it is the same witness with the same memory.
    again = opened(tmp_path, clock, witness_dir=tmp_path / "elsewhere")
    assert again.policy == ledger.policy
    seen = again.witness.latest(ledger.key.name)
    assert seen is not None
    assert seen.size == 1


def test_outside_witnesses_come_from_a_file(tmp_path: Path, clock: Any) -> None:
    names = tmp_path / "witnesses"
    names.write_text(f"# ours\nwitness far {FAR} https://far.test/w\n")
    ledger = opened(tmp_path, clock, witnesses=names, witness_quorum=2)
    assert [key.name for key in ledger.policy.witnesses] == ["greenlight.invalid/log/witness", "far.test/w"]
    assert ledger.policy.quorum == 2


@pytest.mark.parametrize(
    ("text", "quorum"),
    [
        ("", 2),
        (f"witness far {FAR}\n", 1),
        (f"witness far {FAR} https://a.test\nwitness near {FAR} https://b.test\n", 1),
        ("quorum none\n", 1),
        ("witness far garbage https://a.test\n", 1),
        (None, 1),
    ],
)
def test_witnesses_that_cannot_be_used_stop_the_start(
    tmp_path: Path, clock: Any, text: str | None, quorum: int
) -> None:
    names = tmp_path / "witnesses"
    if text is not None:
        names.write_text(text)
    with pytest.raises(Unavailable, match="witnesses of the log"):
        opened(tmp_path, clock, witnesses=names, witness_quorum=quorum)


def test_the_sequencer_goes_on_by_itself(tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "SECONDS", 0.02)
    monkeypatch.setattr(sequencer, "PATIENCE_SECONDS", 0.02)
    ledger = opened(tmp_path, clock)
    stop = threading.Event()
    thread = threading.Thread(target=sequencer.sequence, args=(ledger, stop))
    thread.start()

    def size() -> int:
        return read_checkpoint(ledger.folder, ledger.policy)[0].size

    try:
        eventually(lambda: (ledger.folder / "checkpoint").exists() and size() == 0)
        happen(ledger)
        eventually(lambda: size() == 1)
        whole = (ledger.folder / "checkpoint").read_bytes()
        (ledger.folder / "checkpoint").write_bytes(whole[:-4])
        happen(ledger)
        threading.Event().wait(0.1)
        assert (ledger.folder / "checkpoint").read_bytes() == whole[:-4]
        (ledger.folder / "checkpoint").write_bytes(whole)
        eventually(lambda: size() == 2)
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    assert check(ledger.folder, ledger.policy).ok


def test_the_sequencer_copies_what_it_published_and_a_copy_that_fails_holds_nothing_up(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "SECONDS", 0.02)
    monkeypatch.setattr(sequencer, "COPY_SECONDS", 0.02)
    copy = tmp_path / "copy"
    copy.write_text("in the way")
    ledger = opened(tmp_path, clock, log_mirror=copy)
    stop = threading.Event()
    thread = threading.Thread(target=sequencer.sequence, args=(ledger, stop))
    thread.start()
    try:
        happen(ledger)
        published = ledger.folder / "checkpoint"
        eventually(lambda: published.exists() and read_checkpoint(ledger.folder, ledger.policy)[0].size == 1)
        copy.unlink()
        eventually((copy / "checkpoint").exists)
    finally:
        stop.set()
        thread.join(10)
    assert check(copy, ledger.policy).size == 1


def test_two_sequencers_at_once_make_one_log(tmp_path: Path, clock: Any) -> None:
    ledger = opened(tmp_path, clock)
    other = Ledger(
        Store(ledger.store.url), ledger.folder, ledger.key, ledger.witness, ledger.quorum, ledger.clock
    )
    errors: list[Exception] = []

    def run(which: Ledger) -> None:
        try:
            for _ in range(8):
                happen(which)
                which.integrate()
        except Exception as error:  # noqa: BLE001 - the threads' errors are what the test is about
            errors.append(error)

    threads = [threading.Thread(target=run, args=(which,)) for which in (ledger, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    report = check(ledger.folder, ledger.policy)
    assert (report.ok, report.size) == (True, 16)
