from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from audits.preemptive import erasure
from audits.preemptive.suites import run
from core.blobs import LocalBlobs
from core.clock import SystemClock
from core.store import open_store
from core.tables import Partner
from core.vault import Vault
from tests.conftest import listening


def test_a_sample_of_subjects_is_erased_to_the_last_byte_and_the_controls_find_them() -> None:
    result = run("erasure", quick=True)
    assert result.passed, result.markdown()
    rows = {row["case"]: (row["hits"], row["trials"]) for row in result.rows}
    assert rows["control: words on the disk before"] == (20, 20)
    assert rows["words on the disk after"] == rows["subjects a key still opens"] == (0, 20)
    assert rows["control: keys kept, subjects opened"] == rows["control: columns and files kept"] == (10, 10)


@pytest.mark.parametrize(
    ("part", "broken", "case"),
    [
        ("core.vault.Vault.destroy", lambda *_: True, "subjects a key still opens"),
        ("core.store.Store.scrub", lambda *_: True, "words on the disk after"),
        ("core.blobs.LocalBlobs.remove", lambda *_: None, "words on the disk after"),
    ],
)
def test_the_suite_fails_when_a_part_of_the_erasure_is_broken(
    part: str, broken: Any, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, broken)
    monkeypatch.setattr(erasure, "_controls", lambda *_: ())
    failed = [row["case"] for row in run("erasure", quick=True).rows if not row["passed"]]
    assert case in failed


@pytest.mark.services
def test_no_row_of_postgresql_holds_a_word_of_an_erased_subject(tmp_path: Path) -> None:
    if not listening(5432):
        pytest.skip("no PostgreSQL on localhost")
    admin = sa.create_engine("postgresql+psycopg://root@127.0.0.1/test")
    with admin.begin() as connection:
        connection.execute(sa.text('DROP SCHEMA IF EXISTS "erasure" CASCADE'))
        connection.execute(sa.text('CREATE SCHEMA "erasure"'))
    url = "postgresql+psycopg://root@127.0.0.1/test?options=-csearch_path%3Derasure"
    store, vault = open_store(url), Vault(b"k" * 32, url)
    house = erasure._House(
        tmp_path, store, vault, LocalBlobs(tmp_path / "blobs"), SystemClock(), random.Random(0)
    )
    with store.session() as session:
        session.add(Partner(id=erasure._PARTNER, name="suite", created_ms=0))
        session.commit()
    erasure._fill(house, 10)
    assert len(words_in(admin)) == len(erasure._found_open(house)) == 10, "the control"
    erasure._erase_all(house)
    assert words_in(admin) == erasure._found_open(house) == set()
    vault.close()
    store.close()
    with admin.begin() as connection:
        connection.execute(sa.text('DROP SCHEMA "erasure" CASCADE'))
    admin.dispose()


def words_in(admin: sa.Engine) -> set[int]:
    """Find the subjects whose word stands in any row of any table, in text or in bytes."""
    found: set[int] = set()
    with admin.connect() as connection:
        for table in sa.inspect(admin).get_table_names("erasure"):
            for row in connection.execute(sa.text(f'SELECT * FROM erasure."{table}"')):
                found |= {int(match[1]) for match in erasure._WORD.finditer(repr(tuple(row)).encode())}
    return found
