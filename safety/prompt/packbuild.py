"""Build name packs: `python -m safety.prompt.packbuild OUT VERSION [--data SHARED_DATA] [--list FILE] [--key FILE]`.

Without `--list` it builds the pack that comes with Greenlight from our own lists and the CC0 lists of US office holders
and of Tate's artists. `--list` takes a tab-separated file: kind, name, further spellings with " = ", office, jurisdiction.
`--key` is a raw Ed25519 private key in hex; without it one is made for this pack alone and thrown away.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from safety.prompt import namelists
from safety.prompt.gazetteer import tokens
from safety.prompt.namelists import Spelling
from safety.prompt.packs import FILES, FORMAT, NEAR, NOTHING, PERSON, POLITICS, RECORD, TITLE, WORK, cuts

SHORTEST_NEAR = 5
_SQUASHED = 9
_LONGEST_INITIALS = 2
_STALE = 1930
"""Artists of the Tate's list (2020) born before this year are left out: it may not know that they died."""


def build(out: Path, name: str, version: str, spellings: Iterable[Spelling], key: bytes) -> None:
    """Write and sign a pack of these spellings; where two have the same letters the first one counts."""
    import marisa_trie

    rows = _rows(spellings)
    names = marisa_trie.Trie(rows)
    told = {text: _about(one) for text, (one, _) in rows.items()}
    abouts = sorted({*told.values()})
    places = {about: place for place, about in enumerate(abouts)}
    records = np.zeros(len(names), RECORD)
    for text, (_, main) in rows.items():
        records[names.key_id(text)] = (names.key_id(main), places[told[text]])
    words = marisa_trie.Trie(_words(rows))
    near = sorted((zlib.crc32(cut.encode()), words.key_id(word)) for word in words for cut in cuts(word))
    out.mkdir(parents=True, exist_ok=True)
    names.save(str(out / "names.marisa"))
    records.tofile(out / "names.bin")
    words.save(str(out / "words.marisa"))
    np.array([hashed for hashed, _ in near] + [word for _, word in near], NEAR).tofile(out / "near.bin")
    about = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "names": len({main for _, main in rows.values()}),
        "spellings": len(rows),
        "abouts": abouts,
        "files": {file: hashlib.sha256((out / file).read_bytes()).hexdigest() for file in FILES},
    }
    _sign(out, json.dumps(about, indent=1).encode(), key)


def _sign(out: Path, content: bytes, key: bytes) -> None:
    """Write the description and, last, its signature: the signature is what makes a pack valid."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(key)
    (out / "pack.json").write_bytes(content)
    (out / "key.txt").write_text(private.public_key().public_bytes_raw().hex() + "\n")
    scratch = out / ".pack.sig"
    scratch.write_text(f"{private.public_key().public_bytes_raw().hex()} {private.sign(content).hex()}\n")
    scratch.replace(out / "pack.sig")


def _about(one: Spelling) -> tuple[str, str, str, int]:
    """Give what a pack tells of a spelling: kind, office, jurisdiction, and what it needs around it."""
    return one.kind, one.office, one.jurisdiction[:2], _needs(one)


def _words(rows: Mapping[str, tuple[Spelling, str]]) -> set[str]:
    """Give the words to find with a typing error: those of names, but not names that we have run together ourselves."""
    squashed = {text.replace(" ", "") for text in rows if " " in text}
    return {
        word
        for text in rows
        if text not in squashed
        for word in text.split(" ")
        if len(word) >= SHORTEST_NEAR
    }


def _rows(spellings: Iterable[Spelling]) -> dict[str, tuple[Spelling, str]]:
    """Give for each spelling, as it is looked up, what it stands for and the main spelling of that."""
    rows: dict[str, tuple[Spelling, str]] = {}
    mains: dict[str, str] = {}
    for one in spellings:
        words = tokens(one.text)
        if not words:
            continue
        text = " ".join(words)
        main = mains.setdefault(f"{one.kind} {one.id}", text)
        rows.setdefault(main, (one, main))
        rows.setdefault(text, (one, main))
        for other, needs in _variants(words):
            rows.setdefault(other, (replace(one, ordinary=needs or one.ordinary), main))
    return rows


def _variants(words: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Give other ways to write a name: without initials, and in one word (but *S. Anderson* is not *Sanderson*)."""
    bare = [word for word in words if len(word) > 1]
    if len(words) > 2 and len(bare) > 1 and words[-1] not in {"jr", "sr"}:
        yield " ".join(bare), False
    if len(words) > 2 and words[-1] in {"jr", "sr"}:
        yield " ".join(words[:-1]), False
    if len(words) > 1 and len(words[0]) > 1 and len("".join(words)) >= _SQUASHED:
        yield "".join(words), False


