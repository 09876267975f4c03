"""Facts in, decision out: packs of typed rules, most severe outcome first, in doubt held."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template
from typing import Any

from core.decision import Decision, Outcome, RuleHit, Stage
from core.errors import PolicyError
from policies import always
from policies import facts as fact
from policies.always import Case, Floor
from policies.cel import Bindings, Condition, EvaluationFailed, Language, Messages
from policies.facts import STAGES
from policies.fast import Look, Shortcut, shortcut
from policies.pack import MAX_BYTES, CaseText, PackText, RuleText, parse

SEVERITY: Mapping[Outcome, int] = {"allow": 0, "hold": 1, "refuse": 2}
GATE_CATEGORIES = ("likeness", "voice", "language", "gate")
"""Categories of rules that are about the gate itself or about what was seen, beside `CATEGORIES`."""

BROKEN = frozenset(("policy_error", "facts_incomplete"))
"""Reason codes of holds because a rule or the facts were not in order."""

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
    """A loaded pack; `sha256` is the hex digest of the file it was read from.

    With overlays (policies/overlay.py) `sha256` names the whole, `layers` the files it was put together from, and
    `content` is empty.
    """

    name: str
    version: str
    sha256: str
    rules: tuple[Rule, ...]
    tests: tuple[CaseText, ...]
    messages: Messages
    text: PackText
    ways: Mapping[Stage, Shortcut]
    layers: tuple[str, ...] = ()
    content: bytes = field(default=b"", repr=False)

    def decide(self, stage: Stage, facts: Mapping[str, Any]) -> Decision:
        """Decide on facts as JSON; the same facts always give the same decision.

        A missing or mistyped fact, or a rule that cannot be evaluated, holds. Raises `PolicyError` where
        the facts cannot be written as JSON, since no record could replay such a decision.
        """
        return self.replay(stage, _as_json(facts))

    def replay(self, stage: Stage, facts: dict[str, Any]) -> Decision:
        """Decide on facts that were read from JSON, as a stored decision holds them."""
        found = fact.problems(stage, facts)
        hits = (_incomplete(found),) if found else tuple(self.hits(stage, facts))
        outcome: Outcome = max((hit.outcome for hit in hits), key=SEVERITY.__getitem__, default="allow")
        return Decision(
            stage=stage,
            outcome=outcome,
            rules=hits,
            pack=self.name,
            version=self.version,
            pack_sha256=self.sha256,
            facts=facts,
            consents=_consents(hits),
            layers=self.layers,
        )

    def hits(self, stage: Stage, facts: Mapping[str, Any]) -> Iterator[RuleHit]:
        """Give the rules that fire on facts that were checked, as they are found."""
        value = self.messages.value
        try:
            bindings = {name: value(shape, facts[name]) for name, shape in STAGES[stage].items()}
            look = self.ways[stage].look(facts, bindings, self.messages)
        except ValueError as error:
            yield _incomplete((str(error),))
            return
        mine = (rule for rule in self.rules if rule.text.stage == stage)
        for rule, fires in zip(mine, look.firing, strict=True):
            if fires is False:
                continue
            hit = self._hit(rule, facts, bindings, look, asked=fires is True)
            if hit is not None:
                yield hit

    def _hit(
        self, rule: Rule, facts: Mapping[str, Any], bindings: Bindings, look: Look, *, asked: bool
    ) -> RuleHit | None:
        """Ask one rule; one whose `when` was `asked` already, and is true, is not asked for that again."""
        known = {**bindings, "threshold": rule.text.threshold or 0.0}
        try:
            if rule.when is not None and not asked and not rule.when.holds(known):
                return None
            if rule.where is None:
                return _fired(rule.text, ())
            passed = self._passing(rule.text, rule.where, facts, known, look)
        except EvaluationFailed as error:
            return _failed(rule.text, str(error))
        return _fired(rule.text, passed) if passed else None

    def _passing(
        self, rule: RuleText, where: Condition, facts: Mapping[str, Any], known: Bindings, look: Look
    ) -> list[dict[str, Any]]:
        name = str(rule.evidence)
        items = fact.items(facts, name)
        passes = self.ways[rule.stage].passing(rule, len(items), look.activation)
        if passes is not None:
            return [item for item, good in zip(items, passes, strict=True) if good]
        # An item gave an error: one after the other, as far as the first of those.
        shape = fact.evidence_shapes(rule.stage)[name]
        value = self.messages.value
        return [item for item in items if where.holds({**known, "it": value(shape, item)})]


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

    A pack that does not refuse the cases of `cases/always.yaml` is not loaded: those hold in every
    installation, for everybody, whatever else a pack says (policies/always.py).
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PolicyError(f"the pack {path.name} cannot be read: {error.strerror}") from error
    return load_bytes(content)


def load_bytes(content: bytes) -> Pack:
    """Check and compile a pack from the bytes of its file, as `load` does."""
    return replace(assembled(parse(content), hashlib.sha256(content).hexdigest()), content=content)


def assembled(text: PackText, sha256: str, layers: tuple[str, ...] = ()) -> Pack:
    """Compile a pack from its text under a digest that names it; raise `PolicyError` as `load` does."""
    ids = Counter(rule.id for rule in text.rules)
    twice = [name for name, count in ids.items() if count > 1]
    if twice:
        raise PolicyError(f"more than one rule is called {', '.join(twice)}")
    messages = Messages(shape for stage in STAGES for shape in _shapes(stage))
    languages: _Languages = {}
    for stage, facts in STAGES.items():
        languages |= _languages(stage, messages, facts)
    rules = tuple(_compiled(rule, languages) for rule in text.rules)
    named = (text.name, text.version, sha256)
    pack = Pack(*named, rules, text.tests, messages, text, _ways(rules, messages), layers)
    _refuses_what_is_always_refused(pack)
    return pack


def _ways(rules: Iterable[Rule], messages: Messages) -> dict[Stage, Shortcut]:
    known = [rule.text for rule in rules]
    return {
        stage: shortcut(stage, [one for one in known if one.stage == stage], messages) for stage in STAGES
    }


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
    for floor in always.FLOORS:
        counted = _seeing_little(pack, floor)
        for case in floor.cases():
            if not any(_meets(hit, case) for hit in counted.hits("prompt", case.facts)):
                how = "as grave, " if case.grave else ""
                raise PolicyError(f"{pack.name} must {case.least}, {how}{floor.how}: {case.what}")


def _meets(hit: RuleHit, case: Case) -> bool:
    strong = SEVERITY[hit.outcome] >= SEVERITY[case.least] and (hit.grave or not case.grave)
    return strong and hit.reason_code not in BROKEN


def _seeing_little(pack: Pack, floor: Floor) -> Pack:
    """Keep the rules that can be compiled, and then decide, on what the floor lets them see."""
    messages = Messages(
        [*({**STAGES["prompt"], **floor.visible}).values(), fact.evidence_shapes("prompt")["scores"]]
    )
    languages = _languages("prompt", messages, floor.visible)
    rules = []
    for rule in pack.rules:
        if rule.text.outcome != "allow":
            with suppress(PolicyError):
                rules.append(_compiled(rule.text, languages))
    ways: dict[Stage, Shortcut] = {"prompt": shortcut("prompt", [rule.text for rule in rules], messages)}
    return replace(pack, rules=tuple(rules), messages=messages, ways=ways)
