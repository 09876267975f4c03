from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest

from audits.log.proof import prove, verify_proof
from audits.queries import csv_lines, events, json_lines
from core.errors import BadInput
from core.tables import Job, Partner


def ask(log: Any, **filters: Any) -> Any:
    with log.store.reading() as session:
        return events(session, **filters)


def test_filters_and_the_range_they_cover(log: Any) -> None:
    start = log.clock.now()
    log.happen(3, partner="p_1", job="clip_1")
    log.clock.advance(60)
    log.happen(2, partner="p_2", identity="id_1", rule="likeness.match")
    assert ask(log).entries == ()
    log.integrate()
    log.happen(4)
    page = ask(log, partner="p_1")
    assert [entry.index for entry in page.entries] == [0, 1, 2]
    assert (page.start, page.end, page.after) == (0, 5, None)
    for filters in ({"partner": "p_2"}, {"identity": "id_1"}, {"rule": "likeness.match"}, {"after": 3}):
        assert [entry.index for entry in ask(log, **filters).entries] == [3, 4]
    assert len(ask(log, until=start + timedelta(seconds=60)).entries) == 3
    assert len(ask(log, since=start + timedelta(seconds=60)).entries) == 2
    assert len(ask(log, since=(start + timedelta(seconds=60)).replace(tzinfo=None)).entries) == 2
    assert ask(log, tag="clip:held").entries == ()
    assert len(ask(log, tag="clip:released", job="clip_1").entries) == 3


def test_by_the_state_of_the_request(log: Any) -> None:
    with log.store.session() as session:
        session.add(Partner(id="p", name="studio", created_ms=0))
        session.flush()
        for number, state in enumerate(("held", "released")):
            session.add(
                Job(id=f"clip_{number}", partner="p", kind="generation", prompt="", ask={}, state=state,
                    payload=f"{number:016x}", created_ms=0, updated_ms=0)
            )  # fmt: skip
        session.commit()
    log.happen(2, job="clip_0")
    log.happen(1, job="clip_1")
    log.integrate()
    assert [entry.job for entry in ask(log, state="held").entries] == ["clip_0", "clip_0"]


def test_pages_cover_the_log_without_overlap(log: Any) -> None:
    log.happen(5, partner="p_1")
    log.happen(5, partner="p_2")
    log.happen(5, partner="p_1")
    log.integrate()
    seen, ranges, after = [], [], 0
    while after is not None:
        page = ask(log, partner="p_1", after=after, limit=4)
        seen += [entry.index for entry in page.entries]
        ranges.append((page.start, page.end))
        after = page.after
    assert seen == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    assert ranges == [(0, 4), (4, 13), (13, 15)]


@pytest.mark.parametrize("filters", [{"limit": 0}, {"limit": 1001}, {"after": -1}])
def test_a_page_has_bounds(log: Any, filters: Any) -> None:
    with pytest.raises(BadInput):
        ask(log, **filters)


def test_exports(log: Any) -> None:
    log.happen(2, partner='=HYPERLINK("x")', job="clip,1")
    log.integrate()
    entries = ask(log).entries
    lines = list(json_lines(entries))
    assert [json.loads(line)["index"] for line in lines] == [0, 1]
    # The leaf stands in the line byte for byte, so that its proof can be checked from the export.
    leaf = lines[1].removeprefix('{"index":1,"leaf":').removesuffix("}\n").encode()
    proof = prove(log.folder, log.key.vkey, 1).render()
    assert verify_proof(proof, leaf, log.key.vkey).size == 2
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(entries)))))
    assert rows[0]["partner"] == '\'=HYPERLINK("x")'
    assert (rows[1]["index"], rows[1]["job"], rows[1]["at"]) == ("1", "clip,1", "2026-11-23T00:00:00.000Z")
