from __future__ import annotations

from dataclasses import replace

import pytest

from audits.preemptive.compare import worse
from audits.preemptive.result import Better, Row, SuiteResult, counted


def made(*rows: Row, quick: bool = False) -> SuiteResult:
    return SuiteResult(name="n", dated="", quick=quick, seed=0, environment={}, rows=rows)


def cases(now: SuiteResult, before: SuiteResult) -> list[str]:
    return [change.case for change in worse(now, before)]


def test_the_same_result_is_not_worse() -> None:
    result = made(counted("a", 5, 10, reach=0.9), {"case": "b", "passed": False})
    assert worse(result, result) == ()


@pytest.mark.parametrize(("better", "before", "now"), [("high", 95, 60), ("low", 5, 40)])
def test_a_rate_that_fell_beyond_chance_is_worse_even_where_it_reaches_enough(
    better: Better, before: int, now: int
) -> None:
    enough = 0.5
    old = made(counted("a", before, 100, reach=enough, better=better))
    new = made(counted("a", now, 100, reach=enough, better=better))
    assert new.passed
    assert cases(new, old) == ["a"]
    assert cases(old, new) == []


def test_a_difference_within_chance_is_not_worse() -> None:
    assert cases(made(counted("a", 93, 100, reach=0.5)), made(counted("a", 95, 100, reach=0.5))) == []


def test_failing_where_it_passed_and_not_measuring_any_more_are_worse() -> None:
    before = made({"attack": "a", "passed": True}, {"attack": "b", "passed": True})
    assert cases(made({"attack": "a", "passed": False}), before) == ["a", "b"]


def test_a_quick_run_is_only_held_to_what_it_fails() -> None:
    before = made(counted("a", 99, 100, reach=0.5), counted("b", 99, 100, reach=0.5))
    quick = replace(made(counted("a", 60, 100, reach=0.5)), quick=True)
    assert cases(quick, before) == []
    assert cases(replace(made(counted("a", 1, 100, reach=0.5)), quick=True), before) == ["a"]
