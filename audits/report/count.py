"""Count a period of the log. Pure: the same leaves and the same period give the same report, byte for byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

from audits.preemptive.result import wilson
from core.clock import iso
from core.errors import BadInput
from core.events import Leaf, Tag

_PLOTTED = (Tag.REQUEST_RECEIVED, Tag.CLIP_RELEASED, Tag.CLIP_HELD, Tag.CLIP_REFUSED)
_UNSAID = "not said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long something took, in milliseconds: how often it was measured, median, 95th percentile, longest."""

    count: int
    median_ms: int
    p95_ms: int
    longest_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A rate of a preemptive suite, with its 95 % Wilson interval; `better` is high or low."""

    case: str
    hits: int
    trials: int
    low: float
    high: float
    better: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """The last run of a preemptive suite up to the end of the period."""

    suite: str
    at: str
    passed: bool
    quick: bool
    result: str
    """SHA-256 of the whole result."""
    failed: tuple[str, ...]
    rates: tuple[Measured, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened in [since, until) of the log `origin`, whose first `size` entries were read.

    Counts are of events, not of requests: a request that was held at the prompt and again at the screening
    is two holds. `days` has the received, released, held and refused of each day (UTC) on which any was.
    """

    origin: str
    size: int
    root: str
    since: str
    until: str
    partner: str | None
    events: Mapping[str, int]
    requests_by_kind: Mapping[str, int]
    requests_by_territory: Mapping[str, int]
    decisions: Mapping[str, Mapping[str, int]]
    refusals_by_category: Mapping[str, int]
    refusals_by_rule: Mapping[str, int]
    holds_by_category: Mapping[str, int]
    holds_by_rule: Mapping[str, int]
    policies: Mapping[str, int]
    models: Mapping[str, int]
    reviews: Mapping[str, int]
    reviews_final: int
    reviews_overturned: int
    appeals: Mapping[str, int]
    """`made`, `decided` and `granted` in the period."""
    review_waits: Waits | None
    release_waits: Waits | None
    erasures: Mapping[str, int]
    days: Mapping[str, Mapping[str, int]]
    audits: tuple[Audited, ...]


