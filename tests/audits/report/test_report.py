"""Transparency reports: counted from the leaves alone, the same for everybody, readable."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.report import Report, page, public_leaves, report
from audits.report.page import span
from core.clock import milliseconds
from core.errors import BadInput, LogCorrupt
from core.events import Leaf, Tag
from tests.audits.conftest import Log

DAY = 86_400_000
START = 1_767_225_600_000  # 2026-01-01
DIGEST = "ab" * 32


def leaf(tag: Tag, at_ms: int = START, **facts: Any) -> Leaf:
    return Leaf(v=2, at_ms=at_ms, tag=tag.value, actor="system", partner="acme", job="clip_1", facts=facts)


def counted(leaves: Iterable[Leaf], **changes: Any) -> Report:
    asked = {"origin": "o", "size": 9, "root": bytes(32), "since_ms": START, "until_ms": START + 31 * DAY}
    return report(leaves, **asked | changes)


def reviewed(waited: int, *, overturned: int = 0, final: int = 1) -> Leaf:
    why = {"stage": "prompt", "rules": [], "categories": []}
    return leaf(
        Tag.REVIEW_DECIDED,
        verdict="approve" if overturned else "reject",
        ruling=1,
        waited=waited,
        final=final,
        overturned=overturned,
        **why,
    )


def audited(at_ms: int, hits: int) -> Leaf:
    rates = [{"case": "crf 28", "hits": hits, "trials": 100, "better": "high"}]
    return leaf(
        Tag.AUDIT_RAN, at_ms, suite="recovery", passed=1, quick=0, result=DIGEST, failed=[], rates=rates
    )


def test_each_event_is_counted_once_where_it_belongs() -> None:
    found = counted(
        [
            leaf(Tag.REQUEST_RECEIVED, kind="generation", territory="DE"),
            leaf(Tag.POLICY_DECIDED, stage="prompt", outcome="refuse", pack=DIGEST, policy="p", version="1"),
            leaf(Tag.CLIP_REFUSED, categories=["hate", "sexual"], rules=["hate_terms"]),
            leaf(Tag.REQUEST_RECEIVED, START + DAY, kind="soundtrack"),
            leaf(Tag.CLIP_HELD, START + DAY, categories=["public_figure"], rules=["figure"]),
            leaf(Tag.CLIP_RELEASED, START + 2 * DAY, took=90_000),
            leaf(Tag.SUBJECT_ERASED, START + 2 * DAY, kind="identity"),
        ]
    )
    assert found.events["request:received"] == 2
    assert found.requests_by_kind == {"generation": 1, "soundtrack": 1}
    assert found.requests_by_territory == {"DE": 1, "not said": 1}
    assert found.decisions == {"prompt": {"refuse": 1}}
    assert found.refusals_by_category == {"hate": 1, "sexual": 1}
    assert found.refusals_by_rule == {"hate_terms": 1}
    assert found.holds_by_category == {"public_figure": 1}
    assert found.policies == {f"p 1 {DIGEST[:16]}": 1}
    assert found.release_waits
    assert found.release_waits.longest_ms == 90_000
    assert found.erasures == {"identity": 1}
    assert found.days["2026-01-02"] == {"held": 1, "received": 1}


def test_the_period_begins_with_its_start_and_ends_before_its_end() -> None:
    at = (START - 1, START, START + 31 * DAY - 1, START + 31 * DAY)
    leaves = [leaf(Tag.REQUEST_RECEIVED, moment, kind="generation") for moment in at]
    assert counted(leaves).events == {"request:received": 2}
    with pytest.raises(BadInput, match="ends before"):
        counted(leaves, until_ms=START)


def test_a_partners_report_counts_nobody_else() -> None:
    leaves = [leaf(Tag.REQUEST_RECEIVED, kind="generation")]
    assert counted(leaves, partner="acme").events == {"request:received": 1}
    assert counted(leaves, partner="other").events == {}


def test_reviews_say_how_long_holds_waited_and_how_many_were_overturned() -> None:
    found = counted([reviewed(1000), reviewed(3000, overturned=1), reviewed(5000), reviewed(7000, final=0)])
    assert (found.reviews_final, found.reviews_overturned) == (3, 1)
    assert found.review_waits
    assert (found.review_waits.count, found.review_waits.median_ms, found.review_waits.longest_ms) == (
        3,
        3000,
        5000,
    )


def test_appeals_are_counted_with_what_became_of_them() -> None:
    leaves = [
        reviewed(5),
        leaf(Tag.CLIP_APPEALED, START - 1, state="rejected"),
        reviewed(9, overturned=1),
    ]
    assert counted(leaves).appeals == {"decided": 1, "granted": 1}
    assert counted(leaves, since_ms=START - 1).appeals == {"decided": 1, "granted": 1, "made": 1}


def test_the_last_audit_up_to_the_end_counts_even_from_before_the_period() -> None:
    leaves = [audited(START - DAY, 90), audited(START + DAY, 95), audited(START + 32 * DAY, 10)]
    assert [rate.hits for audit in counted(leaves).audits for rate in audit.rates] == [95]
    assert [rate.hits for audit in counted(leaves[:1]).audits for rate in audit.rates] == [90]


def test_nothing_happened_is_a_report_too() -> None:
    found = counted([])
    assert found.review_waits is None
    assert "None." in page(found)


@given(st.lists(st.tuples(st.sampled_from([Tag.REQUEST_RECEIVED, Tag.CLIP_HELD]), st.integers(0, 30 * DAY))))
def test_days_add_up_to_the_events(happened: list[tuple[Tag, int]]) -> None:
    found = counted(
        leaf(tag, START + at, kind="generation", categories=["a"], rules=["b"]) for tag, at in happened
    )
    for name, tag in (("received", Tag.REQUEST_RECEIVED), ("held", Tag.CLIP_HELD)):
        by_day = sum(counts.get(name, 0) for counts in found.days.values())
        assert by_day == found.events.get(tag.value, 0) == sum(one is tag for one, _ in happened)


@pytest.mark.parametrize(
    ("milliseconds_", "said"), [(900, "0.9 s"), (90_000, "1.5 min"), (7_200_000, "2.0 h"), (DAY * 3, "3.0 d")]
)
def test_durations_read_well(milliseconds_: int, said: str) -> None:
    assert span(milliseconds_) == said


class Outline(HTMLParser):
    """Notes what a screen reader needs: headings in order, table headers, names of pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.lang, self.unnamed, self.scripts = "", 0, 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(int(tag[1]))
        self.lang = found.get("lang") or self.lang
        self.unnamed += (tag == "th" and "scope" not in found) + (
            tag == "svg" and not found.get("aria-label")
        )
        self.scripts += tag in {"script", "link", "iframe"}


