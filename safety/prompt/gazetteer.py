"""Names of people and works in a prompt: exact, joined, split, transliterated or with a typing error, in every view."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from safety.prompt import context
from safety.prompt.packs import NOTHING, PERSON, Known, cuts, one_error_away
from safety.prompt.views import Reading, View, folded, transliterated

Tokens = tuple[str, ...]

_MARKS = (
    r"\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    r"\u0900-\u0963\u0970-\u0a65\u0a70-\u0d65\u0d70-\u0dff\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u3099\u309a"
)
"""Vowel signs and other marks that stand in words: Arabic, the scripts of India, Thai, kana."""
TOKEN = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])*")
_LONGEST = 6
_REACH = 64
_SHORTEST_JOINED = 9
_SHORTEST_NEAR = 5
_SHORTEST_NEAR_ALONE = 7
_MOST_NEAR = 128
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class ProtectedName:
    """A protected identity and all that it is called."""

    id: str
    names: tuple[str, ...]


class Names(Protocol):
    """Where names are looked up: a pack, or the protected identities of this installation."""

    def spelled(self, text: str) -> Iterable[str]:
        """Give the spellings that `text`, in lower case with single spaces, begins with."""
        ...

    def known(self, spelling: str) -> Known:
        """Tell what a spelling stands for."""
        ...

    def nearby(self, word: str) -> Iterable[str]:
        """Give the words that are one typing error away."""
        ...


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a view in lower case, where they stand in it, and all of them with spaces and without."""

    view: View
    texts: Sequence[str]
    starts: Sequence[int]
    ends: Sequence[int]
    spaced: str
    spaced_at: Sequence[int]
    joined: str
    joined_at: Sequence[int]

    @classmethod
    def of(cls, view: View) -> _Words:
        spans = [match.span() for match in TOKEN.finditer(view.text)]
        texts = [view.text[start:end].lower() for start, end in spans]
        joined_at = [0, *itertools.accumulate(map(len, texts))]
        return cls(
            view,
            texts,
            [start for start, _ in spans],
            [end for _, end in spans],
            " ".join(texts),
            [*map(int.__add__, joined_at, range(len(joined_at)))],
            "".join(texts),
            joined_at,
        )


@dataclass(frozen=True, slots=True)
class _Found:
    known: Known
    start: int
    end: int
    match: str


def entities(
    reading: Reading, text: str, names: Sequence[Names], is_word: Callable[[str], bool]
) -> list[dict[str, Any]]:
    """List names as facts; `consent` and `asked` are left empty, for those who know them.

    `is_word` tells ordinary English words, which are never taken for a name with a typing error.
    """
    found: dict[tuple[str, int, int], dict[str, Any]] = {}
    views = reading.views if reading.plain in reading.views else (*reading.views, reading.plain)
    for view in (*views, *transliterated(reading.plain)):
        for one in _in_view(view, names, is_word):
            first, last = view.origin(one.start, one.end)
            if not any(a <= first and last <= b for _, a, b in found):
                found[one.known.id, first, last] = _fact(one, view, text, first, last)
    return list(found.values())


def _fact(one: _Found, view: View, text: str, first: int, last: int) -> dict[str, Any]:
    about: Mapping[str, Any] = {
        "text": text[first:last],
        "kind": one.known.kind,
        "id": one.known.id,
        "start": first,
        "end": last,
        "view": view.name,
        "office": one.known.office,
        "jurisdiction": one.known.jurisdiction,
        "match": one.match,
    }
    return {**about, "consent": "", "asked": []}


def _in_view(view: View, names: Sequence[Names], is_word: Callable[[str], bool]) -> Iterator[_Found]:
    """Yield the names of a view, longest first where several begin at one word, none inside another."""
    words = _Words.of(view)
    unspaced = not view.text.isascii() and _UNSPACED.search(view.text) is not None
    taken = 0
    for index, (spaced_at, joined_at) in enumerate(zip(words.spaced_at[:-1], words.joined_at, strict=False)):
        spaced = words.spaced[spaced_at : spaced_at + _REACH]
        joined = words.joined[joined_at : joined_at + _REACH]
        found: list[_Found] = []
        for some in names:
            if spellings := some.spelled(spaced):
                found += _spaced(some, words, index, spellings)
            if spellings := some.spelled(joined):
                found += _joined(some, words, index, spellings)
            if unspaced and _UNSPACED.search(words.texts[index]):
                found += _unspaced(some, words, index)
        best = max(found, key=lambda one: one.end) if found else None
        if best and best.end > taken:
            taken = best.end
            yield best
    yield from _with_errors(words, names, is_word)


