from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from api.cli.precheck import judge_lines
from core.decision import CATEGORIES, Decision, from_json
from core.errors import BadInput, BadPrompt, ModelMissing
from core.tables import AuditEvent, Job, Ruling
from pipeline.intake import Ask, submit
from pipeline.precheck import account, asked, note, precheck
from pipeline.run import advance
from pipeline.tools import Tools
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools, reading

KEYS = {
    "decision",
    "categories",
    "rules",
    "entities",
    "language",
    "policy",
    "model",
    "elapsed_ms",
}
CASES: tuple[dict[str, Any], ...] = (
    {},
    {"hits": [{"category": "hate", "term": "t", "span": [3, 9], "view": "joined", "intent": "promote"}]},
    {"hits": [{"category": "minors_sexual", "term": "t", "span": [3, 9], "view": "text", "intent": ""}]},
    {"scores": dict.fromkeys(CATEGORIES, 0.0) | {"violence_gore": 0.93}},
    {"language": {"code": "xx", "scored": False}},
    {"text": {"length": "long"}},
)


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    made = make_tools(tmp_path, clock)
    add_partner(made.store)
    return made


def told(tools: Tools, prompt: str = "Waves at dawn", modality: Any = "video") -> dict[str, Any]:
    return account(precheck(tools, "acme", asked(prompt, modality), modality))


def reads(tools: Tools, **changes: Any) -> Tools:
    return replace(tools, read_prompt=lambda _s, text, _m: reading(text) | changes)


def piped(tools: Tools, ask: Ask) -> Decision:
    """Let the pipeline admit a request, and give its only decision."""
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", ask)
        session.commit()
    advance(tools, "w", job.id)
    with tools.store.reading() as session:
        stored = session.exec(select(Ruling).where(Ruling.job == job.id)).one()
    return from_json(stored.decision)


@pytest.mark.parametrize("changes", CASES)
@pytest.mark.parametrize("modality", ["video", "audio"])
def test_the_decision_is_the_pipelines(tools: Tools, changes: dict[str, Any], modality: Any) -> None:
    tools = reads(tools, **changes)
    ask = replace(asked("Waves at dawn", modality), seed=1)
    assert piped(tools, ask) == precheck(tools, "acme", ask, modality).decision


def test_the_account_has_the_form_that_is_promised(tools: Tools) -> None:
    for changes in CASES:
        account_ = told(reads(tools, **changes))
        assert set(account_) == KEYS
        assert account_["decision"] in {"allow", "hold", "refuse"}
        assert set(account_["categories"]) == set(CATEGORIES)
        assert all(0 <= score <= 1 for score in account_["categories"].values())
        assert set(account_["language"]) == {"code", "scored"}
        assert set(account_["policy"]) == {"name", "version", "sha256"}
        assert set(account_["model"]) == {"name", "sha256"}
        for rule in account_["rules"]:
            assert {"id", "outcome", "reason_code", "message", "span", "view"} <= set(rule)
        json.dumps(account_, allow_nan=False)


def test_an_edit_is_read_as_one(tools: Tools) -> None:
    read: list[str] = []
    seen = replace(tools, read_prompt=lambda _s, text, modality: read.append(modality) or reading(text))
    decision = precheck(seen, "acme", asked("Make her hair red", "edit"), "edit").decision
    assert (read, decision.facts["request"]["modality"]) == (["edit"], "edit")


def test_spans_count_in_the_callers_own_text(tools: Tools) -> None:
    hit = {"category": "self_harm", "term": "bad", "span": [4, 7], "view": "text", "intent": ""}
    one = {"text": "bad", "kind": "franchise", "id": "x", "start": 4, "end": 7, "view": "text"}
    one |= {"consent": "", "office": "", "jurisdiction": "", "match": "exact", "asked": []}
    tools = reads(tools, hits=[hit], entities=[one])
    for raw in ("the bad one", "  \n the bad one ", "the bad one  "):
        account_ = told(tools, raw)
        first, last = next(rule for rule in account_["rules"] if rule["id"] == "self_harm_asked")["span"]
        assert raw[first:last] == "bad"
        assert raw[slice(*account_["entities"][0]["span"])] == "bad"
    raw = "a\r\nb bad"
    account_ = told(reads(tools, hits=[hit]), raw)
    assert raw[slice(*account_["rules"][0]["span"])] == "bad"


