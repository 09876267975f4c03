"""Name packs: signed, versioned, memory-mapped lists of names, swapped while the gate runs.

A pack is a folder: `pack.json` (what is in it, with the digest of every file), `pack.sig` (key and Ed25519 signature over
the bytes of pack.json), `names.marisa` (a trie of spellings), `names.bin` (a record for each), `words.marisa` and
`near.bin` (their words and a 1-deletion index, for typing errors). Nothing is read into memory but what a prompt touches.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Model
from core.models import file_sha256

FORMAT = 2
RECORD = np.dtype([("who", "<u4"), ("about", "<u2")])
"""`who` is the trie id of the main spelling, `about` a place in the list of what there is to tell, in pack.json."""
NEAR = np.dtype("<u4")
"""All hashes in order, each the CRC-32 of a word or of what is left of it without one letter (Garbe, SymSpell), and
then, in the same order, the trie ids of the words."""
FILES = ("names.marisa", "names.bin", "words.marisa", "near.bin")
NOTHING, PERSON, POLITICS, WORK, TITLE = 0, 1, 2, 3, 4
"""What a spelling needs around it: nothing, a sign of a person, of politics, of a work or its spelling as a title, of a work."""


@dataclass(frozen=True, slots=True)
class Known:
    """One spelling that a pack knows."""

    kind: str
    id: str
    office: str
    jurisdiction: str
    needs: int


@dataclass(frozen=True, slots=True)
class Pack:
    """An open pack; safe to use from several threads."""

    name: str
    version: str
    abouts: Sequence[tuple[str, str, str, int]]
    """Kind, office, jurisdiction, and what else must be there for the name to count."""
    model: Model
    names: Any
    spelled: Callable[[str], Iterable[str]]
    """Gives the spellings that a text, in lower case with single spaces, begins with."""
    words: Any
    records: npt.NDArray[Any]
    hashes: npt.NDArray[np.uint32]
    near: npt.NDArray[np.uint32]

    @classmethod
    def load(cls, folder: Path, trusted: Sequence[str]) -> Pack:
        """Open a pack signed by one of the `trusted` keys (64 hex digits each), every file checked.

        Raises `ModelMissing` where something is missing, altered, or signed by nobody who is trusted.
        """
        import marisa_trie

        about = _checked(folder, trusted)
        names, words = marisa_trie.Trie(), marisa_trie.Trie()
        names.mmap(str(folder / "names.marisa"))
        words.mmap(str(folder / "words.marisa"))
        near = np.memmap(folder / "near.bin", NEAR, "r")
        return cls(
            about["name"],
            about["version"],
            tuple(map(tuple, about["abouts"])),
            Model(f"names {about['name']} {about['version']}", file_sha256(folder / "pack.json")),
            names,
            names.prefixes,
            words,
            np.memmap(folder / "names.bin", RECORD, "r"),
            near[: len(near) // 2],
            near[len(near) // 2 :],
        )

    def nearby(self, word: str) -> Iterator[str]:
        """Give the words of this pack that are one typing error away."""
        hashes = np.array([zlib.crc32(cut.encode()) for cut in cuts(word)], np.uint32)
        first = self.hashes.searchsorted(hashes, "left").tolist()
        last = self.hashes.searchsorted(hashes, "right").tolist()
        found = {int(self.near[at]) for a, b in zip(first, last, strict=True) for at in range(a, b)}
        yield from one_error_away(word, map(self.words.restore_key, found))

    def known(self, spelling: str) -> Known:
        """Tell what a spelling of this pack stands for."""
        who, about = self.records[self.names.key_id(spelling)].item()
        kind, office, place, needs = self.abouts[about]
        return Known(kind, self.names.restore_key(who).replace(" ", "-"), office, place, needs)


def cuts(word: str) -> set[str]:
    """Give a word and what is left of it without any one of its letters."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def one_error_away(word: str, candidates: Iterable[str]) -> Iterator[str]:
    """Keep the candidates that one letter more, less, other or swapped makes of a word, the first letter kept."""
    from rapidfuzz.distance import OSA

    for near in candidates:
        if near[0] == word[0] and OSA.distance(word, near, score_cutoff=1) == 1:
            yield near


def _checked(folder: Path, trusted: Sequence[str]) -> Mapping[str, Any]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        content = (folder / "pack.json").read_bytes()
        key, signature = (folder / "pack.sig").read_text().split()
        if key not in trusted:
            raise ModelMissing(f"the name pack {folder.name} is signed by a key that is not trusted")
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), content)
        about: Mapping[str, Any] = json.loads(content)
        wrong = [file for file in FILES if file_sha256(folder / file) != about["files"][file]]
        if about["format"] != FORMAT or wrong:
            raise ModelMissing(
                f"the name pack {folder.name} has been altered: {', '.join(wrong) or 'format'}"
            )
    except InvalidSignature as error:
        raise ModelMissing(f"the name pack {folder.name} has a wrong signature") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelMissing(f"the name pack {folder.name} cannot be read") from error
    return about


def shipped() -> Path:
    """Locate the pack that comes with the code."""
    return Path(__file__).with_name("pack")


class Shelf:
    """The packs in use: the one that comes with the code, and those in a folder, taken up when they change.

    A pack that is put in the place of another is opened at the next prompt; one that cannot be trusted stops
    prompts (`ModelMissing`) until it is replaced, for what it was to protect is not known.
    """

    def __init__(self, folder: Path | None = None, trusted: Sequence[str] = ()) -> None:
        own = (shipped() / "key.txt").read_text().strip()
        self._own = Pack.load(shipped(), (own,))
        self._folder = folder
        self._trusted = tuple(trusted)
        self._open: dict[Path, tuple[tuple[int, int], Pack]] = {}

    def packs(self) -> tuple[Pack, ...]:
        """Give the packs as they are now."""
        if self._folder is None:
            return (self._own,)
        found: dict[Path, tuple[tuple[int, int], Pack]] = {}
        for path in sorted(self._folder.glob("*/pack.sig")):
            state = path.stat()
            stamp = (state.st_mtime_ns, state.st_ino)
            known = self._open.get(path)
            found[path] = (
                known if known and known[0] == stamp else (stamp, Pack.load(path.parent, self._trusted))
            )
        self._open = found
        return (self._own, *(pack for _, pack in found.values()))