def _needs(one: Spelling) -> int:
    if one.office in {"state_legislator", "local"}:
        return POLITICS
    if one.kind == "franchise" and one.ordinary:
        return TITLE if one.title else WORK
    return PERSON if one.ordinary else NOTHING


def shipped_names(shared_data: Path) -> Iterator[Spelling]:
    """List the names of the pack that comes with Greenlight, the best known first."""
    yield from namelists.written()
    yield from _initialled()
    folder = shared_data / "names"
    for name in ("us_executive", "us_congress_current"):
        for person in yaml.load((folder / f"{name}.yaml").read_text(), yaml.CSafeLoader):
            yield from _legislator(person)
    yield from _artists(folder / "artists_tate.csv")
    for line in (folder / "us_state_legislators.txt").read_text().splitlines():
        if len(tokens(line)) > 1:
            yield Spelling(line, "public_figure", line, "state_legislator", "us")


def _initialled() -> Iterator[Spelling]:
    """Add the initial with the surname for people of our own lists: it counts where a person is meant."""
    for one in namelists.written():
        words = one.text.split()
        if one.kind != "public_figure" or len(words) != 2 or not one.text.isascii():
            continue
        if words[0][0] not in "AI" and len(words[1]) > _LONGEST_INITIALS:
            yield replace(one, text=f"{words[0][0]} {words[1]}", ordinary=True)


def _legislator(person: dict[str, Any]) -> Iterator[Spelling]:
    name, term = person["name"], person["terms"][-1]
    if term["end"] < "1945":
        return
    office = {"prez": "head_of_state", "viceprez": "politician", "sen": "senator", "rep": "representative"}
    last = name["last"] + (f" {name['suffix']}" if "suffix" in name else "")
    given = [name["first"], name.get("nickname", ""), f"{name['first']} {name.get('middle', '')}"]
    texts = [name.get("official_full", ""), *(f"{first.strip()} {last}" for first in given if first)]
    for text in dict.fromkeys(text for text in texts if text):
        yield Spelling(text, "public_figure", texts[1], office[term["type"]], "us")


def _artists(path: Path) -> Iterator[Spelling]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            parts = [part.strip() for part in row["name"].split(",")]
            if row["yearOfBirth"] >= str(_STALE) and not row["yearOfDeath"] and len(parts) == 2:
                text = f"{parts[1]} {parts[0]}"
                yield Spelling(text, "living_artist", text, "artist", "")


def listed(path: Path) -> Iterator[Spelling]:
    """Read an operator's own list."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, name, others, office, place = (*line.split("\t"), "", "", "", "")[:5]
            for text in [name, *others.split(" = ")]:
                if text.strip():
                    yield Spelling(
                        text.strip().rstrip("?"),
                        kind,
                        name,
                        office,
                        place,
                        text.endswith("?"),
                        text.endswith("??"),
                    )


def main() -> None:
    """Build one pack from the command line."""
    import secrets

    parser = argparse.ArgumentParser(prog="python -m safety.prompt.packbuild")
    parser.add_argument("out", type=Path)
    parser.add_argument("version")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--list", type=Path)
    parser.add_argument("--name", default="known")
    parser.add_argument("--key", type=Path)
    given = parser.parse_args()
    key = bytes.fromhex(given.key.read_text().strip()) if given.key else secrets.token_bytes(32)
    if given.list:
        build(given.out, given.name, given.version, listed(given.list), key)
    elif given.data:
        build(given.out, given.name, given.version, shipped_names(given.data), key)
    else:
        parser.error("either --data or --list")


if __name__ == "__main__":
    main()
