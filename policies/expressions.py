"""What can be said of a CEL expression by looking at its words, without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from core.decision import Stage
from policies import facts as fact
from policies.facts import Many, Record, Shape

_TOKEN = re.compile(
    r"""(?P<text>[rRbB]{0,2}(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<sign>&&|\|\||>=|<=|==|!=|[^\s])""",
)
_OPEN, _CLOSED = "([{", ")]}"
_IN_LIST = re.compile(r"(\w+)\.(\w+) in \[([^\]]*)\]")
_TEXT = re.compile(r"'([^'\\]*)'|\"([^\"\\]*)\"")


def tokens(source: str) -> list[str]:
    """Split an expression into its words, numbers, texts and signs; comments go."""
    bare = re.sub(r"//[^\n]*", "", source) if "//" in source else source
    return [found[0] for found in _TOKEN.finditer(bare)]


def names(source: str) -> frozenset[str]:
    """List the identifiers that are no field of something."""
    known, before = set(), ""
    for word in tokens(source):
        if word.isidentifier() and before != ".":
            known.add(word)
        before = word
    return frozenset(known)


def conjuncts(source: str) -> frozenset[str]:
    """Split `a && b && c` at its outermost level, each part written in one way; all of them must be true."""
    parts = _split(source, ("&&",))
    if any(_split(" ".join(part), ("||", "?"))[1:] for part in parts):
        return frozenset((_tight(tokens(source)),))
    return frozenset(_tight(part) for part in parts)


def _split(source: str, signs: tuple[str, ...]) -> list[list[str]]:
    """Split into words at the signs that stand in no bracket."""
    parts: list[list[str]] = [[]]
    depth = 0
    for word in tokens(source):
        depth += (word in _OPEN) - (word in _CLOSED)
        if word in signs and depth == 0:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _tight(part: list[str]) -> str:
    return re.sub(r" ?([().,\[\]]) ?", r"\1", " ".join(part))


_RISING = re.compile(r"^[\w.]+(?: [-+*/] [\w.]+)* >=? threshold(?: \* [\w.]+)?$")


def rises(source: str) -> bool:
    """Tell for sure whether a higher `threshold` can only make the expression true less often.

    The expression is made of parts by `&&` and `||`, and each part that speaks of the threshold is a plain
    comparison with it: `x >= threshold` or `x > threshold`, or with so many times something that is not negative.
    """
    parts = [_tight(part) for part in _split(source, ("&&", "||"))]
    speaking = [part for part in parts if "threshold" in names(part)]
    return bool(speaking) and "?" not in tokens(source) and all(_RISING.match(part) for part in speaking)


def words_compared(stage: Stage, evidence: str | None, source: str) -> Iterator[tuple[str, str, str]]:
    """List (record, field, word) for every comparison of a field that has a list of words with a text."""
    records = _variables(stage, evidence, source)
    for name, field, word in _comparisons(source):
        record = records.get(name)
        if record is not None and field in fact.WORDS.get(record, {}):
            yield record, field, word


def _comparisons(source: str) -> Iterator[tuple[str, str, str]]:
    for found in re.finditer(r"(\w+)\.(\w+) ==\s*(?:'([^'\\]*)'|\"([^\"\\]*)\")", source):
        yield found[1], found[2], found[3] or found[4] or ""
    for found in _IN_LIST.finditer(source):
        for text in _TEXT.finditer(found[3]):
            yield found[1], found[2], text[1] or text[2] or ""
    for found in re.finditer(r"'([^'\\]*)' in (\w+)\.(\w+)", source):
        yield found[2], found[3], found[1]


def _variables(stage: Stage, evidence: str | None, source: str) -> Mapping[str, str]:
    """Say which record a name stands for: `it`, the facts themselves, and the variables of macros over lists."""
    known = {name: shape.name for name, shape in fact.STAGES[stage].items() if isinstance(shape, Record)}
    shapes = fact.evidence_shapes(stage)
    if evidence in shapes:
        known["it"] = shapes[evidence].name
    for found in re.finditer(r"(\w+)\.(?:exists|all|exists_one|filter|map)\((\w+),", source):
        items = _items(fact.STAGES[stage].get(found[1]))
        if items is not None:
            known[found[2]] = items
    return known


def _items(shape: Shape | None) -> str | None:
    return shape.of.name if isinstance(shape, Many) and isinstance(shape.of, Record) else None
