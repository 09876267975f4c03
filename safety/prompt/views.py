"""Readings of a prompt: as written, and with disguises taken off, each mapped back to the caller's text.

Order matters: marks and widths go first, then look-alike letters, then digits for letters and spaced
letters, then encodings; what an encoding hid is read in the same way again.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from safety.prompt import decode
from safety.prompt.confusables import LEET, LOOKALIKES
from safety.prompt.language import english_share, word_share

_ZERO_WIDTH = frozenset("\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u3164\uffa0\u0640") | frozenset(
    map(chr, range(0x064B, 0x0653))
)
"""What is there and not seen, with the vowel signs and the stretcher of Arabic, which may be left out."""
_LIGATURES = {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss"}
_ALPHABETIC = re.compile(r"[\u0370-\u052f]")
_LETTERS = re.compile(r"[A-Za-z]+")
_WORD = re.compile(r"\S+")
_SPACED = re.compile(r"(?<![^\W_])[^\W\d_](?:[\s.\-_*|,;:!?'’]{1,3}[^\W\d_](?![^\W_])){3,}")
_LEET_WORD = re.compile(r"[\w@$!|+]+")
_MEASURE = re.compile(r"\d+(?:k|d|g|x|p|s|h|m|mm|cm|km|am|pm|hz|fps|th)|\d*(?:1st|2nd|3rd)", re.IGNORECASE)
_CODED_INSIDE = re.compile(r"[A-Za-z][013457@$!|+]+[A-Za-z]")
_LEET_SIGNS = frozenset(map(chr, LEET))
_MANY_CODED = 3
_SHORT_WORDS = frozenset(
    {"a", "i", "at", "to", "as", "is", "it", "so", "see", "eat", "tie", "sit", "seat", "tea", "toes"}
)
_SHORTEST_SWAPPED, _SHORTEST_STEM = 5, 3
_ENDINGS = ("ing", "ed", "es", "er", "s")
_LONGEST_FOLD = 4
_ROUNDS = 12
_PLAUSIBLE = 0.2
_MOSTLY_WORDS, _CLEARLY_MORE, _SOME_WORDS = 0.5, 0.25, 0.3
"""Shares of words that are English: in a guess, above those of the text, and where the text itself has none."""
SHOWN = 8
"""How many views a record of facts carries."""


@dataclass(frozen=True, slots=True)
class View:
    """A reading: character i of `text` comes from characters starts[i] to ends[i] of the caller's text."""

    name: str
    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Say where a part of this reading stands in the caller's text."""
        return min(self.starts[start:end]), max(self.ends[start:end])


@dataclass(frozen=True, slots=True)
class Reading:
    """All views of a prompt; `plain` is the one with most disguises off, `obfuscated` if there were any.

    `guesses` are views that any text has (rot13, backwards); only long words found in them mean anything. They are made
    before digits are read as letters too: what is written backwards has its "4k" as "k4".
    """

    views: tuple[View, ...]
    guesses: tuple[View, ...]
    plain: View
    obfuscated: bool


Piece = tuple[str, int, int]
"""Some text and the place in the previous view that it replaces."""


def read(text: str, is_word: Callable[[str], bool] | None = None) -> Reading:
    """Take the disguises off a prompt; linear in its length.

    `is_word` tells words of English, by which a guess is judged; without it a few common words do.
    """
    raw = View("text", text, tuple(range(len(text))), tuple(range(1, len(text) + 1)))
    views = [raw, *_undisguised(raw, "")]
    level = views
    for _ in range(_ROUNDS):
        deeper = _rewritten(level[-4], "decoded", decode.decoded(level[-4].text))
        if deeper.text == level[-4].text:
            break
        level = [deeper, *_undisguised(deeper, "decoded_")]
        views += level
    inner = views[-1]
    guesses = tuple(_distinct(turned(view) for view in (views[2], inner) for turned in (_rot13, _backwards)))
    plausible = [guess for guess in guesses if _reads_better(guess.text, inner.text, is_word)]
    plain = plausible[0] if plausible else inner
    if is_word is not None:
        plain = _rewritten(plain, "corrected", _swaps(plain.text, is_word))
    obfuscated = (
        bool(plausible) or any(view.name.startswith("decoded") for view in views) or _disguised(views)
    )
    if not plausible:
        views.append(plain)
    return Reading(tuple(_distinct(views)), guesses, plain, obfuscated)


