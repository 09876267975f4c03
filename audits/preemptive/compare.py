"""Compare two runs of a suite, and say what got worse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audits.preemptive.result import Row, SuiteResult


@dataclass(frozen=True, slots=True)
class Worse:
    """A row that does worse than it did: `case` names it, `why` is a sentence."""

    case: str
    why: str


def worse(now: SuiteResult, before: SuiteResult) -> tuple[Worse, ...]:
    """List the rows of `before` that `now` lacks, fails where they passed, or does significantly worse at.

    Rates count as worse when their 95 % intervals do not overlap. A quick run says nothing against a full
    one and the other way round: then only rows that failed are listed.
    """
    rows = {_case(row): row for row in now.rows}
    comparable = now.quick == before.quick
    return tuple(_changes(rows, before, comparable=comparable))


def _changes(rows: dict[str, Row], before: SuiteResult, *, comparable: bool) -> Iterator[Worse]:
    for old in before.rows:
        case = _case(old)
        new = rows.get(case)
        if new is None:
            if comparable:
                yield Worse(case, "it was measured before and is not any more")
        elif old["passed"] and not new["passed"]:
            yield Worse(case, "it passed before and fails now")
        elif comparable and _lower(new, old):
            yield Worse(
                case, f"{old['hits']} of {old['trials']} before, {new['hits']} of {new['trials']} now"
            )


def _case(row: Row) -> str:
    return str(next(iter(row.values())))


def _lower(new: Row, old: Row) -> bool:
    if not {"low", "high", "better"} <= new.keys() & old.keys():
        return False
    if new["better"] == "high":
        return float(new["high"]) < float(old["low"])
    return float(new["low"]) > float(old["high"])
