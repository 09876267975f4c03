"""The name lists that we wrote ourselves (`names/*.txt`): who and what is known by name, with its kind and office."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spelling:
    """One spelling of a name as it is written; `ordinary` if the words mean something else too.

    `title` if they are a work's title and so ordinary that only words about a work tell (*Frozen*, *Up*).
    """

    text: str
    kind: str
    id: str
    office: str = ""
    jurisdiction: str = ""
    ordinary: bool = False
    title: bool = False


@cache
def written() -> tuple[Spelling, ...]:
    """Read every list."""
    return tuple(
        spelling
        for path in sorted(Path(__file__).with_name("names").glob("*.txt"))
        for spelling in _read(path)
    )


def names(kind: str) -> list[str]:
    """List the names of a kind that mean nothing else, one a person and all of a work."""
    found: dict[str, str] = {}
    for one in written():
        if one.kind == kind and not one.ordinary and one.text.isascii():
            found.setdefault(one.text if kind == "franchise" else one.id, one.text)
    return list(found.values())


def _read(path: Path) -> Iterator[Spelling]:
    kind = office = jurisdiction = ""
    for line in path.read_text().splitlines():
        if line.startswith("## "):
            kind, office, jurisdiction = (field.strip() for field in line[3:].split(";"))
        elif line and not line.startswith("#"):
            spellings = line.split(" = ")
            identity = spellings[0].rstrip("?").lower().replace(" ", "-")
            for text in spellings:
                signs = {"ordinary": text.endswith("?"), "title": text.endswith("??")}
                yield Spelling(text.rstrip("?"), kind, identity, office, jurisdiction, **signs)
