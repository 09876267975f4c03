from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audits.log.format import parse_checkpoint, parse_note
from audits.log.witness import Answer, Witness, parse_request
from audits.preemptive import log_tamper, proofs
from audits.preemptive.result import Better, Row, SuiteResult, counted
from audits.preemptive.suites import _digests, run
from core.errors import BadInput, NotFound


def test_every_tampering_is_detected_and_the_control_is_not(clock: Any) -> None:
    result = run("log-tamper", quick=True, clock=clock)
    assert result.passed
    attacks, controls = result.rows[:16], result.rows[16:]
    assert all(row["hits"] == row["trials"] == 10 for row in attacks)
    # A check blind to entries, and two that know of no witness: each misses all of what it does not look at.
    assert [row["hits"] for row in controls] == [0, 0, 0]
    assert result.dated == "2026-11-23T00:00:00+00:00"
    again = run("log-tamper", quick=True, clock=clock)
    assert replace(again, elapsed_s=result.elapsed_s) == result


def test_a_check_that_looks_away_fails_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tamper, "_whole", log_tamper._unwitnessed)
    result = run("log-tamper", quick=True)
    assert not result.passed
    assert "FAILED" in result.markdown()
    missed = [row["case"] for row in result.rows if row["hits"] == 0 and not row["passed"]]
    assert missed == [
        name for name in log_tamper.ATTACKS if "own key" in name or "witness" in name or "roll" in name
    ]


def test_a_witness_that_forgets_lets_the_fork_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tamper.Witness, "add_checkpoint", careless)
    result = run("log-tamper", quick=True)
    assert not result.passed


def careless(witness: Witness, body: bytes) -> Answer:
    """Cosign whatever comes, and remember it."""
    request = parse_request(body)
    head = parse_checkpoint(parse_note(request.note).text)
    witness._remembered(head, witness.latest(head.origin), 1)
    return Answer(200, log_tamper._WITNESS.signature(head.text, 1).line)


def test_no_changed_proof_is_accepted_and_the_controls_are(clock: Any) -> None:
    result = run("proofs", quick=True, clock=clock)
    assert result.passed
    changes, controls = result.rows[:20], result.rows[20:]
    assert all((row["hits"], row["trials"]) == (0, 40) for row in changes)
    assert [row["hits"] for row in controls] == [40, 40, 40]
    assert replace(run("proofs", quick=True, clock=clock), elapsed_s=result.elapsed_s) == result


@pytest.mark.parametrize("blind", ["_by_us", "_by_a_stranger"])
def test_a_verifier_that_believes_fails_the_suite(monkeypatch: pytest.MonkeyPatch, blind: str) -> None:
    monkeypatch.setattr(proofs, blind, proofs._by_one_who_skips_signatures)
    result = run("proofs", quick=True)
    accepted = [
        row["case"] for row in result.rows if row["hits"] and not str(row["case"]).startswith("control")
    ]
    assert "a false checkpoint under a stranger's key" in accepted
    assert not result.passed


def test_a_result_reads_well() -> None:
    row = {"attack": "a", "trials": 1, "passed": True}
    result = made((row,))
    assert json.loads(result.json())["passed"] is True
    assert "| attack | trials | passed |\n| --- | --- | --- |\n| a | 1 | True |" in result.markdown()
    assert not made(()).passed


def made(rows: tuple[Row, ...]) -> SuiteResult:
    return SuiteResult(
        name="n",
        dated="2026-11-23",
        quick=True,
        seed=7,
        environment={"python": "3"},
        rows=rows,
        data={"d": "ab"},
    )


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0, 1), st.sampled_from(["high", "low"]))
def test_a_result_can_be_read_again(hits: int, more: int, reach: float, better: Better) -> None:
    result = made((counted("a", hits, hits + more, reach=reach, better=better),))
    assert SuiteResult.parse(result.json()) == result


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"passed": true}', '{"passed": true, "rows": 3}'])
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        SuiteResult.parse(text)


def test_a_rate_carries_its_wilson_interval() -> None:
    row = counted("a", 8, 10, reach=0.8)
    # Wilson (1927), z = 1.96: (p + z2/2n ± z·sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n)
    assert (row["low"], row["high"]) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert row["passed"]
    assert not counted("a", 7, 10, reach=0.8)["passed"]
    assert counted("a", 0, 10, reach=0.0, better="low")["passed"]
    assert not counted("a", 1, 10, reach=0.0, better="low")["passed"]


@pytest.mark.parametrize("better", ["high", "low"])
def test_nothing_tried_is_not_passed(better: Better) -> None:
    assert not counted("a", 0, 0, reach=0.0, better=better)["passed"]


def test_data_is_named_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    with pytest.raises(BadInput, match="no data"):
        run("log-tamper", quick=True, data=tmp_path / "clips")
    (tmp_path / "clips" / "a.bin").write_bytes(b"a")
    (before,) = _digests(tmp_path / "clips").values()
    (tmp_path / "clips" / "a.bin").write_bytes(b"b")
    (after,) = _digests(tmp_path / "clips").values()
    assert before != after


def test_an_unknown_suite_is_named() -> None:
    with pytest.raises(NotFound, match="log-tamper"):
        run("no-such")


def test_labels_are_read_back_and_a_gate_that_forgets_them_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("labels", quick=True)
    assert result.passed, result.markdown()
    assert {row["hits"] for row in result.rows if str(row["case"]).startswith("control")} == {0}
    monkeypatch.setattr("provenance.mark.stamped", lambda *_: lambda rgb, _seconds: rgb)
    assert not run("labels", quick=True).passed
