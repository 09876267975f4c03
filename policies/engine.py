"""Facts in, decision out: packs of typed rules, most severe outcome first, in doubt held."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

from core.decision import CATEGORIES, Decision, Outcome, RuleHit, Stage
from core.errors import PolicyError
from policies import always
from policies import facts as fact
from policies.cel import Bindings, Condition, EvaluationFailed, Language, Messages
from policies.facts import STAGES
from policies.pack import CaseText, RuleText, parse

SEVERITY: Mapping[Outcome, int] = {"allow": 0, "hold": 1, "refuse": 2}
GATE_CATEGORIES = ("likeness", "voice", "language", "gate")
"""Categories of rules that are about the gate itself or about what was seen, beside `CATEGORIES`."""

_Languages = dict[tuple[Stage, str | None], Language]
"""The language of a rule, by its stage and its evidence."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its expressions compiled."""

    text: RuleText
    when: Condition | None
    where: Condition | None


@dataclass(frozen=True, slots=True)
class Pack:
    """A loaded pack; `sha256` is the hex digest of the file it was read from."""

    name: str
    version: str
    sha256: str
    rules: tuple[Rule, ...]
    tests: tuple[CaseText, ...]
    messages: Messages

    def decide(self, stage: Stage, facts: Mapping[str, Any]) -> Decision:
        """Decide on facts as JSON; the same facts always give the same decision.

        A missing or mistyped fact, or a rule that cannot be evaluated, holds. Raises `PolicyError` where
        the facts cannot be written as JSON, since no record could replay such a decision.
        """
        known = _as_json(facts)
        found = fact.problems(stage, known)
        hits = (_incomplete(found),) if found else tuple(self._hits(stage, known))
        outcome: Outcome = max((hit.outcome for hit in hits), key=SEVERITY.__getitem__, default="allow")
        return Decision(
            stage=stage,
            outcome=outcome,
            rules=hits,
            pack=self.name,
            version=self.version,
            pack_sha256=self.sha256,
            facts=known,
            consents=_consents(hits),
        )

    def _hits(self, stage: Stage, facts: dict[str, Any]) -> Iterable[RuleHit]:
        value = self.messages.value
        bindings = {name: value(shape, facts[name]) for name, shape in STAGES[stage].items()}
        for rule in self.rules:
            if rule.text.stage == stage:
                hit = self._hit(rule, facts, bindings)
                if hit is not None:
                    yield hit

    def _hit(self, rule: Rule, facts: Mapping[str, Any], bindings: Bindings) -> RuleHit | None:
        known = {**bindings, "threshold": rule.text.threshold or 0.0}
        try:
            if rule.when is not None and not rule.when.holds(known):
                return None
            if rule.where is None:
                return _fired(rule.text, ())
            passed = self._passing(rule.text, rule.where, facts, known)
        except EvaluationFailed as error:
            return _failed(rule.text, str(error))
        return _fired(rule.text, passed) if passed else None

    def _passing(
        self, rule: RuleText, where: Condition, facts: Mapping[str, Any], known: Bindings
    ) -> list[dict[str, Any]]:
        name = str(rule.evidence)
        shape = fact.evidence_shapes(rule.stage)[name]
        return [
            item
            for item in fact.items(facts, name)
            if where.holds({**known, "it": self.messages.value(shape, item)})
        ]


