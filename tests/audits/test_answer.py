"""An answer that leaves something out is caught by anybody who holds the public log and its key."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from audits.answer import check_answer
from audits.filters import EVERYTHING, Filter, make_filter
from audits.index import catch_up, term_name
from audits.log.signing import LogKey
from audits.queries import Page
from audits.terms import Field
from core.errors import LogCorrupt
from core.tables import AuditPosting
from tests.audits.conftest import make_log
from tests.audits.searched import first_leaves, indexes, put, search, some_leaf
from tests.conftest import ManualClock

HELD = make_filter({"tag": ["clip:held"]})
EU = make_filter({"territory": ["EU"]})


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A log of 900 entries: three full bundles and a partial one."""
    log = make_log(tmp_path_factory.mktemp("log"), ManualClock())
    rng = random.Random(7)
    put(log, *first_leaves(), *(some_leaf(rng) for _ in range(888)))
    log.integrate()
    catch_up(log.store)
    yield log
    log.store.close()


def check(log: Any, page: Page, wanted: Filter, within: Filter = EVERYTHING) -> int:
    return check_answer(log.folder, log.key.vkey, page, wanted, within=within).size


@pytest.mark.parametrize(
    ("wanted", "within", "after", "limit"),
    [
        (HELD, EVERYTHING, 0, 1000),
        (HELD, EVERYTHING, 0, 10),
        (HELD, EVERYTHING, 300, 50),
        (HELD, EVERYTHING, 512, 1000),
        (HELD, EU, 200, 1000),
        (EU, HELD, 850, 7),
        (EVERYTHING, EVERYTHING, 0, 1000),
        (HELD, EVERYTHING, 900, 10),
        (make_filter({"partner": ["nobody"]}), EVERYTHING, 0, 10),
        (Filter(since_ms=1_020_000, until_ms=1_040_000), HELD, 100, 1000),
    ],
)
def test_an_honest_answer_holds(filled: Any, wanted: Filter, within: Filter, after: int, limit: int) -> None:
    page = search(filled, wanted, within=within, after=after, limit=limit)
    assert check(filled, page, wanted, within) == 900


def test_a_row_hidden_from_the_index_is_missed(log: Any) -> None:
    rng = random.Random(7)
    put(log, *(some_leaf(rng) for _ in range(300)))
    log.integrate()
    catch_up(log.store)
    whole = search(log, HELD, limit=1000)
    check(log, whole, HELD)
    hidden = indexes(whole)[3]
    with log.store.session() as session:
        name = term_name((Field.TAG, "clip:held"))
        session.execute(sa.delete(AuditPosting).filter_by(term=name, index=hidden))
        session.commit()
    page = search(log, HELD, limit=1000)
    # The control: nothing in the answer itself betrays it, and each of its entries can be proven.
    assert set(indexes(whole)) - set(indexes(page)) == {hidden}
    with pytest.raises(LogCorrupt, match=rf"leaves out 1 entries that match: {hidden}$"):
        check(log, page, HELD)


def test_what_was_altered_in_an_answer_is_told(filled: Any) -> None:
    page = search(filled, HELD, limit=20)
    first, *rest = page.entries
    other = next(e for e in search(filled, limit=20).entries if e.tag != "clip:held")
    wrong = {
        "leaves out 1 entries": replace(page, entries=tuple(rest)),
        "is not what the log says": replace(
            page, entries=(replace(first, leaf=first.leaf.replace(b"clip_", b"clop_")), *rest)
        ),
        "1 entries of the answer do not match": replace(page, entries=(other, *page.entries)),
        "of a log of 900": replace(page, end=901),
        "leaves out": replace(page, end=900),
        "speaks of the entries": replace(page, start=10, end=5),
    }
    for told, answer in wrong.items():
        with pytest.raises(LogCorrupt, match=told):
            check(filled, answer, HELD)
    check(filled, page, HELD)


def test_a_narrower_question_is_not_answered_by_a_wider_one(filled: Any) -> None:
    page = search(filled, HELD, limit=1000)
    with pytest.raises(LogCorrupt, match="do not match"):
        check(filled, page, HELD, EU)
    with pytest.raises(LogCorrupt, match="leaves out"):
        check(filled, search(filled, HELD, within=EU, limit=1000), HELD)


@pytest.mark.parametrize(
    "name", ["tile/entries/001", "tile/entries/003.p/132", "tile/1/000.p/3", "tile/0/000"]
)
def test_public_bytes_that_were_changed_are_noticed(filled: Any, name: str) -> None:
    page = search(filled, HELD, after=256, limit=1000)
    path = filled.folder / name
    kept = path.read_bytes()
    changed = (
        re.sub(rb"clip:held", b"clip:hold", kept, count=1)
        if "entries" in name
        else bytes([kept[0] ^ 1]) + kept[1:]
    )
    path.write_bytes(changed)
    try:
        if name == "tile/0/000":
            # The control: nothing on the way from the range to the root goes through this tile.
            check(filled, page, HELD)
        else:
            with pytest.raises(LogCorrupt):
                check(filled, page, HELD)
    finally:
        path.write_bytes(kept)


def test_another_key_is_not_believed(filled: Any, tmp_path: Any) -> None:
    stranger = make_log(tmp_path, ManualClock())
    page = search(filled, HELD)
    assert isinstance(stranger.key, LogKey)
    with pytest.raises(LogCorrupt):
        check_answer(filled.folder, stranger.key.vkey, page, HELD)
    stranger.store.close()