def test_the_page_is_accessible_and_hostile_words_stay_words() -> None:
    hostile = "<script>alert(1)</script>"
    text = page(
        counted([leaf(Tag.REQUEST_RECEIVED, kind=hostile), reviewed(5), audited(START, 99)], origin=hostile)
    )
    seen = Outline(text)
    assert (seen.lang, seen.unnamed, seen.scripts) == ("en", 0, 0)
    assert seen.headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(seen.headings))
    assert "99 %" in text
    assert "alert(1)" in text


def test_the_public_bytes_alone_give_the_report_again(log: Log) -> None:
    log.happen(300, tag=Tag.REQUEST_RECEIVED, job="clip_1")
    log.integrate()

    def made() -> Report:
        leaves = public_leaves(log.folder, log.key.policy)
        now, head = milliseconds(log.clock.now()), leaves.head
        return report(
            leaves, origin=head.origin, size=head.size, root=head.root, since_ms=now, until_ms=now + 1
        )

    first = made()
    assert first.events == {"request:received": 300}
    assert page(first) == page(made())
    assert json.dumps(asdict(first)) == json.dumps(asdict(made()))


def test_no_report_is_made_of_a_log_that_was_changed(log: Log) -> None:
    log.happen(300, tag=Tag.REQUEST_RECEIVED)
    log.integrate()
    bundle = log.folder / "tile" / "entries" / "000"
    data = bytearray(bundle.read_bytes())
    data[30] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(LogCorrupt, match="does not pass its check"):
        public_leaves(log.folder, log.key.policy)