def transliterated(view: View) -> Iterator[View]:
    """Yield the view in Latin letters where it has Cyrillic or Greek ones; what is said is written there, not how."""
    from anyascii import anyascii

    if not view.text.isascii() and _ALPHABETIC.search(view.text):
        pieces = (
            (anyascii(match[0]).replace("'", ""), match.start(), match.end())
            for match in _ALPHABETIC.finditer(view.text)
        )
        yield _rewritten(view, "transliterated", pieces)


def folded(text: str) -> str:
    """Fold a name or a term in the way in which views are folded, in lower case."""
    return "".join(_fold(character) for character in text).lower()


def _undisguised(view: View, prefix: str) -> Iterator[View]:
    """Take one kind of disguise off after the other; case stays, since base64 needs it."""
    steps: tuple[tuple[str, Callable[[str], Iterable[Piece]]], ...] = (
        ("folded", _folds),
        ("skeleton", _skeletons),
        ("joined", _joins),
        ("unleeted", _unleets),
    )
    for name, step in steps:
        view = _rewritten(view, prefix + name, step(view.text))
        yield view


def _rewritten(view: View, name: str, pieces: Iterable[Piece]) -> View:
    """Put pieces in place of parts of a view; a piece as long as its part is mapped character by character."""
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for piece, start, end in pieces:
        text += [view.text[at:start], piece]
        starts += view.starts[at:start]
        ends += view.ends[at:start]
        if len(piece) == end - start:
            starts += view.starts[start:end]
            ends += view.ends[start:end]
        elif piece:
            first, last = view.origin(start, end)
            starts += [first] * len(piece)
            ends += [last] * len(piece)
        at = end
    text.append(view.text[at:])
    return View(name, "".join(text), (*starts, *view.starts[at:]), (*ends, *view.ends[at:]))


def _fold(character: str) -> str:
    if character.isascii():
        return character
    if character in _LIGATURES:
        return _LIGATURES[character]
    if character in _ZERO_WIDTH or unicodedata.category(character) == "Cf":
        return ""
    wide = unicodedata.normalize("NFKD", character)
    if unicodedata.category(wide[0]) == "Mn" and 0x300 <= ord(wide[0]) <= 0x36F:
        return ""
    if len(wide) > _LONGEST_FOLD:
        return character
    return "".join(part for part in wide if not 0x300 <= ord(part) <= 0x36F)


def _folds(text: str) -> Iterator[Piece]:
    if text.isascii():
        return
    for place, character in enumerate(text):
        fold = _fold(character)
        if fold != character:
            yield fold, place, place + 1


def _skeletons(text: str) -> Iterator[Piece]:
    """Read look-alikes as Latin letters in words that become wholly Latin by it."""
    if text.isascii():
        return
    for match in _WORD.finditer(text):
        word = match[0]
        latin = word.translate(LOOKALIKES)
        if latin != word and latin.isascii():
            yield latin, match.start(), match.end()


def _joins(text: str) -> Iterator[Piece]:
    for match in _SPACED.finditer(text):
        gaps = [gap.span() for gap in re.finditer(r"[\W_]+", match[0])]
        narrow = min(end - start for start, end in gaps)
        dotted = any(not re.search(r"\s", match[0][start:end]) for start, end in gaps)
        for start, end in gaps:
            gap = match[0][start:end]
            wide = end - start > narrow or (dotted and gap.isspace())
            yield (_kept(gap, dotted=dotted) if wide else ""), match.start() + start, match.start() + end


def _kept(gap: str, *, dotted: bool) -> str:
    """Give what stands between two words once the sign between their letters is gone: a space, and their own signs."""
    if not dotted or gap.isspace():
        return " "
    return f"{gap[1:].rstrip()} " if gap[-1:].isspace() else gap[1:-1] or " "


