"""Which language a prompt is in, and whether the classifier can read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_WORD = re.compile(r"[^\W\d_]+")
_WORDS = {
    "en": "a an the of in on at with and or to is are by for from into over under through their his her its this that "
    "how make show me my what who as be it while behind near up down out without some two three",
    "es": "el la los las un una unos de del en con y o que por para sobre como su sus al se es muy",
    "fr": "le la les un une des de du en dans avec et ou qui que pour sur comme son sa ses au est",
    "de": "der die das ein eine einen dem den und oder mit im in auf zu von für wie ist sich am aus",
}
_COMMON = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_MOSTLY = 0.9
_SHORTEST, _ENOUGH_TO_DOUBT, _SOME_WORDS = 3, 3, 0.25
_ENOUGH_WORDS = 5
"""CLD2 is often sure and wrong about fewer; in plain letters they count as English."""


@dataclass(frozen=True, slots=True)
class Language:
    """`code` is ISO 639-1 ("und" if there are no words); `scored` says if the classifier reads it."""

    code: str
    scored: bool


def english_share(text: str) -> float:
    """Give the share of words that are among the commonest of English."""
    words = _WORD.findall(text.lower())
    return sum(word in _COMMON["en"] for word in words) / len(words) if words else 0.0


def word_share(text: str, is_word: Callable[[str], bool]) -> float:
    """Give the share of words of three letters and more that `is_word` knows."""
    words = [word for word in _WORD.findall(text.lower()) if len(word) >= _SHORTEST]
    return sum(map(is_word, words)) / len(words) if words else 0.0


def identify(text: str, is_word: Callable[[str], bool] | None = None) -> Language:
    """Identify the language with CLD2; what it is not sure of goes by common words, then by script.

    With `is_word`, what looks like English and has next to no English words is no language at all.
    """
    found = _identified(text)
    if found.scored and is_word is not None and len(_WORD.findall(text)) >= _ENOUGH_TO_DOUBT:
        return found if word_share(text, is_word) >= _SOME_WORDS else Language("und", scored=False)
    return found


def _identified(text: str) -> Language:
    words = _WORD.findall(text.lower())
    if not words:
        return Language("und", scored=False)
    letters = "".join(words)
    mostly_ascii = sum(map(str.isascii, letters)) >= _MOSTLY * len(letters)
    short = mostly_ascii and len(words) < _ENOUGH_WORDS
    code = _by_common_words(words) or (None if short else _by_cld2(text))
    code = code or ("en" if mostly_ascii else "und")
    return Language(code, scored=code == "en")


def _by_cld2(text: str) -> str | None:
    import pycld2

    try:
        reliable, _, details = pycld2.detect(text.encode())
    except pycld2.error:
        return None
    return str(details[0][1]).split("-")[0] if reliable else None


def _by_common_words(words: list[str]) -> str | None:
    """Name the language whose commonest words stand out, English only where no other comes near."""
    counts = {code: sum(word in common for word in words) for code, common in _COMMON.items()}
    best = max(counts, key=counts.__getitem__)
    rivals = sum(count for code, count in counts.items() if code != best)
    clear = counts[best] >= 2 and counts[best] >= 3 * rivals and counts[best] >= 0.15 * len(words)
    return best if clear else None
