"""Names of people and works, found as whole words in every view of a prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from safety.prompt.views import Reading, View, folded

Kind = Literal["public_figure", "living_artist", "franchise", "protected"]
Tokens = tuple[str, ...]

_TOKEN = re.compile(r"[^\W_]+")
_UNKNOWN: Mapping[str, Any] = {
    "consent": "",
    "office": "",
    "jurisdiction": "",
    "match": "exact",
    "asked": [],
}


@dataclass(frozen=True, slots=True)
class ProtectedName:
    """A protected identity and all that it is called."""

    id: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """One spelling of a name as words; `capital` asks for a capital letter, as the word is ordinary too."""

    kind: Kind
    id: str
    tokens: Tokens
    capital: bool


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Names by their first word."""

    by_first: Mapping[str, tuple[Name, ...]]

    @classmethod
    def of(cls, names: Iterable[Name]) -> Gazetteer:
        """Index names; those without words are left out."""
        index: dict[str, list[Name]] = {}
        for name in names:
            if name.tokens:
                index.setdefault(name.tokens[0], []).append(name)
        return cls(
            {first: tuple(sorted(some, key=lambda name: -len(name.tokens))) for first, some in index.items()}
        )

    def entities(self, reading: Reading, text: str) -> list[dict[str, Any]]:
        """List names as facts {text, kind, id, start, end, view, consent}; `consent` is left empty."""
        found: dict[tuple[str, int, int], dict[str, Any]] = {}
        for view in reading.views if reading.plain in reading.views else (*reading.views, reading.plain):
            for name, start, end in self._names(view, text):
                first, last = view.origin(start, end)
                entity = {
                    "text": text[first:last],
                    "kind": name.kind,
                    "id": name.id,
                    "start": first,
                    "end": last,
                }
                found.setdefault((name.id, first, last), {**entity, **_UNKNOWN, "view": view.name})
        return list(found.values())

    def _names(self, view: View, text: str) -> Iterator[tuple[Name, int, int]]:
        tokens = [(match[0].lower(), match.start(), match.end()) for match in _TOKEN.finditer(view.text)]
        words = [token for token, _, _ in tokens]
        for index, (token, start, _) in enumerate(tokens):
            for name in self.by_first.get(token, ()):
                last = index + len(name.tokens)
                if tuple(words[index:last]) == name.tokens and (
                    not name.capital or text[view.starts[start]].isupper()
                ):
                    yield name, start, tokens[last - 1][2]


def tokens(name: str) -> Tokens:
    """Split a name into words in the way in which prompts are split."""
    return tuple(_TOKEN.findall(folded(name)))


@cache
def built_in() -> tuple[Name, ...]:
    """Read names.yaml; a name with initials is also known without them."""
    lists: Mapping[Kind, Sequence[str]] = yaml.safe_load(Path(__file__).with_name("names.yaml").read_text())
    return tuple(name for kind, lines in lists.items() for line in lines for name in _spellings(kind, line))


def protected(names: Iterable[ProtectedName]) -> Iterator[Name]:
    """Give the spellings of protected identities; capitals do not matter for them."""
    for one in names:
        for spelling in one.names:
            yield Name("protected", one.id, tokens(spelling), capital=False)


def _spellings(kind: Kind, line: str) -> Iterator[Name]:
    spellings = [tokens(spelling) for spelling in line.split(" | ")]
    bare = [tuple(word for word in words if len(word) > 1) for words in spellings if len(words) > 2]
    for words in dict.fromkeys([*spellings, *bare]):
        yield Name(kind, "-".join(spellings[0]), words, capital=len(words) == 1 and kind != "franchise")
