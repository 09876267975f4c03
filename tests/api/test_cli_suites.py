"""Preemptive suites from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from audits.log.writer import log_key
from audits.preemptive import suites
from audits.preemptive.pieces import Pieces
from audits.preemptive.result import Row
from core.errors import LogCorrupt
from pipeline import audits


@pytest.fixture
def run(tmp_path: Path) -> Any:
    environment = {
        "GREENLIGHT_DATA_DIR": str(tmp_path),
        "GREENLIGHT_AUDIT_REQUIRED": "log-tamper",
        "GREENLIGHT_AUDIT_SCHEDULE": "",
    }

    def call(*words: str) -> Result:
        return CliRunner().invoke(app, ["audit", *words], env=environment)

    return call


def test_a_run_is_reported_kept_and_logged(run: Any) -> None:
    assert run("runs").exit_code == 1
    ran = run("run", "log-tamper", "--quick", "--json")
    assert ran.exit_code == 0
    value = json.loads(ran.stdout)
    assert value["passed"]
    assert Path(value["report"]).read_text().startswith("# log-tamper: passed")
    listed = json.loads(run("runs", "--json").stdout)
    assert [one["run"] for one in listed["runs"]] == [value["run"]]
    # A quick run is no proof: the suite is still lacking.
    assert listed["lacking"] == ["log-tamper"]
    (event,) = json.loads(run("query", "--tag", "audit:ran", "--json").stdout)["entries"]
    assert event["leaf"]["facts"]["run"] == value["run"]


def test_a_report_is_the_same_from_this_installation_and_from_its_public_files(
    run: Any, tmp_path: Path
) -> None:
    assert run("run", "log-tamper", "--quick").exit_code == 0
    page, period = tmp_path / "page.html", ("--since", "2026-01-01", "--until", "2100-01-01", "--json")
    mine = run("report", *period, "-o", str(page))
    assert json.loads(mine.stdout)["audits"][0]["suite"] == "log-tamper"
    assert "log-tamper" in page.read_text()
    log = tmp_path / "log"
    key = log_key(tmp_path / "keys" / "log", "greenlight.invalid/log").vkey.render()
    theirs = run("report", *period, "--log", str(log), "--vkey", key)
    assert theirs.stdout == mine.stdout
    assert run("report", *period, "--log", str(log)).exit_code == 2


def test_what_a_long_suite_found_stays_until_its_result_is_kept(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def slow(seed: int, *, quick: bool, data: Path | None, pieces: Pieces) -> tuple[Row, ...]:
        return (pieces.once("piece", lambda: made.append("piece") or {"case": "a", "passed": True}),)

    def broken(*_: object) -> None:
        raise LogCorrupt("the log is not to be had")

    monkeypatch.setattr(suites, "_LONG_SUITES", {"video-mark": slow})
    with monkeypatch.context() as patch:
        patch.setattr(audits, "remember", broken)
        assert run("run", "video-mark", "--quick").exit_code == 3
    assert run("run", "video-mark", "--quick").exit_code == 0
    assert made == ["piece"], "the second run goes on from the first"
    assert run("run", "video-mark", "--quick").exit_code == 0
    assert made == ["piece", "piece"], "what was kept is settled: the third begins anew"


def test_nothing_is_due_without_a_schedule(run: Any) -> None:
    due = run("due", "--json")
    assert (due.exit_code, json.loads(due.stdout)) == (0, [])


@pytest.mark.parametrize("words", [("run", "no-such"), ("run", "log-tamper", "--data", "no-such-folder")])
def test_what_cannot_run_is_said(run: Any, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2
