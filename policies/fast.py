"""Ask all rules of a stage at once whether they fire; CEL answers a list, and only what fires is looked at singly.

Rules without a `when` that look for one kind of thing in a list are not asked where nothing of that kind is there.
This is a shortcut and no second meaning: where anything gives an error each rule is asked by itself, as is every rule
that fires. tests/policies/test_fast.py compares both ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.decision import CATEGORIES, Stage
from core.errors import PolicyError
from policies import facts as fact
from policies.cel import Language, Messages, Several
from policies.expressions import conjuncts, tokens
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


_ONE_KIND = re.compile(r"it\.(category|kind) == '([^'\\]*)'")
_ITEM = re.compile(r"\bit\.(category|score)\b")
_Key = tuple[str, str, str]
"""A list of facts, a field of its items, and the value that a rule asks for; the last two are empty for any item."""


@dataclass(frozen=True, slots=True)
class _Bundle:
    """Rules by their places among those of the stage, and what must be there for any of them to fire (None: ask)."""

    places: tuple[int, ...]
    several: Several
    key: _Key | None

    def may_fire(self, facts: Mapping[str, Any]) -> bool:
        """Tell if there is anything that the rules look for."""
        if self.key is None:
            return True
        name, of, value = self.key
        return any(not of or item[of] == value for item in facts[name])


@dataclass(frozen=True, slots=True)
class Shortcut:
    """Rules of one stage, compiled in bundles; `filters` are compiled when a rule first fires."""

    stage: Stage
    language: Language
    count: int
    bundles: tuple[_Bundle, ...]
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
        found: list[bool | None] = [False] * self.count
        for bundle in self.bundles:
            if bundle.may_fire(facts):
                fires: Sequence[bool | None] = bundle.several.hold(activation) or [None] * len(bundle.places)
                for place, one in zip(bundle.places, fires, strict=True):
                    found[place] = one
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
    places: dict[_Key | None, list[int]] = {}
    for place, rule in enumerate(rules):
        places.setdefault(_key(rule), []).append(place)
    bundles = tuple(
        _Bundle(
            tuple(some[start : start + _AT_ONCE]),
            _bundle(language, [rules[at] for at in some[start : start + _AT_ONCE]]),
            key,
        )
        for key, some in places.items()
        for start in range(0, len(some), _AT_ONCE)
    )
    return Shortcut(stage, language, len(rules), bundles)


def _key(rule: RuleText) -> _Key | None:
    """Say what must be there for a rule to fire; CEL's `false && error` is false, so the rest of it does not matter."""
    if rule.when is not None or rule.where is None or rule.evidence in {None, "scores"}:
        return None
    kind = _kind(rule)
    return (str(rule.evidence), *(kind or ("", "")))


def _kind(rule: RuleText) -> tuple[str, str] | None:
    """Give the field and the value that every item must have to pass, where the rule says so outright."""
    for part in _parts(str(rule.where)):
        if found := _ONE_KIND.fullmatch(part):
            return found[1], found[2]
    return None


def _parts(source: str) -> Iterator[str]:
    """List what must be true for an expression to be true, out of its brackets."""
    for part in sorted(conjuncts(source)):
        inner = part[1:-1] if part.startswith("(") and part.endswith(")") else ""
        if inner and _closed(inner):
            yield from _parts(inner)
        else:
            yield part


def _closed(source: str) -> bool:
    """Tell if no bracket of a text closes one that was opened outside it."""
    depth = 0
    for word in tokens(source):
        depth += (word in {"(", "[", "{"}) - (word in {")", "]", "}"})
        if depth < 0:
            return False
    return depth == 0


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
    passes = _of_one_score(rule, where) or f"{_items(rule)}.exists(it, {where}\n)"
    return passes if rule.when is None else f"({when}\n) ? ({passes}\n) : false"


def _items(rule: RuleText) -> str:
    return _SCORES if rule.evidence == "scores" else str(rule.evidence)


def _of_one_score(rule: RuleText, where: str) -> str | None:
    """Put the score of the one category that a rule asks for in the place of an item, where it names one."""
    kind = _kind(rule) if rule.evidence == "scores" else None
    if kind is None or kind[1] not in CATEGORIES:
        return None
    plain = _ITEM.sub(lambda found: repr(kind[1]) if found[1] == "category" else f"scores.{kind[1]}", where)
    return None if re.search(r"\bit\b", plain) else plain


def _settled(source: str, threshold: float | None) -> str:
    """Put the number in the place of the word `threshold`, but in no text and no field of that name."""
    number = f"({threshold or 0.0!r})"
    return _THRESHOLD.sub(lambda found: found["text"] or number, source)
