"""A policy pack as it is written in YAML: what may stand in it, checked before anything is compiled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from core.decision import Outcome, Stage
from core.errors import PolicyError

MAX_BYTES = 1 << 20
_MAX_DEPTH = 24
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Sentence = Annotated[str, StringConstraints(min_length=8, max_length=600, strip_whitespace=True)]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,31}$")]
Source = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Threshold = Annotated[float, Field(allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Strict(BaseModel):
    """What is written in YAML: nothing beside what is declared, and no type turned into another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RuleText(Strict):
    """One rule: it fires when `when` is true and, if `evidence` is named, an item of it passes `where`.

    In `where` the item is called `it`; `threshold` is visible to both. `message` and `advice` may quote
    fields of the first item that passed, as `$field`. `level` names a threshold of the pack's own list, in which all
    that come from measuring stand together. An overlay may soften a rule only where it is `loosenable`
    (policies/overlay.py), which a grave one never is.
    """

    id: Name
    stage: Stage
    outcome: Outcome
    category: Name
    reason_code: Name
    message: Sentence
    advice: Sentence
    grave: bool = False
    loosenable: bool = False
    when: Source | None = None
    evidence: Name | None = None
    where: Source | None = None
    threshold: Threshold | None = None
    level: Name | None = None

    @model_validator(mode="after")
    def _has_a_condition(self) -> RuleText:
        if (self.evidence is None) != (self.where is None):
            raise ValueError("`evidence` and `where` go together")
        if self.when is None and self.where is None:
            raise ValueError("a rule needs `when`, or `evidence` and `where`")
        if self.level is not None and self.threshold is not None:
            raise ValueError("a rule has a `threshold` or names a `level`, not both")
        if self.grave and self.loosenable:
            raise ValueError("a grave rule is not loosenable")
        return self


class CaseText(Strict):
    """An inline test: whether `rule` fires on `facts`, which are completed with those of a harmless request."""

    rule: Name
    fires: bool
    facts: dict[str, Any]


class StrikesText(Strict):
    """What a refusal costs the partner's user who asked, for how many days, and from which sums on what follows.

    `weights` are by category, `grave` and `other` for the rest; `slow` allows `per_hour` requests, `hold` has people
    look at each, `suspend` ends them until the strikes expire or are lifted.
    """

    days: int = Field(ge=1, le=3650)
    weights: Mapping[Name, Weight] = Field(default={}, strict=False)
    grave: Weight
    other: Weight
    slow: Weight
    hold: Weight
    suspend: Weight
    per_hour: int = Field(ge=1, le=100_000)

    @model_validator(mode="after")
    def _rises(self) -> StrikesText:
        if not 0 < self.slow <= self.hold <= self.suspend:
            raise ValueError("slow, hold and suspend must rise, from above 0")
        return self


class PackText(Strict):
    """A whole pack."""

    name: Name
    version: Version
    thresholds: Mapping[Name, Threshold] = Field(default={}, max_length=500, strict=False)
    rules: tuple[RuleText, ...] = Field(min_length=1, max_length=2000, strict=False)
    tests: tuple[CaseText, ...] = Field(default=(), max_length=20_000, strict=False)
    strikes: StrikesText | None = None


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_T = TypeVar("_T", bound=Strict)


class _Loader(_Safe):  # type: ignore[misc]
    """YAML without repeated keys: a second `where` would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(repr(self.construct_object(key, deep=True)) for key, _ in node.value)
        twice = [key for key, count in keys.items() if count > 1]
        if twice:
            raise yaml.MarkedYAMLError(problem=f"{', '.join(twice)} twice", problem_mark=node.start_mark)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def parse(content: bytes) -> PackText:
    """Read a pack's bytes; raise `PolicyError` naming the line or the field."""
    text = read_as(PackText, content)
    return text.model_copy(update={"rules": leveled(text.rules, text.thresholds)})


def leveled(rules: Iterable[RuleText], thresholds: Mapping[str, float]) -> tuple[RuleText, ...]:
    """Give the rules with the thresholds that they name; raise `PolicyError` where there is none of that name."""
    made = []
    for rule in rules:
        if rule.level is not None and rule.level not in thresholds:
            raise PolicyError(f"{rule.id}: level: the thresholds have no {rule.level}")
        number = rule.threshold if rule.level is None else thresholds[rule.level]
        made.append(rule.model_copy(update={"threshold": number}))
    return tuple(made)


def read_as(kind: type[_T], content: bytes) -> _T:
    """Read YAML as one kind of document; raise `PolicyError` naming the line or the field.

    At most 1 MiB, 24 levels deep and without aliases, so that a small file cannot grow into a large one.
    """
    return checked_as(kind, plain(content))


def plain(content: bytes) -> Any:
    """Read YAML into plain values, under the limits of `read_as`."""
    if len(content) > MAX_BYTES:
        raise PolicyError(f"it has {len(content)} bytes; at most {MAX_BYTES} are read")
    try:
        _bounded(content)
        return yaml.load(content, _Loader)  # noqa: S506  a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise PolicyError(f"not readable as YAML: {error}") from error


def checked_as(kind: type[_T], value: Any) -> _T:
    """Check plain values against a kind of document; raise `PolicyError` naming the field."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise PolicyError(_explained(error)) from error


def _mark(event: Any) -> Any:
    return event.start_mark


def _bounded(content: bytes) -> None:
    depth = 0
    for event in yaml.parse(content, _Safe):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not read here", problem_mark=_mark(event))
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"deeper than {_MAX_DEPTH} levels", problem_mark=_mark(event))


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the pack"
    return f"{where}: {first['msg']}"
