"""Words and intent frames: what a prompt says outright, and where it says it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from safety.prompt.views import Reading, View, folded

_SEPARATOR = r"[\W_]{1,3}"
_SLOTS = {
    "{name}": r"[^\s.,;:!?]+(?: [^\s.,;:!?]+){0,3}",
    "{proper}": r"(?-i:[A-ZÀ-ÞА-ЯЁİÇŞÖÜ][^\s.,;:!?'’]*(?: [A-ZÀ-ÞА-ЯЁİÇŞÖÜ][^\s.,;:!?'’]*){0,3})",
    "{gap}": r"(?:[\w'’-]+ ){0,6}",
}
_FILES = ("lexicon.yaml", "lexicon_world.yaml")
_TOKEN = re.compile(r"[^\W_]+")
_DIGITS = frozenset("0123456789")
_LATIN_AND_NEAR = "\u0530"
"""The last letter of Latin, Greek and Cyrillic; patterns of other scripts cannot match below it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern of a group; it can only match where a text has one of `words`, or a word that begins with one of `stems`.

    Where there are neither it can match anywhere. `beyond` is the least letter that a text must have for a pattern in
    another script.
    """

    regex: re.Pattern[str]
    group: Group
    stems: tuple[str, ...]
    beyond: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """What a match means; one within `unless` does not count."""

    category: str
    intent: str
    unless: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All patterns, and which of them a text with a certain word, number or script can have."""

    patterns: tuple[Pattern, ...]
    always: tuple[int, ...]
    numbered: tuple[int, ...]
    beyond: tuple[int, ...]
    by_stem: Mapping[str, tuple[int, ...]]
    by_word: Mapping[str, tuple[int, ...]]
    stems: Any

    def candidates(self, text: str) -> Iterator[Pattern]:
        """Yield the patterns that could match in a text, in their order."""
        found = set(self.always)
        highest = max(text, default="")
        if highest > _LATIN_AND_NEAR:
            found.update(self.beyond)
        if not _DIGITS.isdisjoint(text):
            found.update(self.numbered)
        for word in {match[0].lower() for match in _TOKEN.finditer(text)}:
            found.update(self.by_word.get(word, ()))
            for stem in self.stems.prefixes(word):
                found.update(self.by_stem[stem])
        for index in sorted(found):
            if self.patterns[index].beyond <= highest:
                yield self.patterns[index]


@cache
def lexicon() -> Lexicon:
    """Read and compile lexicon.yaml and lexicon_world.yaml."""
    import marisa_trie

    patterns = tuple(pattern for name in _FILES for entry in _entries(name) for pattern in _compiled(entry))
    anywhere = [at for at, pattern in enumerate(patterns) if not (pattern.stems or pattern.words)]
    beyond = tuple(at for at in anywhere if patterns[at].beyond)
    numbered = tuple(at for at in anywhere if patterns[at].regex.pattern.startswith("(?:[1-9]"))
    always = tuple(at for at in anywhere if at not in beyond and at not in numbered)
    by_stem = _indexed(pattern.stems for pattern in patterns)
    by_word = _indexed(pattern.words for pattern in patterns)
    return Lexicon(patterns, always, numbered, beyond, by_stem, by_word, marisa_trie.Trie(by_stem))


def _indexed(keys: Iterable[tuple[str, ...]]) -> dict[str, tuple[int, ...]]:
    """Give for each key the places that have it."""
    found: dict[str, tuple[int, ...]] = {}
    for at, some in enumerate(keys):
        for key in some:
            found[key] = (*found.get(key, ()), at)
    return found


