"""What every pack must refuse or hold, and what the rules that do so may look at.

A list of requests proves little: a rule can refuse each of them and still exempt a partner, a sandbox, or whoever
has a consent. So `load` counts only rules that compile where nothing but what a floor shows is declared. What such a
rule cannot name cannot switch it off, and no other rule can soften what it refuses: what it does on a case it does
for every partner, project, language and text, and on the floor of minors for every name and consent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle, product
from pathlib import Path
from typing import Any

import yaml

from core.decision import CATEGORIES, Outcome
from policies.facts import FIGURES, WORDS, Many, Record, Shape, filled

_HITS = Many(Record("Hit", {"category": str}))
_LEVELS = (0.99, 0.995, 1.0)
_COMPANY = (*([category] for category in CATEGORIES), ["minor"], [*CATEGORIES, "minor"] * 3)
_BESIDE: tuple[list[dict[str, Any]], ...] = (
    [],
    [{"kind": "protected", "consent": "grant"}],
    [{"kind": kind, "asked": sorted(WORDS["Entity"]["asked"])} for kind in ("franchise", "public_figure")],
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, the facts of it, and the least that every pack does then."""

    what: str
    facts: Mapping[str, Any]
    least: Outcome = "refuse"
    grave: bool = False


@dataclass(frozen=True, slots=True)
class Floor:
    """The facts that the counted rules see, named as in policies/facts.py, which has the rest of their fields."""

    name: str
    visible: Mapping[str, Shape]
    how: str = field(compare=False)

    def cases(self) -> tuple[Case, ...]:
        """Give every case of `cases/always.yaml` on this floor, in every company it may come in."""
        return _cases(self.name)


MINORS = Floor(
    "minors",
    {"hits": _HITS, "scores": Record("Scores", {"sexual": float, "minors_sexual": float})},
    "by rules that look only at the categories of hits and at the scores sexual and minors_sexual",
)
FIGURED = Floor(
    "figures",
    {
        "hits": _HITS,
        "scores": Record("Scores", {"sexual": float}),
        "entities": Many(Record("Entity", {"kind": str, "consent": str, "asked": Many(str)})),
    },
    "by rules that look only at the categories of hits, the score sexual, and the kind, the consent and what is "
    "asked of entities",
)
FLOORS = (MINORS, FIGURED)


@cache
def _cases(floor: str) -> tuple[Case, ...]:
    written = yaml.safe_load((Path(__file__).with_name("cases") / "always.yaml").read_text())
    return tuple(case for one in written if one["floor"] == floor for case in _varied(one))


def _varied(one: Mapping[str, Any]) -> Iterator[Case]:
    least, grave = one.get("least", "refuse"), one.get("grave", one["floor"] == "minors")
    around = list(_surrounded(one.get("hits", []), one.get("scores", [])))
    named = list(_named(one.get("asked")))
    # Everybody in the plain case, and somebody else in every other company.
    together = [(around[0], entities) for entities in named]
    together += list(zip(around[1:], cycle(named)))
    for (categories, scores), entities in together:
        hits = [{"category": category} for category in categories]
        facts = filled("prompt", {"hits": hits, "scores": scores, "entities": entities})
        yield Case(one["what"], facts, least, grave)


def _named(asked: list[str] | None) -> Iterator[list[dict[str, Any]]]:
    """Name somebody of each kind of person, alone and between others; nobody where no name is part of the case."""
    if asked is None:
        yield []
        return
    for beside, kind in product(_BESIDE, FIGURES):
        yield [*beside, {"kind": kind, "consent": "", "asked": asked}, *beside]


def _surrounded(hits: list[str], scores: list[str]) -> Iterator[tuple[list[str], dict[str, float]]]:
    """Put other hits around the hits of a case, and raise scores from their least level up."""
    least = dict.fromkeys(scores, _LEVELS[0])
    yield hits, least
    yield hits[::-1], least
    for company in _COMPANY:
        yield [*company, *hits, *company], least
    for level in _LEVELS:
        for other in (0.0, 0.5, 1.0):
            yield hits, {"sexual": other, "minors_sexual": other} | dict.fromkeys(scores, level)