@dataclass(slots=True)
class _Tally:
    """The running counts; grows with the number of rules and reviews, not with the number of events."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    waits: dict[str, list[int]] = field(default_factory=lambda: {"review": [], "release": []})
    audits: dict[str, Audited] = field(default_factory=dict)
    appealed: set[str | None] = field(default_factory=set)

    def add(self, name: str, *what: str) -> None:
        self.counts.setdefault(name, Counter()).update(what)

    def named(self, name: str) -> dict[str, int]:
        """Give a count, the most frequent first, ties by name."""
        counted = self.counts.get(name, Counter())
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def nested(self, prefix: str) -> dict[str, dict[str, int]]:
        names = sorted(name for name in self.counts if name.startswith(prefix))
        return {name.removeprefix(prefix): self.named(name) for name in names}


def report(
    leaves: Iterable[Leaf],
    *,
    origin: str,
    size: int,
    root: bytes,
    since_ms: int,
    until_ms: int,
    partner: str | None = None,
) -> Report:
    """Count the leaves of [since_ms, until_ms), of one partner or of all; BadInput when the period is empty.

    Preemptive audits are those of the installation, and the last of each suite counts, also from before.
    """
    if since_ms >= until_ms:
        raise BadInput("The period ends before it begins.")
    tally = _Tally()
    for leaf in leaves:
        if leaf.tag == Tag.AUDIT_RAN and leaf.at_ms < until_ms:
            tally.audits[str(leaf.facts["suite"])] = _audited(leaf)
        if leaf.tag == Tag.CLIP_APPEALED:
            # An appeal from before the period may be decided within it.
            tally.appealed.add(leaf.job)
        if since_ms <= leaf.at_ms < until_ms and (partner is None or leaf.partner == partner):
            _count(tally, leaf)
    return _report(tally, (origin, size, root), (since_ms, until_ms), partner)


def _count(tally: _Tally, leaf: Leaf) -> None:
    facts = leaf.facts
    tally.add("events", leaf.tag)
    if leaf.tag in _PLOTTED:
        tally.add(f"day {iso(leaf.at_ms)[:10]}", leaf.tag.partition(":")[2])
    match leaf.tag:
        case Tag.REQUEST_RECEIVED:
            tally.add("kind", str(facts.get("kind", _UNSAID)))
            tally.add("territory", str(facts.get("territory", _UNSAID)))
        case Tag.POLICY_DECIDED:
            _count_decision(tally, facts)
        case Tag.CLIP_REFUSED | Tag.CLIP_REJECTED:
            _count_why(tally, "refusals", facts)
        case Tag.CLIP_HELD:
            _count_why(tally, "holds", facts)
        case Tag.REVIEW_DECIDED:
            _count_review(tally, leaf)
        case Tag.CLIP_APPEALED:
            tally.add("appeals", "made")
        case Tag.CLIP_RELEASED:
            tally.waits["release"] += [facts["took"]] if "took" in facts else []
        case Tag.SUBJECT_ERASED:
            tally.add("erasures", str(facts.get("kind", _UNSAID)))
        case _:
            pass


def _count_decision(tally: _Tally, facts: Mapping[str, Any]) -> None:
    tally.add(f"decision {facts['stage']}", str(facts["outcome"]))
    tally.add(
        "policies", f"{facts.get('policy', '')} {facts.get('version', '')} {facts['pack'][:16]}".strip()
    )
    tally.add("models", *(f"{model['name']} {model['sha256'][:16]}" for model in facts.get("models", ())))


def _count_why(tally: _Tally, what: str, facts: Mapping[str, Any]) -> None:
    tally.add(f"{what} by category", *(facts.get("categories") or (_UNSAID,)))
    tally.add(f"{what} by rule", *(facts.get("rules") or (_UNSAID,)))


def _count_review(tally: _Tally, leaf: Leaf) -> None:
    facts = leaf.facts
    tally.add("reviews", str(facts.get("verdict", _UNSAID)))
    if facts.get("final"):
        if leaf.job in tally.appealed:
            tally.add("appeals", "decided", *(["granted"] if facts["overturned"] else []))
        tally.add("reviewed", "final", *(["overturned"] if facts["overturned"] else []))
        tally.waits["review"].append(facts["waited"])


def _audited(leaf: Leaf) -> Audited:
    facts = leaf.facts
    return Audited(
        suite=str(facts["suite"]),
        at=iso(leaf.at_ms),
        passed=bool(facts["passed"]),
        quick=bool(facts["quick"]),
        result=str(facts["result"]),
        failed=tuple(facts["failed"]),
        rates=tuple(_measured(rate) for rate in facts["rates"]),
    )


def _measured(rate: Mapping[str, Any]) -> Measured:
    low, high = wilson(rate["hits"], rate["trials"])
    return Measured(
        case=rate["case"],
        hits=rate["hits"],
        trials=rate["trials"],
        low=low,
        high=high,
        better=rate["better"],
    )


def _waits(measured: list[int]) -> Waits | None:
    if not measured:
        return None
    # With one value `quantiles` has nothing to interpolate between.
    cuts = quantiles(measured, n=20, method="inclusive") if len(measured) > 1 else measured * 19
    return Waits(
        count=len(measured), median_ms=round(cuts[9]), p95_ms=round(cuts[18]), longest_ms=max(measured)
    )


def _report(
    tally: _Tally, log: tuple[str, int, bytes], period: tuple[int, int], partner: str | None
) -> Report:
    reviewed = tally.counts.get("reviewed", Counter())
    return Report(
        origin=log[0],
        size=log[1],
        root=log[2].hex(),
        since=iso(period[0]),
        until=iso(period[1]),
        partner=partner,
        events=tally.named("events"),
        requests_by_kind=tally.named("kind"),
        requests_by_territory=tally.named("territory"),
        decisions=tally.nested("decision "),
        refusals_by_category=tally.named("refusals by category"),
        refusals_by_rule=tally.named("refusals by rule"),
        holds_by_category=tally.named("holds by category"),
        holds_by_rule=tally.named("holds by rule"),
        policies=tally.named("policies"),
        models=tally.named("models"),
        reviews=tally.named("reviews"),
        reviews_final=reviewed["final"],
        reviews_overturned=reviewed["overturned"],
        appeals=tally.named("appeals"),
        review_waits=_waits(tally.waits["review"]),
        release_waits=_waits(tally.waits["release"]),
        erasures=tally.named("erasures"),
        days=tally.nested("day "),
        audits=tuple(tally.audits[name] for name in sorted(tally.audits)),
    )
