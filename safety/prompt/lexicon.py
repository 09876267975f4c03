"""Words and intent frames: what a prompt says outright, and where it says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from safety.prompt.views import Reading, View, folded

_SEPARATOR = r"[\W_]{1,3}"
_SLOTS = {
    "{name}": r"[^\s.,;:!?]+(?: [^\s.,;:!?]+){0,3}",
    "{proper}": r"[A-Z][^\s.,;:!?'’]*(?: [A-Z][^\s.,;:!?'’]*){0,3}",
    "{gap}": r"(?:[\w'’-]+ ){0,6}",
}
_SHORTEST_GUESS = 5


@dataclass(frozen=True, slots=True)
class Group:
    """Patterns of one category and intent; a match within `unless` does not count."""

    category: str
    intent: str
    patterns: tuple[re.Pattern[str], ...]
    unless: re.Pattern[str] | None


@cache
def groups() -> tuple[Group, ...]:
    """Read and compile lexicon.yaml."""
    entries: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("lexicon.yaml").read_text())
    return tuple(_compiled(entry) for entry in entries)


def _compiled(entry: dict[str, Any]) -> Group:
    patterns = [re.compile(_filled(frame), re.IGNORECASE) for frame in entry.get("frames", ())]
    if "terms" in entry:
        patterns.append(_any_of(entry["terms"]))
    unless = _any_of(entry["unless"]) if "unless" in entry else None
    return Group(entry["category"], entry.get("intent", ""), tuple(patterns), unless)


def _filled(frame: str) -> str:
    """Put the slots in and let a space stand for any short separator; a gap is made optional by itself."""
    frame = frame.replace("{gap}?", "{gap}")
    for slot, pattern in _SLOTS.items():
        frame = frame.replace(slot, pattern)
    return frame


def _any_of(terms: list[str]) -> re.Pattern[str]:
    words = ("".join(_term(term)) for term in sorted(terms, key=len, reverse=True))
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})(?![^\W_])", re.IGNORECASE)


def _term(term: str) -> Iterator[str]:
    for index, word in enumerate(folded(term).split()):
        yield _SEPARATOR if index else ""
        yield re.escape(word.removesuffix("*")) + (r"\w*" if word.endswith("*") else "")


def hits(reading: Reading) -> list[dict[str, Any]]:
    """List what was found as facts {category, term, span, view, intent}, the plainest view of each first."""
    found: dict[tuple[str, str, int, int], dict[str, Any]] = {}
    for view in (*reading.views, *reading.guesses):
        shortest = _SHORTEST_GUESS if view in reading.guesses and view is not reading.plain else 1
        for group in groups():
            for start, end in _matches(group, view):
                span = view.origin(start, end)
                if end - start >= shortest:
                    found.setdefault((group.category, group.intent, *span), _hit(group, view, start, end))
    return list(found.values())


def _matches(group: Group, view: View) -> Iterator[tuple[int, int]]:
    excused = [match.span() for match in group.unless.finditer(view.text)] if group.unless else []
    for pattern in group.patterns:
        for match in pattern.finditer(view.text):
            start, end = match.span()
            if not any(
                (first <= start and end <= last) or (start <= first and last <= end)
                for first, last in excused
            ):
                yield start, end


def _hit(group: Group, view: View, start: int, end: int) -> dict[str, Any]:
    return {
        "category": group.category,
        "term": view.text[start:end],
        "span": list(view.origin(start, end)),
        "view": view.name,
        "intent": group.intent,
    }
