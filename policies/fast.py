"""Ask all rules of a stage at once whether they fire; CEL answers a list, and only what fires is looked at singly.

This is a shortcut and no second meaning: where anything gives an error each rule is asked by itself, as is every
rule that fires. tests/policies/test_fast.py compares both ways.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.decision import Stage
from core.errors import PolicyError
from policies import facts as fact
from policies.cel import Language, Messages, Several
from policies.pack import RuleText

_AT_ONCE = 64
_SCORES = "score_items"
"""The list of {category, score} as CEL sees it; no rule can name it, since rules are compiled without it first."""

_THRESHOLD = re.compile(
    r"""
    (?P<text>[rRbB]{0,2}(?:\"{3}.*?\"{3}|\'{3}.*?\'{3}|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')|//[^\n]*)
    |(?P<threshold>(?<![\w.])threshold(?!\w))
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a first look at all rules gave: whether each fires (None: ask it), and the facts as CEL holds them."""

    firing: list[bool | None]
    activation: Any


@dataclass(frozen=True, slots=True)
class Shortcut:
    """Rules of one stage, in order, compiled in bundles; `filters` are compiled when a rule first fires."""

    stage: Stage
    language: Language
    bundles: tuple[Several, ...]
    filters: dict[str, Several] = field(default_factory=dict, compare=False, repr=False)

    def look(self, facts: Mapping[str, Any], bindings: Mapping[str, Any], messages: Messages) -> Look:
        """Say for each rule whether it fires, or that it must be asked since a rule of its bundle gave an error.

        Where a rule fires, its `when` is true; an item of its evidence may still give an error.
        """
        known = dict(bindings)
        if "scores" in bindings:
            shape = fact.Many(fact.evidence_shapes(self.stage)["scores"])
            known[_SCORES] = messages.value(shape, fact.items(facts, "scores"))
        activation = self.language.bound(known)
        found: list[bool | None] = []
        for bundle in self.bundles:
            found += bundle.hold(activation) or [None] * bundle.count
        return Look(found, activation)

    def passing(self, rule: RuleText, count: int, activation: Any) -> list[bool] | None:
        """Say of each of `count` items of a rule's evidence whether it passes; None where any gives an error."""
        if rule.id not in self.filters:
            where = _settled(str(rule.where), rule.threshold)
            try:
                made = self.language.one(f"{_items(rule)}.map(it, {where}\n)")
            except PolicyError:
                return None
            self.filters[rule.id] = made
        return self.filters[rule.id].hold(activation, count)


def shortcut(stage: Stage, rules: Sequence[RuleText], messages: Messages) -> Shortcut:
    """Bundle rules that compiled by themselves; a bundle that does not compile is left to be asked rule by rule."""
    variables: dict[str, fact.Shape] = dict(fact.STAGES[stage])
    shapes = fact.evidence_shapes(stage)
    if "scores" in shapes:
        variables[_SCORES] = fact.Many(shapes["scores"])
    language = messages.language(variables)
    starts = range(0, len(rules), _AT_ONCE)
    bundles = tuple(_bundle(language, rules[start : start + _AT_ONCE]) for start in starts)
    return Shortcut(stage, language, bundles)


def _bundle(language: Language, rules: Sequence[RuleText]) -> Several:
    try:
        return language.several([_asking(rule) for rule in rules])
    except PolicyError:
        # A division by nothing: whoever asks is told to ask singly.
        return language.several(["1 / 0 == 1"] * len(rules))


def _asking(rule: RuleText) -> str:
    """Write a rule as one expression: an error of `when` is an error here too, and an item that passes is enough."""
    when = _settled(rule.when or "true", rule.threshold)
    if rule.where is None:
        return when
    where = _settled(rule.where, rule.threshold)
    return f"({when}\n) ? {_items(rule)}.exists(it, {where}\n) : false"


def _items(rule: RuleText) -> str:
    return _SCORES if rule.evidence == "scores" else str(rule.evidence)


def _settled(source: str, threshold: float | None) -> str:
    """Put the number in the place of the word `threshold`, but in no text and no field of that name."""
    number = f"({threshold or 0.0!r})"
    return _THRESHOLD.sub(lambda found: found["text"] or number, source)
