"""Overlays: what a partner, a territory or an election changes in the pack that everybody has.

An overlay may tighten any rule and add rules of its own. It may soften a rule only where the pack marks it as
`loosenable`, and never one without which no pack loads (policies/always.py tries the whole that comes out). An
election may only tighten. Of several overlays the strictest counts, in whatever order they are laid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from core.clock import milliseconds
from core.decision import Outcome
from core.errors import PolicyError
from policies.engine import SEVERITY, Pack, assembled
from policies.expressions import rises
from policies.pack import (
    CaseText,
    Name,
    PackText,
    RuleText,
    Sentence,
    Strict,
    Threshold,
    Version,
    checked_as,
    leveled,
    plain,
)
from policies.places import covers, overlap

Kind = Literal["pack", "overlay", "election"]
Place = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
Person = Annotated[str, StringConstraints(min_length=2, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class ChangeText(Strict):
    """What becomes of one rule: another outcome, another threshold, or nothing at all (`off`)."""

    rule: Name
    outcome: Literal["hold", "refuse"] | None = None
    threshold: Threshold | None = None
    off: bool = False

    @model_validator(mode="after")
    def _changes(self) -> ChangeText:
        if self.off == (self.outcome is not None or self.threshold is not None):
            raise ValueError("a change has an outcome, a threshold or both, or is `off`")
        return self


class OverlayText(Strict):
    """An overlay for one partner, one territory, or one partner in one territory."""

    overlay: Name
    version: Version
    why: Sentence
    partner: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")] = ""
    territory: Place | Literal[""] = ""
    changes: tuple[ChangeText, ...] = Field(default=(), max_length=2000, strict=False)
    rules: tuple[RuleText, ...] = Field(default=(), max_length=500, strict=False)
    tests: tuple[CaseText, ...] = Field(default=(), max_length=5000, strict=False)

    @model_validator(mode="after")
    def _is_for_somebody(self) -> OverlayText:
        if not (self.partner or self.territory):
            raise ValueError("an overlay is for a partner, a territory, or both")
        return self


class CandidateText(Strict):
    """Somebody who stands for election, and what else they are called."""

    name: Person
    aliases: tuple[Person, ...] = Field(default=(), max_length=32, strict=False)


class ElectionText(Strict):
    """An election: where, who stands, from when until when, and what is tightened meanwhile."""

    election: Name
    version: Version
    why: Sentence
    jurisdiction: Place
    starts: AwareDatetime
    ends: AwareDatetime
    candidates: tuple[CandidateText, ...] = Field(default=(), max_length=5000, strict=False)
    changes: tuple[ChangeText, ...] = Field(default=(), max_length=2000, strict=False)
    rules: tuple[RuleText, ...] = Field(default=(), max_length=500, strict=False)
    tests: tuple[CaseText, ...] = Field(default=(), max_length=5000, strict=False)

    @model_validator(mode="after")
    def _takes_time(self) -> ElectionText:
        if self.ends <= self.starts:
            raise ValueError("an election ends after it starts")
        return self


@dataclass(frozen=True, slots=True)
class Overlay:
    """A checked overlay or election; `sha256` is the digest of its file, times are milliseconds."""

    kind: Kind
    sha256: str
    text: OverlayText | ElectionText

    @property
    def name(self) -> str:
        """What it is called."""
        return self.text.overlay if isinstance(self.text, OverlayText) else self.text.election

    @property
    def place(self) -> str:
        """For which territory it is; "" for all."""
        return self.text.territory if isinstance(self.text, OverlayText) else self.text.jurisdiction

    @property
    def span(self) -> tuple[int | None, int | None]:
        """From when until when it holds; an overlay holds as long as it is active."""
        if isinstance(self.text, OverlayText):
            return None, None
        return milliseconds(self.text.starts), milliseconds(self.text.ends)

    @property
    def candidates(self) -> tuple[CandidateText, ...]:
        """Who stands."""
        return () if isinstance(self.text, OverlayText) else self.text.candidates

    def applies(self, partner: str, territory: str, now_ms: int) -> bool:
        """Tell whether it is for this request, which may say of no territory: then it is for all of them."""
        if isinstance(self.text, OverlayText):
            mine = self.text.partner in {"", partner}
            return mine and (not self.text.territory or covers(self.text.territory, territory))
        start, end = milliseconds(self.text.starts), milliseconds(self.text.ends)
        return start <= now_ms < end and overlap(self.text.jurisdiction, territory)


@dataclass(frozen=True, slots=True)
class Tightened:
    """What an overlay does to one rule."""

    rule: str
    before: float | None
    after: float | None
    outcome_before: Outcome
    outcome_after: Outcome | Literal["off"]


def read_kind(content: bytes) -> Kind:
    """Tell what kind of document this is by its first words; raise `PolicyError` where it is not readable."""
    value = plain(content)
    if isinstance(value, Mapping):
        for kind in ("overlay", "election"):
            if kind in value:
                return kind
    return "pack"


def read_overlay(content: bytes) -> Overlay:
    """Check the bytes of an overlay or an election; raise `PolicyError` naming the field."""
    value = plain(content)
    digest = hashlib.sha256(content).hexdigest()
    if isinstance(value, Mapping) and "election" in value:
        return Overlay("election", digest, checked_as(ElectionText, value))
    return Overlay("overlay", digest, checked_as(OverlayText, value))


def laid(base: Pack, overlays: Iterable[Overlay]) -> Pack:
    """Lay overlays over a pack; raise `PolicyError` where one softens what it may not, or what comes out is no pack."""
    ordered = sorted(overlays, key=lambda one: one.sha256)
    if not ordered:
        return base
    rules = {rule.id: rule for rule in base.text.rules}
    for one in ordered:
        _check_permitted(one, rules)
    changed = tuple(made for rule in base.text.rules if (made := _changed(rule, ordered)) is not None)
    added = tuple(rule for one in ordered for rule in _added(one, base.text))
    tests = tuple(case for one in ordered for case in one.text.tests)
    layers = (base.sha256, *(one.sha256 for one in ordered))
    whole = hashlib.sha256("\n".join(("greenlight overlays", *layers)).encode()).hexdigest()
    text = base.text.model_copy(update={"rules": changed + added, "tests": tests})
    return assembled(text, whole, layers)


def effects(base: PackText, overlay: Overlay) -> list[Tightened]:
    """List what an overlay does to the rules of a pack, for whoever approves it and for the log."""
    rules = {rule.id: rule for rule in base.rules}
    return [
        Tightened(
            change.rule,
            rules[change.rule].threshold,
            rules[change.rule].threshold if change.threshold is None else change.threshold,
            rules[change.rule].outcome,
            "off" if change.off else change.outcome or rules[change.rule].outcome,
        )
        for change in overlay.text.changes
        if change.rule in rules
    ]


def _check_permitted(overlay: Overlay, rules: Mapping[str, RuleText]) -> None:
    for change in overlay.text.changes:
        rule = rules.get(change.rule)
        if rule is None:
            raise PolicyError(f"{overlay.name}: the pack has no rule {change.rule}")
        if change.threshold is not None:
            _check_threshold(overlay, rule)
        softer = _softer(rule, change)
        if softer and overlay.kind == "election":
            raise PolicyError(f"{overlay.name}: an election may not soften {rule.id} ({softer})")
        if softer and not rule.loosenable:
            raise PolicyError(f"{overlay.name}: {rule.id} is not loosenable ({softer})")


def _check_threshold(overlay: Overlay, rule: RuleText) -> None:
    if rule.threshold is None:
        raise PolicyError(f"{overlay.name}: {rule.id} has no threshold")
    spoken = [part for part in (rule.when, rule.where) if part and "threshold" in part]
    if not all(rises(part) for part in spoken):
        raise PolicyError(
            f"{overlay.name}: which way is stricter cannot be told from the conditions of {rule.id}"
        )


def _softer(rule: RuleText, change: ChangeText) -> str:
    if change.off:
        return "off"
    if change.outcome is not None and SEVERITY[change.outcome] < SEVERITY[rule.outcome]:
        return f"{change.outcome} for {rule.outcome}"
    if change.threshold is not None and rule.threshold is not None and change.threshold > rule.threshold:
        return f"threshold {change.threshold:g} for {rule.threshold:g}"
    return ""


def _changed(rule: RuleText, overlays: Sequence[Overlay]) -> RuleText | None:
    """Give a rule as the strictest of the changes has it; None where all of them turn it off."""
    changes = [change for one in overlays for change in one.text.changes if change.rule == rule.id]
    if not changes:
        return rule
    kept = [change for change in changes if not change.off]
    if not kept:
        return None
    thresholds = [change.threshold for change in kept if change.threshold is not None]
    outcomes: list[Outcome] = [change.outcome for change in kept if change.outcome is not None]
    update: dict[str, Any] = {"level": None}
    if thresholds:
        update["threshold"] = min(thresholds)
    if outcomes:
        update["outcome"] = max(outcomes, key=SEVERITY.__getitem__)
    return rule.model_copy(update=update)


def _added(overlay: Overlay, base: PackText) -> tuple[RuleText, ...]:
    for rule in overlay.text.rules:
        if rule.outcome == "allow":
            raise PolicyError(f"{overlay.name}: {rule.id}: a rule of an overlay holds or refuses")
    return leveled(overlay.text.rules, base.thresholds)