def _unleets(text: str) -> Iterator[Piece]:
    """Read digits and signs as letters inside words that have letters too, and then in short words that have none."""
    if _LEET_SIGNS.isdisjoint(text):
        return
    many = len(_CODED_INSIDE.findall(text)) >= _MANY_CODED
    for match in _LEET_WORD.finditer(text):
        word = match[0].rstrip("!")
        plain = word.translate(LEET)
        lettered = any(character.isalpha() for character in word) or (many and plain in _SHORT_WORDS)
        if (
            plain != word
            and plain.isalpha()
            and lettered
            and plain.isascii()
            and not _MEASURE.fullmatch(word)
        ):
            yield plain, match.start(), match.start() + len(word)


def _swaps(text: str, is_word: Callable[[str], bool]) -> Iterator[Piece]:
    """Put two neighbouring letters back in order where that alone makes a word of what is none."""
    for match in _LETTERS.finditer(text):
        word = match[0].lower()
        if len(word) >= _SHORTEST_SWAPPED and not _is_known(word, is_word):
            swapped = (word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1))
            if found := next((other for other in swapped if _is_known(other, is_word)), None):
                yield found, match.start(), match.end()


def _is_known(word: str, is_word: Callable[[str], bool]) -> bool:
    """Tell if a word is one of English, an ending on one, or one of our own prompts."""
    if is_word(word):
        return True
    stem = next((word.removesuffix(end) for end in _ENDINGS if word.endswith(end)), "")
    return (len(stem) > _SHORTEST_STEM and (is_word(stem) or is_word(f"{stem}e"))) or word in _own_words()


@cache
def _own_words() -> frozenset[str]:
    """Read the words of our own prompts that are as long as words that are corrected."""
    texts = (path.read_text(encoding="utf-8") for path in Path(__file__).with_name("training").glob("*.txt"))
    return frozenset(
        word for text in texts for word in _LETTERS.findall(text.lower()) if len(word) >= _SHORTEST_SWAPPED
    )


def _rot13(view: View) -> View:
    return View("rot13", codecs.encode(view.text, "rot13"), view.starts, view.ends)


def _backwards(view: View) -> View:
    return View("reversed", view.text[::-1], view.starts[::-1], view.ends[::-1])


def _reads_better(guess: str, text: str, is_word: Callable[[str], bool] | None) -> bool:
    if is_word is None:
        return english_share(guess) >= max(_PLAUSIBLE, 2 * english_share(text))
    known = partial(_is_known, is_word=is_word)
    turned, as_written = word_share(guess, known), word_share(text, known)
    return turned >= max(_MOSTLY_WORDS, as_written + _CLEARLY_MORE) or (
        not as_written and turned >= _SOME_WORDS
    )


def _disguised(views: Sequence[View]) -> bool:
    """Whether disguises were taken off that ordinary typing does not put on."""
    raw, fold, skeleton, joined, unleeted = (view.text for view in views[:5])
    ascii_only = raw.isascii()
    hidden = not ascii_only and any(
        unicodedata.category(character) == "Cf" or _styled(character) for character in raw
    )
    stacked = 0 if ascii_only else sum(map(_mark, unicodedata.normalize("NFC", raw)))
    mixed = any(re.search("[A-Za-z]", fold[start:end]) for _, start, end in _skeletons(fold))
    coded = sum(bool(_CODED_INSIDE.search(joined, start, end)) for _, start, end in _unleets(joined))
    return (
        hidden
        or stacked >= 3
        or mixed
        or joined != skeleton
        or (coded >= 3 and coded >= len(unleeted.split()) / 5)
    )


def _mark(character: str) -> bool:
    return 0x300 <= ord(character) <= 0x36F


def _styled(character: str) -> bool:
    """Whether this is a letter in another width or typeface, which no keyboard gives by itself."""
    return not character.isascii() and unicodedata.decomposition(character).startswith(
        ("<wide>", "<font>", "<circle>")
    )


def _distinct(views: Iterable[View]) -> Iterator[View]:
    seen: set[str] = set()
    for view in views:
        if view.text not in seen:
            seen.add(view.text)
            yield view