def _entries(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return entries


def _compiled(entry: dict[str, Any]) -> Iterator[Pattern]:
    anywhere = entry.get("anywhere", False)
    unless = _any_of(entry["unless"], anywhere=anywhere) if "unless" in entry else None
    group = Group(entry["category"], entry.get("intent", ""), unless)
    for frame in entry.get("frames", ()):
        yield Pattern(re.compile(_filled(frame), re.IGNORECASE), group, _openings(frame), _beyond(frame))
    if "terms" in entry:
        terms = [folded(term) for term in entry["terms"]]
        telling = [] if anywhere else sorted({_telling_word(term) for term in terms})
        stems = tuple(word.rstrip("*") for word in telling if word.endswith("*"))
        words = tuple(word for word in telling if not word.endswith("*"))
        beyond = min(map(_beyond, terms)) if anywhere else ""
        yield Pattern(_any_of(entry["terms"], anywhere=anywhere), group, stems, beyond, words)


def _telling_word(term: str) -> str:
    """Give the longest word of a term, with the star that lets it go on: no text without it has the term."""
    words: list[str] = re.findall(r"[^\W_]+\*?", term)
    return max(words, key=len)


def _beyond(text: str) -> str:
    """Give the least letter above Cyrillic in a pattern, or nothing where it has none."""
    return min((letter for letter in text if letter > "\u0530" and letter.isalpha()), default="")


def _openings(frame: str) -> tuple[str, ...]:
    """List the words that a frame can begin with, or none where that cannot be told."""
    rest = frame.removeprefix("\\b")
    if rest[:3] == "(?:":
        choices, after = _choices(rest[3:])
        if after[:1] == "?":
            choices.append(after[1:])
        opened = [word for choice in choices for word in _openings(choice)]
        return tuple(dict.fromkeys(opened)) if all(map(_openings, choices)) else ()
    if _beyond(rest[:1]):
        return ()
    match = re.match(r"[^\W\d_]{2,}", rest)
    if not match:
        return ()
    stem = match[0].lower()
    optional = rest[match.end() : match.end() + 1] in {"?", "*"}
    return (folded(stem[:-1] if optional else stem),) if len(stem) > optional + 1 else ()


def _choices(text: str) -> tuple[list[str], str]:
    """Split what follows an opening bracket into its alternatives, and what comes after the closing one."""
    depth, choices, at = 0, [""], 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            choices[-1] += text[at : at + 2]
            at += 2
            continue
        if character == ")" and depth == 0:
            return choices, text[at + 1 :]
        depth += (character in "([") - (character in ")]")
        if character == "|" and depth == 0:
            choices.append("")
        else:
            choices[-1] += character
        at += 1
    return choices, ""


def _filled(frame: str) -> str:
    """Put the slots in and let a space stand for any short separator; a gap is made optional by itself."""
    frame = frame.replace("{gap}?", "{gap}")
    for slot, pattern in _SLOTS.items():
        frame = frame.replace(slot, pattern)
    return frame


def _any_of(terms: list[str], *, anywhere: bool = False) -> re.Pattern[str]:
    words = ["".join(_term(term)) for term in sorted(terms, key=len, reverse=True)]
    if anywhere:
        return re.compile("|".join(words))
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})(?![^\W_])", re.IGNORECASE)


def _term(term: str) -> Iterator[str]:
    for index, word in enumerate(folded(term).split()):
        yield _SEPARATOR if index else ""
        yield re.escape(word.removesuffix("*")) + (r"\w*" if word.endswith("*") else "")


def hits(reading: Reading) -> list[dict[str, Any]]:
    """List what was found as facts {category, term, span, view, intent}, the plainest view of each first.

    In a guess (any text can be read backwards) only what takes several words counts.
    """
    found: dict[tuple[str, str, int, int], dict[str, Any]] = {}
    views = (*reading.views, *reading.guesses)
    excuses: dict[int, list[tuple[int, int]]] = {}
    for view in views:
        guessed = view in reading.guesses and view.text != reading.plain.text
        for pattern in lexicon().candidates(view.text):
            group = pattern.group
            for match in pattern.regex.finditer(view.text):
                if match[0] and (" " in match[0] or not guessed):
                    span = view.origin(*match.span())
                    if id(group) not in excuses:
                        excuses[id(group)] = _excuses(group, views)
                    if not _excused(span, excuses[id(group)]):
                        hit = _hit(group, view, match.start(), match.end())
                        found.setdefault((group.category, group.intent, *span), hit)
    return list(found.values())


def _excuses(group: Group, views: Sequence[View]) -> list[tuple[int, int]]:
    """List the parts of the caller's text that are `unless` phrases of a group in any view."""
    if group.unless is None:
        return []
    return [
        view.origin(*match.span()) for view in views for match in group.unless.finditer(view.text) if match[0]
    ]


def _excused(span: tuple[int, int], excuses: Sequence[tuple[int, int]]) -> bool:
    """Tell if a part of the text lies within an excuse, or has one within it."""
    start, end = span
    return any(
        (first <= start and end <= last) or (start <= first and last <= end) for first, last in excuses
    )


def _hit(group: Group, view: View, start: int, end: int) -> dict[str, Any]:
    return {
        "category": group.category,
        "term": view.text[start:end],
        "span": list(view.origin(start, end)),
        "view": view.name,
        "intent": group.intent,
    }