def _spaced(names: Names, words: _Words, index: int, spellings: Iterable[str]) -> Iterator[_Found]:
    """Yield the names that begin at a word and go on word by word."""
    for spelling in spellings:
        end = words.spaced_at[index] + len(spelling)
        if end == len(words.spaced) or words.spaced[end] == " ":
            last = words.ends[index + spelling.count(" ")]
            yield from _meant(names, spelling, words.view, words.starts[index], last, "exact")


def _joined(names: Names, words: _Words, index: int, spellings: Iterable[str]) -> Iterator[_Found]:
    """Yield the names whose words the prompt divides in another way, or not at all."""
    for spelling in spellings:
        if len(spelling) >= _SHORTEST_JOINED and len(spelling) > len(words.texts[index]):
            end = words.joined_at[index] + len(spelling)
            last = bisect.bisect_left(words.joined_at, end)
            if words.joined_at[last] == end and last - index <= _LONGEST:
                until = words.ends[last - 1]
                yield from _meant(names, spelling, words.view, words.starts[index], until, "exact")


def _unspaced(names: Names, words: _Words, index: int) -> Iterator[_Found]:
    text = words.texts[index]
    for at in range(len(text)):
        for spelling in names.spelled(text[at : at + 16]):
            if len(spelling) > 1:
                start = words.starts[index] + at
                yield from _meant(names, spelling, words.view, start, start + len(spelling), "exact")


def _with_errors(words: _Words, names: Sequence[Names], is_word: Callable[[str], bool]) -> Iterator[_Found]:
    """Yield the names that are there when one word that is no English word is corrected by one letter."""
    strange = [
        index
        for index, text in enumerate(words.texts)
        if len(text) >= _SHORTEST_NEAR and text.isalpha() and text.isascii() and not is_word(text)
    ]
    for index in strange[:_MOST_NEAR]:
        for some in names:
            for near in some.nearby(words.texts[index]):
                yield from _corrected(some, words, index, near)


def _corrected(names: Names, words: _Words, index: int, near: str) -> Iterator[_Found]:
    for first in range(max(0, index - 3), index + 1):
        ahead = [*words.texts[first:index], near, *words.texts[index + 1 : first + _LONGEST]]
        spaced = " ".join(ahead)
        for spelling in names.spelled(spaced):
            count = spelling.count(" ") + 1
            whole = len(spelling) == len(spaced) or spaced[len(spelling)] == " "
            reaches = first + count > index
            if whole and reaches and (count > 1 or _alone(names, spelling)):
                end = words.ends[first + count - 1]
                yield from _meant(names, spelling, words.view, words.starts[first], end, "fuzzy")


def _alone(names: Names, spelling: str) -> bool:
    """Tell if one word is long enough to be found with an error, and no word that means something else too."""
    return len(spelling) >= _SHORTEST_NEAR_ALONE and names.known(spelling).needs == NOTHING


def _meant(names: Names, spelling: str, view: View, start: int, end: int, match: str) -> Iterator[_Found]:
    known = names.known(spelling)
    if context.meant(known.needs, view.text, start, end):
        yield _Found(known, start, end, match)


def tokens(name: str) -> Tokens:
    """Split a name into words in the way in which prompts are split."""
    return tuple(TOKEN.findall(folded(name)))


class Protected:
    """The protected identities of this installation, by every name they have."""

    def __init__(self, names: Iterable[ProtectedName], is_word: Callable[[str], bool]) -> None:
        import marisa_trie

        self._known: dict[str, Known] = {}
        for one in names:
            for words in filter(None, map(tokens, one.names)):
                alone = len(words) == 1 and is_word(words[0])
                known = Known("protected", one.id, "", "", PERSON if alone else NOTHING)
                self._known.setdefault(" ".join(words), known)
                joined = "".join(words)
                if len(words) > 1 and len(joined) >= _SHORTEST_JOINED:
                    self._known.setdefault(joined, known)
        self._trie = marisa_trie.Trie(self._known)
        self._near: dict[str, list[str]] = {}
        for word in {word for spelling in self._known for word in spelling.split(" ")}:
            for cut in cuts(word) if len(word) >= _SHORTEST_NEAR else ():
                self._near.setdefault(cut, []).append(word)

    def spelled(self, text: str) -> Iterable[str]:
        """Give the spellings that `text` begins with."""
        prefixes: list[str] = self._trie.prefixes(text)
        return prefixes

    def known(self, spelling: str) -> Known:
        """Tell whose name this is."""
        return self._known[spelling]

    def nearby(self, word: str) -> Iterable[str]:
        """Give the words of names that are one typing error away."""
        return one_error_away(word, {near for cut in cuts(word) for near in self._near.get(cut, ())})