def test_the_gravest_rules_tell_the_caller_that_they_fired_and_no_more(tools: Tools) -> None:
    hit = {"category": "minors_sexual", "term": "wordofit", "span": [0, 5], "view": "text", "intent": ""}
    account_ = told(reads(tools, hits=[hit]))
    assert account_["decision"] == "refuse"
    assert "wordofit" not in json.dumps(account_)
    assert {rule["span"] for rule in account_["rules"]} == {None}
    # The control: a rule that is not grave says where and what to change.
    plain = told(reads(tools, hits=[hit | {"category": "hate", "intent": ""}]))["rules"][0]
    assert (plain["span"], plain["view"]) == ([0, 5], "text")
    assert plain["advice"]


def test_a_gate_that_cannot_read_holds_and_says_so(tools: Tools) -> None:
    def fails(*_: Any) -> Any:
        raise ModelMissing

    account_ = told(replace(tools, read_prompt=fails))
    assert account_["decision"] == "hold"
    assert account_["rules"][0]["reason_code"] == "gate_fault"
    assert account_["language"] == {"code": "und", "scored": False}


def test_a_prompt_that_is_none_is_an_error_and_never_an_allow(tools: Tools) -> None:
    for raw in ("", " \n", "\ud800", "x" * 1_000_000, "bell\x07"):
        with pytest.raises(BadPrompt):
            told(tools, raw)


def test_a_full_quota_keeps_nobody_from_asking_what_would_be(tools: Tools) -> None:
    for _ in range(3):
        precheck(tools, "acme", asked("Waves", "video"), "video")
    with tools.store.session() as session:
        assert session.exec(select(Job)).all() == []
        done = precheck(tools, "acme", Ask(prompt="Waves"), "video")
        note(session, tools, done, actor="operator")
        session.commit()
        assert [row.tag for row in session.exec(select(AuditEvent))] == ["policy:precheck"]


def lines(tools: Tools, folder: Path, content: bytes) -> list[dict[str, Any]]:
    source, target = folder / "in.jsonl", folder / "out.jsonl"
    source.write_bytes(content)
    judge_lines(tools, "acme", source, target)
    return [json.loads(line) for line in target.read_bytes().splitlines()]


def test_bad_lines_cost_only_themselves_and_the_order_is_kept(tools: Tools, tmp_path: Path) -> None:
    bad = [
        b"not json",
        b"[1]",
        b"{}",
        b'{"id": 1}',
        b'{"id": 1, "prompt": 7}',
        b'{"id": 1, "prompt": "x", "modality": []}',
        b'{"id": {}, "prompt": "x"}',
        b'{"id": 1, "prompt": "x", "territory": 3}',
        b'{"id": 1, "prompt": "\\ud800"}',
        b'{"id": NaN, "prompt": "x"}',
        b'{"id": 1, "prompt": "\xff"}',
        b"[" * 100_000,
        b'{"id": 1, "prompt": "' + b"x" * 2_000_000 + b'"}',
    ]
    good = [json.dumps({"id": f"n{n}", "prompt": "Waves at dawn"}).encode() for n in range(len(bad) + 1)]
    mixed = [good[0], *(line for pair in zip(bad, good[1:], strict=True) for line in pair)]
    rows = lines(tools, tmp_path, b"\xef\xbb\xbf" + b"\r\n".join(mixed) + b"\n\n")
    assert len(rows) == len(mixed)
    assert [row["id"] for row in rows[::2]] == [f"n{n}" for n in range(len(good))]
    assert {row["decision"] for row in rows[::2]} == {"allow"}
    assert all("decision" not in row and row["error"]["code"] for row in rows[1::2])
    events = tools.store.reading()
    with events as session:
        assert len(session.exec(select(AuditEvent)).all()) == len(good)


def test_an_id_that_utf8_cannot_write_comes_back_as_it_was(tools: Tools, tmp_path: Path) -> None:
    assert lines(tools, tmp_path, b'{"id": "\\ud800", "prompt": "Waves"}')[0]["id"] == "\ud800"


def test_the_answers_appear_whole_or_not_at_all(tools: Tools, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "prompt": "Waves"}\n' * 100)
    target.write_text("before")

    def dies(_session: Any, text: str, _modality: str) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge_lines(replace(tools, read_prompt=dies), "acme", source, target)
    assert target.read_text() == "before"
    with pytest.raises(BadInput):
        judge_lines(tools, "acme", source, tmp_path / "no folder" / "out.jsonl")
    with pytest.raises(BadInput):
        judge_lines(tools, "acme", tmp_path / "absent", target)
    assert sorted(path.name for path in tmp_path.glob("*.jsonl*")) == ["in.jsonl", "out.jsonl"]
    assert not list(tmp_path.glob(".*part"))
    judge_lines(tools, "acme", source, source)  # in place is as good as anywhere
    assert len(source.read_text().splitlines()) == 100
