from __future__ import annotations

import json
from typing import Any

import pytest

from audits.preemptive import log_tamper
from audits.preemptive.result import SuiteResult
from audits.preemptive.suites import run
from core.errors import NotFound


def test_every_tampering_is_detected_and_the_control_is_not(clock: Any) -> None:
    result = run("log-tamper", quick=True, clock=clock)
    assert result.passed
    *attacks, control = result.rows
    assert len(attacks) == 10
    assert all(row["detected"] == row["trials"] == 25 for row in attacks)
    assert control["detected"] == 0
    assert result.dated == "2026-11-23T00:00:00+00:00"
    assert run("log-tamper", quick=True, clock=clock) == result


def test_a_check_that_looks_away_fails_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tamper, "_whole", log_tamper._tree_alone)
    result = run("log-tamper", quick=True)
    assert not result.passed
    assert "FAILED" in result.markdown()


def test_a_result_reads_well() -> None:
    row = {"attack": "a", "trials": 1, "passed": True}
    result = SuiteResult(name="n", dated="2026-11-23", environment={"python": "3"}, rows=(row,))
    assert json.loads(result.json())["passed"] is True
    assert "| attack | trials | passed |\n| --- | --- | --- |\n| a | 1 | True |" in result.markdown()
    assert not SuiteResult(name="n", dated="", environment={}, rows=()).passed


def test_an_unknown_suite_is_named() -> None:
    with pytest.raises(NotFound, match="log-tamper"):
        run("no-such")
