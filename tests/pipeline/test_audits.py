"""Preemptive audits of an installation: remembered, logged, compared, scheduled, required."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from audits.preemptive.result import SuiteResult, counted
from core.errors import BadInput
from core.state import State
from core.tables import AuditEvent, Job
from pipeline import audits
from pipeline.intake import Ask, submit
from pipeline.receipt import explanation
from pipeline.run import advance
from pipeline.tools import Tools
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools, pack


def result(hits: int = 100, *, quick: bool = False, name: str = "log-tamper") -> SuiteResult:
    row = counted("flip", hits, 100, reach=1.0)
    return SuiteResult(
        name=name, dated="2026-11-23T00:00:00", quick=quick, seed=0, environment={}, rows=(row,)
    )


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Tools:
    return make_tools(tmp_path, clock)


def with_settings(tools: Tools, **changes: Any) -> Tools:
    return replace(tools, settings=tools.settings.model_copy(update=changes))


def lacking(tools: Tools) -> list[str]:
    with tools.store.reading() as session:
        return audits.lacking(session, tools)


def asked(tools: Tools) -> Job:
    add_partner(tools.store)
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()
    advance(tools, "w", job.id)
    with tools.store.reading() as session:
        return session.get_one(Job, job.id)


def test_a_run_is_kept_and_its_digest_and_rates_are_in_the_log(tools: Tools) -> None:
    done = audits.remember(tools, result(97), "operator")
    with tools.store.reading() as session:
        (kept,) = audits.history(session)
        (leaf,) = [json.loads(row.leaf) for row in session.exec(select(AuditEvent)) if row.tag == "audit:ran"]
    assert SuiteResult.parse(kept.result) == done.result
    assert leaf["facts"]["result"] == hashlib.sha256(kept.result.encode()).hexdigest()
    assert leaf["facts"]["rates"] == [{"case": "flip", "hits": 97, "trials": 100, "better": "high"}]
    assert (leaf["facts"]["passed"], leaf["facts"]["failed"]) == (0, ["flip"])


def test_a_sign_that_the_log_lacks_does_not_lose_a_result(tools: Tools) -> None:
    row = counted("turned by 45°", 3, 4, reach=1.0)
    done = audits.remember(tools, replace(result(), rows=(row, counted("", 1, 1, reach=1.0))), "operator")
    with tools.store.reading() as session:
        (leaf,) = [json.loads(row.leaf) for row in session.exec(select(AuditEvent)) if row.tag == "audit:ran"]
    assert [one["case"] for one in leaf["facts"]["rates"]] == ["turned by 45?", "?"]
    assert SuiteResult.parse(done.run.result).rows[0]["case"] == "turned by 45°"


def test_what_got_worse_since_the_last_run_is_said(tools: Tools, clock: ManualClock, tmp_path: Path) -> None:
    audits.remember(tools, result(100), "operator")
    clock.advance(1)
    done = audits.remember(tools, result(50), "operator")
    assert [change.case for change in done.worse] == ["flip"]
    page = audits.write_report(done, tmp_path / "reports")
    assert "Worse than in the run before" in page.read_text()
    assert SuiteResult.parse(page.with_suffix(".json").read_text()) == done.result


def test_a_required_audit_holds_requests_until_it_passed(tools: Tools) -> None:
    tools = with_settings(tools, audit_required="log-tamper")
    job = asked(tools)
    assert (job.state, job.held_at) == (State.HELD, "admit")
    with tools.store.reading() as session:
        assert "log-tamper" in str(explanation(session, job, "caller"))


def test_a_required_audit_that_passed_lets_requests_through(tools: Tools) -> None:
    tools = with_settings(tools, audit_required="log-tamper")
    audits.remember(tools, result(), "operator")
    assert asked(tools).state == State.ADMITTED


@pytest.mark.parametrize("run", [result(99), result(quick=True), result(name="other")])
def test_a_run_that_failed_was_quick_or_of_another_suite_does_not_count(
    tools: Tools, run: SuiteResult
) -> None:
    tools = with_settings(tools, audit_required="log-tamper")
    audits.remember(tools, run, "operator")
    assert lacking(tools) == ["log-tamper"]


def test_another_pack_or_version_must_be_audited_anew(tools: Tools) -> None:
    tools = with_settings(tools, audit_required="log-tamper")
    audits.remember(tools, result(), "operator")
    assert lacking(tools) == []
    assert lacking(replace(tools, version="9")) == ["log-tamper"]
    assert lacking(replace(tools, pack=replace(pack(), sha256="00" * 32))) == ["log-tamper"]


def test_a_later_failure_counts_against_an_earlier_pass(tools: Tools, clock: ManualClock) -> None:
    tools = with_settings(tools, audit_required="log-tamper")
    audits.remember(tools, result(), "operator")
    clock.advance(1)
    audits.remember(tools, result(99), "operator")
    assert lacking(tools) == ["log-tamper"]


def test_a_scheduled_suite_runs_when_it_is_due(tools: Tools, clock: ManualClock) -> None:
    tools = with_settings(tools, audit_schedule="log-tamper=24")
    assert len(audits.run_due(tools, lambda _name: result())) == 1
    clock.advance(23 * 3600)
    assert audits.run_due(tools, lambda _name: result()) == []
    clock.advance(3600)
    assert len(audits.run_due(tools, lambda _name: result())) == 1


def test_the_auditor_outlives_a_suite_that_cannot_run(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def broken(_tools: Tools) -> list[Any]:
        stop.set()
        raise OSError("disk")

    monkeypatch.setattr(audits, "run_due", broken)
    audits.keep_running(tools, stop)


@pytest.mark.parametrize("text", ["log-tamper", "log-tamper=0", "log-tamper=-1", "no-such=1", "log-tamper=x"])
def test_a_schedule_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="audit schedule"):
        audits.schedule(text)


def test_a_schedule_is_read() -> None:
    assert audits.schedule(" log-tamper = 1.5, ") == {"log-tamper": 1.5}
