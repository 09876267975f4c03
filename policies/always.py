"""What every pack must refuse as grave, and what the rules that refuse it may look at.

A list of requests proves little: a rule can refuse each of them and still exempt a partner, a sandbox, or whoever
has a consent. So `load` counts only rules that compile where nothing but `VISIBLE` is declared. What such a rule
cannot name cannot switch it off, and no other rule can soften what it refuses: what it does on a case it does for
every partner, project, language, text, name and consent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from core.decision import CATEGORIES
from policies.facts import Many, Record, Shape, filled

VISIBLE: Mapping[str, Shape] = {
    "hits": Many(Record("Hit", {"category": str})),
    "scores": Record("Scores", {"sexual": float, "minors_sexual": float}),
}
"""The facts that the counted rules see, under the names of policies/facts.py, which has the rest of their fields."""

_LEVELS = (0.99, 0.995, 1.0)
_COMPANY = (*([category] for category in CATEGORIES), ["minor"], [*CATEGORIES, "minor"] * 3)


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is asked and the facts, for each case of `cases/always.yaml` in every company it may come in."""
    for case in yaml.safe_load((Path(__file__).with_name("cases") / "always.yaml").read_text()):
        for categories, scores in _varied(case.get("hits", []), case.get("scores", [])):
            hits = [{"category": category} for category in categories]
            yield case["what"], filled("prompt", {"hits": hits, "scores": scores})


def _varied(hits: list[str], scores: list[str]) -> Iterator[tuple[list[str], dict[str, float]]]:
    """Put other hits around the hits of a case, and raise scores from their least level up."""
    least = dict.fromkeys(scores, _LEVELS[0])
    yield hits, least
    yield hits[::-1], least
    for company in _COMPANY:
        yield [*company, *hits, *company], least
    for level in _LEVELS:
        for other in (0.0, 0.5, 1.0):
            yield hits, {"sexual": other, "minors_sexual": other} | dict.fromkeys(scores, level)