def _as_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    try:
        copy: dict[str, Any] = json.loads(json.dumps(facts, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise PolicyError(f"the facts are not JSON: {error}") from error
    return copy


def _fired(rule: RuleText, passed: Iterable[dict[str, Any]]) -> RuleHit:
    shown = {} if rule.threshold is None else {"threshold": rule.threshold}
    evidence = tuple({**item, **shown} if "threshold" not in item else item for item in passed)
    first = evidence[0] if evidence else {}
    return RuleHit(
        id=rule.id,
        outcome=rule.outcome,
        reason_code=rule.reason_code,
        category=rule.category,
        message=Template(rule.message).safe_substitute(first),
        advice=Template(rule.advice).safe_substitute(first),
        grave=rule.grave,
        span=_span(first),
        view=first.get("view"),
        evidence=evidence,
    )


def _span(item: Mapping[str, Any]) -> tuple[int, int] | None:
    if "span" in item:
        return (item["span"][0], item["span"][1]) if len(item["span"]) == 2 else None
    if "view" in item:
        return item["start"], item["end"]
    return None


def _failed(rule: RuleText, why: str) -> RuleHit:
    return RuleHit(
        id=rule.id,
        outcome="hold",
        reason_code="policy_error",
        category="gate",
        message=f"The rule {rule.id} could not be evaluated, so the request is held.",
        advice="Wait for a reviewer; the operator has been given the reason.",
        grave=rule.grave,
        evidence=({"error": why},),
    )


def _incomplete(found: tuple[str, ...]) -> RuleHit:
    return RuleHit(
        id="facts_incomplete",
        outcome="hold",
        reason_code="facts_incomplete",
        category="gate",
        message="The gate did not learn all that its rules need to know, so the request is held.",
        advice="Wait for a reviewer; the operator has been given the reason.",
        evidence=tuple({"problem": problem} for problem in found[:16]),
    )


def _consents(hits: Iterable[RuleHit]) -> tuple[str, ...]:
    allowed = (item for hit in hits if hit.outcome == "allow" for item in hit.evidence)
    return tuple(sorted({item["consent"] for item in allowed if item.get("consent")}))


def default_pack() -> Path:
    """Locate the pack that a fresh installation decides by."""
    return Path(__file__).with_name("packs") / "default.yaml"


def load(path: Path) -> Pack:
    """Read, check and compile a pack; raise `PolicyError` naming the rule and the column.

    A pack that does not refuse the cases of `cases/always.yaml` as grave is not loaded: those hold in
    every installation, for everybody, whatever else a pack says (policies/always.py).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyError(f"the pack {path.name} cannot be read: {error.strerror}") from error
    text = parse(content)
    ids = Counter(rule.id for rule in text.rules)
    twice = [name for name, count in ids.items() if count > 1]
    if twice:
        raise PolicyError(f"more than one rule is called {', '.join(twice)}")
    messages = Messages(shape for stage in STAGES for shape in _shapes(stage))
    languages: _Languages = {}
    for stage, facts in STAGES.items():
        languages |= _languages(stage, messages, facts)
    rules = tuple(_compiled(rule, languages) for rule in text.rules)
    pack = Pack(text.name, text.version, hashlib.sha256(content).hexdigest(), rules, text.tests, messages)
    _refuses_what_is_always_refused(pack)
    return pack


def _shapes(stage: Stage) -> list[fact.Shape]:
    return [*STAGES[stage].values(), *fact.evidence_shapes(stage).values()]


def _languages(stage: Stage, messages: Messages, facts: Mapping[str, fact.Shape]) -> _Languages:
    """Give the language of every kind of rule of a stage: these facts, the rule's threshold, and its item."""
    items: dict[str | None, dict[str, fact.Shape]] = {None: {}}
    items |= {name: {"it": shape} for name, shape in fact.evidence_shapes(stage).items() if name in facts}
    variables = {**facts, "threshold": float}
    return {(stage, name): messages.language(variables | item) for name, item in items.items()}


def _compiled(rule: RuleText, languages: _Languages) -> Rule:
    if (rule.stage, rule.evidence) not in languages:
        raise PolicyError(f"{rule.id}: evidence: the stage {rule.stage} has no list {rule.evidence}")
    when = _condition(rule, "when", languages[rule.stage, None])
    return Rule(rule, when, _condition(rule, "where", languages[rule.stage, rule.evidence]))


def _condition(rule: RuleText, part: str, language: Language) -> Condition | None:
    source: str | None = getattr(rule, part)
    try:
        return None if source is None else language.compile(source)
    except PolicyError as error:
        raise PolicyError(f"{rule.id}: {part}: {error.message}") from error


def _refuses_what_is_always_refused(pack: Pack) -> None:
    counted = _seeing_little(pack)
    for what, facts in always.cases():
        if counted.decide("prompt", facts).outcome != "refuse":
            raise PolicyError(
                f"{pack.name} must refuse, as grave, by rules that look only at the categories of hits and at the "
                f"scores sexual and minors_sexual: {what}"
            )


def _seeing_little(pack: Pack) -> Pack:
    """Keep the grave refusals that can be compiled, and then decide, on `always.VISIBLE` alone."""
    messages = Messages(
        [*({**STAGES["prompt"], **always.VISIBLE}).values(), fact.evidence_shapes("prompt")["scores"]]
    )
    languages = _languages("prompt", messages, always.VISIBLE)
    rules = []
    for rule in pack.rules:
        if rule.text.grave and rule.text.outcome == "refuse":
            with suppress(PolicyError):
                rules.append(_compiled(rule.text, languages))
    return replace(pack, rules=tuple(rules), messages=messages)


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
    if any(hit.reason_code in {"facts_incomplete", "policy_error"} for hit in decision.rules):
        return f"tests[{number}]: {decision.rules[0].evidence}"
    if (hit is not None) != case.fires:
        return f"tests[{number}]: {case.rule} {'did not fire' if case.fires else 'fired'}"
    return None


def lint(pack: Pack) -> list[str]:
    """Describe what a reviewer of a pack would object to, beside what `load` already refuses.

    A rule needs a test in which it fires and one in which it does not, a known category, and texts that
    quote only fields of its evidence.
    """
    return [
        f"{rule.text.id}: {objection}"
        for rule in pack.rules
        for objection in _objections(rule.text, pack.tests)
    ]


def _objections(rule: RuleText, tests: Iterable[CaseText]) -> list[str]:
    tested = {case.fires for case in tests if case.rule == rule.id}
    quotable = set(fact.evidence_shapes(rule.stage)[rule.evidence].fields) if rule.evidence else set()
    unknown = set(Template(rule.message + rule.advice).get_identifiers()) - quotable
    checks = {
        "no test in which it fires": True not in tested,
        "no test in which it stays quiet": False not in tested,
        f"the category {rule.category} is not known": rule.category not in CATEGORIES + GATE_CATEGORIES,
        f"its texts quote {', '.join(sorted(unknown))}, which its evidence lacks": bool(unknown),
        "it is grave but does not refuse": rule.grave and rule.outcome != "refuse",
    }
    return [objection for objection, wrong in checks.items() if wrong]
