from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.filters import EVERYTHING, Filter, make_filter, parse_cursor, parse_filter, render_cursor
from audits.terms import Field
from core.errors import BadInput

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
OPEN = [name for name in Field if name not in {Field.TAG, Field.STATE}]
FILTERS = st.builds(
    lambda values, since, longer: Filter(values=values, since_ms=since, until_ms=since + longer),
    st.dictionaries(st.sampled_from(OPEN), st.lists(TEXT, min_size=1, max_size=5).map(tuple)),
    st.integers(0, 10**12),
    st.integers(1, 10**12),
)


@given(FILTERS)
def test_what_is_written_reads_back(wanted: Filter) -> None:
    again = parse_filter(wanted.json())
    assert (again, again.sha256) == (wanted, wanted.sha256)


def test_the_same_question_has_one_digest() -> None:
    one = Filter(values={Field.TAG: ("clip:held", "clip:released"), Field.PARTNER: ("p",)})
    other = Filter(values={Field.PARTNER: ("p", "p"), Field.TAG: ("clip:released", "clip:held")})
    assert one.sha256 == other.sha256 != EVERYTHING.sha256


@pytest.mark.parametrize(
    "said",
    [
        [],
        None,
        {"colour": ["red"]},
        {"partner": "p"},
        {"partner": []},
        {"partner": [1]},
        {"partner": [""]},
        {"partner": ["x" * 256]},
        {"partner": ["a\x00b"]},
        {"partner": ["\ud800"]},
        {"partner": ["p"] * 65},
        {"tag": ["clip:lost"]},
        {"tag": ["clip:held", "clip:lost"]},
        {"state": ["lost"]},
        {"since_ms": -1},
        {"since_ms": 2**53},
        {"since_ms": True},
        {"since_ms": "0"},
        {"until_ms": 1.5},
        {"since_ms": 5, "until_ms": 5},
        {"since_ms": 6, "until_ms": 5},
    ],
    ids=lambda said: str(said)[:40],
)
def test_a_filter_that_cannot_be_meant_is_refused(said: Any) -> None:
    with pytest.raises(BadInput):
        parse_filter(said)


def test_fields_that_name_nothing_are_left_out() -> None:
    assert make_filter({"partner": None, "tag": []}) == EVERYTHING


@given(FILTERS, st.integers(0, 2**63))
def test_a_cursor_reads_back_for_its_own_question_only(wanted: Filter, after: int) -> None:
    cursor = render_cursor(after, wanted)
    assert parse_cursor(cursor, wanted) == after
    with pytest.raises(BadInput):
        parse_cursor(cursor, Filter(values=dict(wanted.values) | {Field.JOB: ("another",)}))


@given(st.integers(0, 31), st.integers(1, 63))
def test_a_cursor_that_was_changed_is_refused(at: int, by: int) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    cursor = render_cursor(77, EVERYTHING)
    changed = letters[(letters.index(cursor[at]) + by) % 64]
    with pytest.raises(BadInput):
        parse_cursor(cursor[:at] + changed + cursor[at + 1 :], EVERYTHING)


@pytest.mark.parametrize("cursor", ["", "é", "=", "AAAA", "A" * 31, "A" * 32, "A" * 10_000, " ", "\x00"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadInput):
        parse_cursor(cursor, EVERYTHING)


def test_a_cursor_has_one_spelling() -> None:
    cursor = render_cursor(0, EVERYTHING)
    standard = base64.b64encode(base64.urlsafe_b64decode(cursor)).decode()
    for spelling in (cursor + "=", cursor + "\n", *({standard} - {cursor})):
        with pytest.raises(BadInput):
            parse_cursor(spelling, EVERYTHING)
