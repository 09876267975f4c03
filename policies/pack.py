"""A policy pack as it is written in YAML: what may stand in it, checked before anything is compiled."""

from __future__ import annotations

from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from core.decision import Outcome, Stage
from core.errors import PolicyError

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Sentence = Annotated[str, StringConstraints(min_length=8, strip_whitespace=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RuleText(_Strict):
    """One rule: it fires when `when` is true and, if `evidence` is named, an item of it passes `where`.

    In `where` the item is called `it`; `threshold` is visible to both. `message` and `advice` may quote
    fields of the first item that passed, as `$field`.
    """

    id: Name
    stage: Stage
    outcome: Outcome
    category: Name
    reason_code: Name
    message: Sentence
    advice: Sentence
    grave: bool = False
    when: str | None = None
    evidence: Name | None = None
    where: str | None = None
    threshold: float | None = None

    @model_validator(mode="after")
    def _has_a_condition(self) -> RuleText:
        if (self.evidence is None) != (self.where is None):
            raise ValueError("`evidence` and `where` go together")
        if self.when is None and self.where is None:
            raise ValueError("a rule needs `when`, or `evidence` and `where`")
        return self


class CaseText(_Strict):
    """An inline test: whether `rule` fires on `facts`, which are completed with those of a harmless request."""

    rule: Name
    fires: bool
    facts: dict[str, Any]


class PackText(_Strict):
    """A whole pack."""

    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,31}$")]
    rules: tuple[RuleText, ...] = Field(min_length=1, strict=False)
    tests: tuple[CaseText, ...] = Field(default=(), strict=False)


class _Loader(yaml.SafeLoader):
    """YAML without repeated keys: a second `where` would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.MarkedYAMLError(problem=f"{', '.join(twice)} twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def parse(content: bytes) -> PackText:
    """Read a pack's bytes; raise `PolicyError` naming the line or the field."""
    try:
        return PackText.model_validate(yaml.load(content, _Loader))  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        raise PolicyError(f"not readable as YAML: {error}") from error
    except ValidationError as error:
        raise PolicyError(_explained(error)) from error


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the pack"
    return f"{where}: {first['msg']}"
