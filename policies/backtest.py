"""Decide stored requests again from their facts: under the pack that made them bit for bit, under another to compare.

No model runs and nothing is read but the decisions themselves; they stream, so that memory does not grow with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.decision import Decision, RuleHit, from_json
from policies.engine import BROKEN, SEVERITY, Pack
from policies.facts import completed

_OURS = frozenset(("gate_fault",))
"""Rules of the gate itself, which no pack decides on."""


@dataclass(frozen=True, slots=True)
class Again:
    """A stored decision and the one that a pack makes of its facts now."""

    job: str
    was: Decision
    now: Decision

    @property
    def identical(self) -> bool:
        """Whether every part of both is the same, but for the pack's name and for facts declared since."""
        return (self.was.outcome, self.was.rules, self.was.consents) == (
            self.now.outcome,
            self.now.rules,
            self.now.consents,
        )

    @property
    def came(self) -> tuple[RuleHit, ...]:
        """The rules that fire now and did not."""
        before = {hit.id for hit in self.was.rules}
        return tuple(hit for hit in self.now.rules if hit.id not in before)

    @property
    def went(self) -> tuple[RuleHit, ...]:
        """The rules that fired and do not now."""
        after = {hit.id for hit in self.now.rules}
        return tuple(hit for hit in self.was.rules if hit.id not in after)


@dataclass(slots=True)
class Totals:
    """What a backtest counted."""

    decisions: int = 0
    changed: int = 0
    same_pack: int = 0
    not_identical: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    more: Counter[str] = field(default_factory=Counter)
    fewer: Counter[str] = field(default_factory=Counter)

    def count(self, one: Again) -> None:
        """Take one decision in."""
        self.decisions += 1
        self.changed += one.was.outcome != one.now.outcome
        if one.was.outcome != one.now.outcome:
            self.outcomes[f"{one.was.outcome} → {one.now.outcome}"] += 1
        if one.was.pack_sha256 == one.now.pack_sha256:
            self.same_pack += 1
            self.not_identical += not one.identical
        self.more.update(hit.id for hit in one.came)
        self.fewer.update(hit.id for hit in one.went)

    def json(self) -> dict[str, Any]:
        """Give the counts."""
        return {
            "decisions": self.decisions,
            "changed": self.changed,
            "outcomes": dict(self.outcomes.most_common()),
            "same_pack": self.same_pack,
            "not_identical": self.not_identical,
            "rules": {
                rule: {"more": self.more[rule], "fewer": self.fewer[rule]}
                for rule in sorted(self.more.keys() | self.fewer.keys())
            },
        }


def decided_again(
    stored: Iterable[tuple[str, Mapping[str, Any]]],
    pack: Pack | Callable[[Decision], Pack],
    against: Pack | None = None,
) -> Iterator[Again]:
    """Decide stored decisions, (request, JSON), again; with `against`, what that pack decides is what was.

    Left out is what was decided because the gate was broken, or was erased since: it has no facts to decide from.
    """
    for job, body in stored:
        was = from_json(dict(body))
        if {"fault", "erased"} & was.facts.keys():
            continue
        now = replay(pack if isinstance(pack, Pack) else pack(was), was)
        yield Again(job, replay(against, was) if against else was, now)


def replay(pack: Pack, was: Decision) -> Decision:
    """Decide again from the facts of a decision; facts that were declared since are empty, as nobody looked."""
    incomplete = any(hit.reason_code in BROKEN and hit.id == "facts_incomplete" for hit in was.rules)
    facts = was.facts if incomplete else completed(was.stage, was.facts)
    now = pack.replay(was.stage, facts)
    ours = tuple(hit for hit in was.rules if hit.id in _OURS)
    if not ours:
        return now
    outcome = max((now.outcome, *(hit.outcome for hit in ours)), key=SEVERITY.__getitem__)
    return replace(now, outcome=outcome, rules=now.rules + ours)
