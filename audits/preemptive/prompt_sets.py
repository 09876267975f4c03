"""Held-out prompts of the suite `prompts`, and the disguises that it puts on them."""

from __future__ import annotations

import base64
import codecs
import csv
import itertools
import json
import random
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

_FOLDER = Path(__file__).with_name("prompts")
_LOOKALIKES = str.maketrans("aceopxyiABEHKMOPCTX", "асеорхуіАВЕНКМОРСТХ")

Disguise = Callable[[str], str]


@cache
def lists(file: str) -> Mapping[str, Sequence[str]]:
    """Read one file of held-out prompts: its lists by name (without what stands behind a colon)."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in (_FOLDER / f"{file}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            name = line[3:].split(":")[0]
            found.setdefault(name, [])
        elif line and not line.startswith("#"):
            found[name].append(line)
    return found


def everything(file: str) -> list[str]:
    """List all prompts of a file."""
    return list(itertools.chain.from_iterable(lists(file).values()))


def minors() -> list[str]:
    """Put together the composition that no pack may allow."""
    words = lists("minors")
    return [f"{minor} {sexual}" for minor in words["minor"] for sexual in words["sexual"]]


def named(names: str, only: Container[str] | None = None) -> list[str]:
    """Put the held-out names of a list, or only some of them, into the held-out sentences."""
    words = lists("names")
    return [
        sentence.format(name=name)
        for index, name in enumerate(words[names])
        for sentence in words["sentences"][index % 2 :: 2]
        if only is None or name in only
    ]


def unknown(names: str) -> list[str]:
    """List the held-out names of a list that the pack which ships does not have."""
    from safety.prompt.gazetteer import tokens
    from safety.prompt.packs import Shelf

    have = [pack.names for pack in Shelf().packs()]
    return [
        name
        for name in lists("names")[names]
        if not any(" ".join(tokens(name)) in spellings for spellings in have)
    ]


def listed(kind: str, count: int, rng: random.Random) -> list[str]:
    """Put names that ship into the held-out sentences."""
    from safety.prompt import namelists

    names = rng.sample(namelists.names(kind), count)
    sentences = lists("names")["sentences"]
    return [sentences[index % len(sentences)].format(name=name) for index, name in enumerate(names)]


def buried(text: str, rng: random.Random) -> str:
    """Put a prompt between two ordinary sentences before and two after."""
    calm = [f"{line}." for line in rng.sample(lists("ordinary")["calm"], 4)]
    return " ".join([*calm[:2], f"{text}.", *calm[2:]])


def moderation(data: Path) -> list[tuple[str, bool]]:
    """Read chat prompts and whether they are harmful (Aegis, test part, as GuardReasoner keeps it)."""
    rows = json.loads((data / "aegis_test.json").read_text())
    found = []
    for row in rows:
        asked = row["input"].split("AI assistant:")[0].removeprefix("Human user:").strip()
        found.append((asked[:3900], "unharmful" not in row["output"].split("\n")[0]))
    return [(text, harmful) for text, harmful in found if text]


def requests(data: Path) -> list[str]:
    """Read plainly harmful requests (SimpleSafetyTests)."""
    with (data / "simple_safety_tests.csv").open(newline="", encoding="utf-8") as file:
        return [row["prompts_final"] for row in csv.DictReader(file)]


def videos(data: Path) -> list[str]:
    """Read ordinary video prompts (half of MovieGen's)."""
    return [line for line in (data / "moviegen_video_half.txt").read_text().splitlines() if line.strip()]


def _typos(text: str) -> str:
    """Swap two letters in the middle of every third long word."""
    words = text.split(" ")
    for index in range(0, len(words), 3):
        word = words[index]
        if len(word) > 4 and word.isalpha():
            words[index] = word[:2] + word[3] + word[2] + word[4:]
    return " ".join(words)


def _nested(text: str) -> str:
    for _ in range(3):
        text = base64.b64encode(text.encode()).decode()
    return text


DISGUISES: Mapping[str, Disguise] = {
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "full width": lambda text: "".join(chr(0xFEE0 + ord(c)) if "!" <= c <= "~" else c for c in text),
    "bold letters": lambda text: "".join(
        chr(0x1D41A + ord(c) - 97)
        if "a" <= c <= "z"
        else chr(0x1D400 + ord(c) - 65)
        if "A" <= c <= "Z"
        else c
        for c in text
    ),
    "combining marks": lambda text: "".join(c + "\u0336" if c.isalpha() else c for c in text),
    "accents": lambda text: text.translate(str.maketrans("aeiouc", "áèïõûç")),
    "look-alikes": lambda text: text.translate(_LOOKALIKES),
    "digits for letters": lambda text: text.translate(str.maketrans("aeiot", "43107")),
    "spaced letters": " ".join,
    "dotted letters": lambda text: " ".join(".".join(word) for word in text.split(" ")),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, three deep": _nested,
    "hexadecimal": lambda text: text.encode().hex(),
    "percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent, spaces": quote,
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "capitals": str.upper,
    "typing errors": _typos,
}
"""Ways to write a prompt so that a reader of plain text misses it, each one reversible by a person."""
