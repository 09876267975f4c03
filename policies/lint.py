"""What a reviewer of a pack would object to, beside what `load` already refuses, and the pack's own tests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from string import Template

from core.decision import CATEGORIES, Stage
from policies import facts as fact
from policies.engine import BROKEN, GATE_CATEGORIES, SEVERITY, Pack
from policies.expressions import conjuncts, names, words_compared
from policies.pack import CaseText, RuleText


def run_tests(pack: Pack) -> list[str]:
    """Run the inline tests of a pack and describe each that fails."""
    stages = {rule.text.id: rule.text.stage for rule in pack.rules}
    return [
        failure for number, case in enumerate(pack.tests) if (failure := _failure(pack, stages, number, case))
    ]


def _failure(pack: Pack, stages: Mapping[str, Stage], number: int, case: CaseText) -> str | None:
    if case.rule not in stages:
        return f"tests[{number}]: there is no rule {case.rule}"
    stage = stages[case.rule]
    decision = pack.decide(stage, fact.filled(stage, case.facts))
    hit = next((hit for hit in decision.rules if hit.id == case.rule), None)
    if any(hit.reason_code in BROKEN for hit in decision.rules):
        return f"tests[{number}]: {decision.rules[0].evidence}"
    if (hit is not None) != case.fires:
        return f"tests[{number}]: {case.rule} {'did not fire' if case.fires else 'fired'}"
    return None


def lint(pack: Pack) -> list[str]:
    """Describe what is wrong or useless: rules without tests, rules that can never fire or never matter.

    A rule needs a test in which it fires (which shows that it can) and one in which it does not, a known category,
    texts that quote only fields of its evidence, and words that its facts can hold. It uses its threshold, and no
    earlier rule does all that it does.
    """
    texts = [rule.text for rule in pack.rules]
    found = [
        f"{text.id}: {objection}"
        for number, text in enumerate(texts)
        for objection in (*_objections(text, pack.tests), *_shadows(text, texts[:number]))
    ]
    return found + list(_of_pack(pack))


def _objections(rule: RuleText, tests: Iterable[CaseText]) -> list[str]:
    tested = {case.fires for case in tests if case.rule == rule.id}
    quotable = set(fact.evidence_shapes(rule.stage)[rule.evidence].fields) if rule.evidence else set()
    quotable |= {"threshold"} if rule.threshold is not None else set()
    unknown = set(Template(rule.message + rule.advice).get_identifiers()) - quotable
    uses = "threshold" in names(f"{rule.when or ''}\n{rule.where or ''}")
    checks = {
        "no test in which it fires": True not in tested,
        "no test in which it stays quiet": False not in tested,
        f"the category {rule.category} is not known": rule.category not in CATEGORIES + GATE_CATEGORIES,
        f"its texts quote {', '.join(sorted(unknown))}, which its evidence lacks": bool(unknown),
        "it is grave but does not refuse": rule.grave and rule.outcome != "refuse",
        "its threshold is never used": rule.threshold is not None and not uses,
        "it uses a threshold and has none": rule.threshold is None and uses,
    }
    return [objection for objection, wrong in checks.items() if wrong] + list(_unreachable(rule))


def _unreachable(rule: RuleText) -> Iterator[str]:
    """Object to words that a fact never holds, and to conditions that are never true."""
    for part in filter(None, (rule.when, rule.where)):
        if "false" in conjuncts(part):
            yield "it can never fire: one of its conditions is false"
        for record, field, word in words_compared(rule.stage, rule.evidence, part):
            if word not in fact.WORDS[record][field]:
                yield f"it can never fire on '{word}': no {field} of {record} is called that"
        for low, high in _bounds(part):
            if low > high:
                yield f"it can never fire: nothing is at least {low:g} and at most {high:g}"
    scored = rule.evidence == "scores" or "scores." in (rule.when or "") + (rule.where or "")
    if scored and rule.threshold is not None and not 0 < rule.threshold <= 1:
        yield f"scores lie between 0 and 1, its threshold is {rule.threshold:g}"


_AT_LEAST = re.compile(r"^([\w.]+) >=? (\d+(?:\.\d+)?)$")
_AT_MOST = re.compile(r"^([\w.]+) <=? (\d+(?:\.\d+)?)$")


def _bounds(part: str) -> Iterator[tuple[float, float]]:
    """Pair what one and the same value must be at least and at most."""
    all_of = conjuncts(part)
    lows = {found[1]: float(found[2]) for one in all_of if (found := _AT_LEAST.match(one))}
    highs = {found[1]: float(found[2]) for one in all_of if (found := _AT_MOST.match(one))}
    yield from ((lows[name], highs[name]) for name in lows.keys() & highs.keys())


def _shadows(rule: RuleText, earlier: Iterable[RuleText]) -> Iterator[str]:
    for other in earlier:
        if _does_all_of(other, rule):
            yield f"{other.id} fires whenever it does, with the same category and no milder outcome"


def _does_all_of(other: RuleText, rule: RuleText) -> bool:
    same = (other.stage, other.evidence, other.category) == (rule.stage, rule.evidence, rule.category)
    as_hard = SEVERITY[other.outcome] >= SEVERITY[rule.outcome] and other.grave >= rule.grave
    if not (same and as_hard and rule.outcome != "allow"):
        return False
    if not (_asks(other, "when") <= _asks(rule, "when") and _asks(other, "where") <= _asks(rule, "where")):
        return False
    return other.threshold is None or other.threshold <= (rule.threshold or other.threshold)


def _asks(rule: RuleText, part: str) -> frozenset[str]:
    source: str | None = getattr(rule, part)
    return conjuncts(source) if source else frozenset()


def _of_pack(pack: Pack) -> Iterator[str]:
    """Object to strikes that nothing comes of, and to the same words for different codes."""
    spoken = [f"{rule.text.when or ''}\n{rule.text.where or ''}" for rule in pack.rules]
    for level in ("hold", "suspend") if pack.text.strikes else ():
        if not any("user" in names(source) and f"'{level}'" in source for source in spoken):
            yield f"strikes: no rule speaks of user.level == '{level}'"
    codes = sorted(
        (rule.text.reason_code, rule.text.outcome) for rule in pack.rules if rule.text.outcome != "allow"
    )
    for (code, outcome), (again, other) in pairwise(codes):
        if code == again and outcome != other:
            yield f"the reason code {code} stands for {outcome} and for {other}"
