from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from audits import index, queries
from audits.filters import EVERYTHING, Filter, make_filter
from audits.index import catch_up, indexed
from audits.queries import all_events, events
from audits.terms import Field
from core.errors import BadInput
from core.tables import AuditEvent, AuditPosting
from tests.audits.conftest import make_log
from tests.audits.searched import (
    CHECKPOINT,
    DECIDED,
    MODEL,
    PACK,
    first_leaves,
    indexes,
    plainly,
    put,
    search,
    some_leaf,
)
from tests.conftest import ManualClock


@pytest.fixture(scope="module", params=["indexed", "half", "not indexed"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A log of 400 entries, of which the index knows all, some or none; only for looking at."""
    log = make_log(tmp_path_factory.mktemp("log"), ManualClock())
    rng = random.Random(7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BLOCK", 64)
        put(log, *first_leaves(), *(some_leaf(rng) for _ in range(388)))
        log.integrate()
        catch_up(log.store, at_most={"indexed": 400, "half": 200, "not indexed": 0}[request.param])
        yield log
    log.store.close()


def leaves_of(log: Any) -> list[bytes]:
    with log.store.reading() as session:
        return list(session.exec(select(AuditEvent.leaf).order_by(AuditEvent.id)))


FILTERS: list[dict[str, Any]] = [
    {},
    {"partner": ["p_1"]},
    {"tag": ["clip:held"]},
    {"tag": ["clip:held", "clip:released"], "partner": ["p_0", "p_2"]},
    {"state": ["admitted"]},
    {"state": ["held"], "actor": ["worker:w"]},
    {"rule": ["hate"]},
    {"category": ["hate_speech"]},
    {"identity": ["person_1"]},
    {"reviewer": ["ann", "bob"]},
    {"reviewer": ["nobody"]},
    {"model": [MODEL]},
    {"policy": [PACK], "reviewer": ["ann"]},
    {"job": ["clip_3", "clip_4"]},
    {"job": ["clip_3"], "tag": ["clip:held"], "actor": ["system", "reviewer:ann"]},
    {"territory": ["EU"]},
    {"territory": ["US"], "tag": ["clip:held"]},
    {"since_ms": 1_050_000},
    {"until_ms": 1_020_000, "partner": ["p_1"]},
    {"since_ms": 1_020_000, "until_ms": 1_021_000},
    {"since_ms": 9_000_000},
]


def given_filter(said: dict[str, Any]) -> Filter:
    span = {name: said[name] for name in ("since_ms", "until_ms") if name in said}
    return Filter(values={Field(n): tuple(v) for n, v in said.items() if n not in span}, **span)


@pytest.mark.parametrize("said", FILTERS, ids=str)
def test_every_filter_finds_what_the_leaves_say(filled: Any, said: dict[str, Any]) -> None:
    wanted, within = given_filter(said), Filter(values={Field.PARTNER: ("p_1", "p_2")})
    leaves = leaves_of(filled)
    with filled.store.reading() as session:
        page = events(session, wanted, limit=1000)
        assert (page.start, page.end, page.after, page.size) == (0, 400, None, 400)
        assert indexes(page) == plainly(leaves, wanted)
        assert [entry.index for entry in all_events(session, wanted, within=within)] == plainly(
            leaves, wanted, within
        )


def test_the_filters_hit_something(filled: Any) -> None:
    """The control of the test above: only these two find nothing."""
    leaves = leaves_of(filled)
    empty = [said for said in FILTERS if plainly(leaves, given_filter(said)) == []]
    assert empty == [{"reviewer": ["nobody"]}, {"since_ms": 9_000_000}]


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_cover_the_log_without_overlap(
    filled: Any, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So little may be looked at for one page that many of them end before they are full.
    for name, value in (("SCAN", 8), ("_ROUNDS", 2), ("_AT_LEAST", 4), ("_UNINDEXED", 16)):
        monkeypatch.setattr(queries, name, value)
    wanted = make_filter({"tag": ["clip:held"], "partner": ["p_1"], "territory": ["EU"]})
    seen, at, after = [], 0, 0
    while after is not None:
        page = search(filled, wanted, after=after, limit=limit)
        assert page.start == at < page.end
        assert len(page.entries) <= limit
        assert all(page.start <= number < page.end for number in indexes(page))
        seen, at, after = seen + indexes(page), page.end, page.after
    assert at == 400
    assert seen == plainly(leaves_of(filled), wanted) != []


def test_the_range_is_what_has_been_signed(log: Any) -> None:
    put(log, {"tag": "clip:held"})
    assert search(log) == queries.Page((), 0, 0, None, 0, "")
    log.integrate()
    put(log, {"tag": "clip:held"})
    page = search(log)
    assert (indexes(page), page.end, page.size, page.after) == ([0], 1, 1, None)
    assert page.note.startswith("greenlight.test/log\n1\n")
    assert (search(log, after=5).start, search(log, after=5).end) == (1, 1)


def test_times_without_a_zone_are_utc_and_the_end_is_not_included(log: Any) -> None:
    start = log.clock.now()
    put(log, {"tag": "clip:held"})
    log.clock.advance(60)
    put(log, {"tag": "clip:held"})
    log.integrate()
    later = start + timedelta(seconds=60)
    assert indexes(search(log, make_filter({}, until=later))) == [0]
    assert indexes(search(log, make_filter({}, since=later))) == [1]
    assert indexes(search(log, make_filter({}, since=later.replace(tzinfo=None)))) == [1]


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 1001}, {"after": -1}])
def test_a_page_has_bounds(log: Any, bad: Any) -> None:
    with pytest.raises(BadInput):
        search(log, **bad)


def test_the_index_can_be_thrown_away_and_written_again(log: Any) -> None:
    put(log, *first_leaves(), {"tag": "policy:decided", "facts": DECIDED})
    put(log, {"tag": "clip:generated", "job": "clip_1", "facts": {"checkpoint": CHECKPOINT}})
    log.integrate()
    assert (catch_up(log.store), catch_up(log.store)) == (14, 0)
    with log.store.session() as session:
        before = session.execute(sa.select(AuditPosting.term, AuditPosting.index)).all()
        for table in ("auditposting", "auditblock"):
            session.execute(sa.text(f"DELETE FROM {table}"))
        session.commit()
    assert catch_up(log.store) == 14
    with log.store.reading() as session:
        assert session.execute(sa.select(AuditPosting.term, AuditPosting.index)).all() == before
    assert indexes(search(log, make_filter({"model": [MODEL, CHECKPOINT]}))) == [12, 13]


def test_who_comes_second_to_a_block_changes_nothing(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(log, *first_leaves())
    log.integrate()
    catch_up(log.store)
    # What PostgreSQL shows to the loser of a race: the state before the winner's commit.
    monkeypatch.setattr(index, "indexed", lambda _session: 0)
    assert catch_up(log.store) == 0
    monkeypatch.undo()
    with log.store.reading() as session:
        assert indexed(session) == 12


def test_two_values_under_one_name_are_told_apart(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "term_name", lambda _term: 1)
    monkeypatch.setattr(queries, "term_name", lambda _term: 1)
    put(log, {"tag": "clip:held", "partner": "p_1"}, {"tag": "clip:held", "partner": "p_2"})
    log.integrate()
    catch_up(log.store)
    assert indexes(search(log, make_filter({"partner": ["p_2"]}))) == [1]


@pytest.fixture
def statements(log: Any) -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, text: str, values: Any, *_rest: Any) -> None:
        seen.append((text, values))

    sa.event.listen(log.store._reader, "before_cursor_execute", listen)
    yield seen
    sa.event.remove(log.store._reader, "before_cursor_execute", listen)


TABLES = (
    "auditposting",
    "auditevent",
    "auditevent_1",
    "auditevent_2",
    "logentry",
    "logentry_1",
    "auditblock",
)


@pytest.mark.parametrize("said", FILTERS, ids=str)
def test_no_filter_reads_a_table_from_end_to_end(
    log: Any, said: dict[str, Any], statements: list[tuple[str, Any]]
) -> None:
    put(log, *first_leaves(), {"tag": "clip:held", "partner": "p_1"})
    log.integrate()
    catch_up(log.store)
    search(log, given_filter(said), within=Filter(values={Field.PARTNER: ("p_1", "p_2")}))
    asked = [one for one in statements if one[0].startswith("SELECT")]
    assert len(asked) >= 3
    assert [step for step in _plan(log, asked) if step.startswith("SCAN") and step.split()[1] in TABLES] == []


def _plan(log: Any, asked: list[tuple[str, Any]]) -> list[str]:
    with log.store._reader.connect() as connection:
        return [
            row[3]
            for text, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        ]


def test_a_filter_without_an_index_would_be_seen(log: Any) -> None:
    """The control of the test above."""
    plan = _plan(log, [("SELECT id FROM auditevent WHERE actor = ?", ("system",))])
    assert plan == ["SCAN auditevent"]


@settings(max_examples=30)
@given(st.sampled_from(FILTERS), st.sampled_from(FILTERS), st.integers(1, 50), st.integers(0, 450))
def test_any_two_filters_on_any_page_size_from_anywhere(
    filled: Any, one: dict[str, Any], other: dict[str, Any], limit: int, start: int
) -> None:
    wanted, within = given_filter(one), given_filter(other)
    found, after = [], start
    with filled.store.reading() as session:
        while after is not None:
            page = events(session, wanted, within=within, after=after, limit=limit)
            found, after = found + indexes(page), page.after
    assert found == [n for n in plainly(leaves_of(filled), wanted, within) if n >= start]


def test_everything_is_everything(filled: Any) -> None:
    assert EVERYTHING.json() == {}
    assert len(indexes(search(filled, limit=1000))) == 400
