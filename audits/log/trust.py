"""Whom to believe about a log: its own keys and a quorum of witnesses (C2SP tlog-policy).

The text form is the subset with one log, witnesses, and at most one group of them as the quorum.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from audits.log.format import COSIGNATURE, ED25519, ML_DSA_44, VerifierKey, parse_note, parse_verifier_key
from core.errors import LogCorrupt

MAX_LINES = 256
_GROUP = "witnesses"
_COUNT = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Policy:
    """The keys of one log and how many of which witnesses must have cosigned.

    Stricter than tlog-policy where a log has several keys: all of them must have signed, so that a
    checkpoint holds while any one of their algorithms does.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0

    def __post_init__(self) -> None:
        """Refuse with LogCorrupt what could never be met, or be met by one key twice."""
        if len({key.name for key in self.logs}) != 1:
            raise LogCorrupt("a trust policy is for the keys of one log")
        if any(key.kind not in {ED25519, ML_DSA_44} for key in self.logs):
            raise LogCorrupt("a log signs with Ed25519 or ML-DSA-44")
        if any(key.kind not in {COSIGNATURE, ML_DSA_44} for key in self.witnesses):
            raise LogCorrupt("a witness cosigns: its key is of type 0x04 or 0x06")
        keys = [key.public for key in (*self.logs, *self.witnesses)]
        if len(set(keys)) != len(keys):
            raise LogCorrupt("a trust policy names a key twice")
        if not 0 <= self.quorum <= len(self.witnesses):
            raise LogCorrupt(f"a quorum of {self.quorum} cannot be met by {len(self.witnesses)} witnesses")

    @property
    def name(self) -> str:
        """The origin of the log."""
        return self.logs[0].name

    def verify(self, note: str) -> str:
        """Return the text of a note that all log keys and the quorum signed; raise LogCorrupt otherwise."""
        parsed = parse_note(note)
        for key in self.logs:
            if not key.signed(parsed):
                raise LogCorrupt(f"the note is not signed by the key {key.key_id.hex()} of {key.name}")
        count = sum(witness.signed(parsed) for witness in self.witnesses)
        if count < self.quorum:
            raise LogCorrupt(f"the note has {count} of the {self.quorum} cosignatures that it needs")
        return parsed.text

    def render(self) -> str:
        """Give the policy as a tlog-policy file."""
        names = [f"w{number}" for number in range(1, len(self.witnesses) + 1)]
        lines = [f"log {key.render()}" for key in self.logs]
        lines += [f"witness {name} {key.render()}" for name, key in zip(names, self.witnesses, strict=True)]
        if self.quorum:
            lines.append(" ".join(("group", _GROUP, str(self.quorum), *names)))
        lines.append(f"quorum {_GROUP if self.quorum else 'none'}")
        return "".join(f"{line}\n" for line in lines)


def parse_policy(text: str) -> Policy:
    """Read a tlog-policy file of the subset; raise LogCorrupt on anything else. URLs are passed over."""
    logs: list[VerifierKey] = []
    witnesses: dict[str, VerifierKey] = {}
    groups: dict[str, tuple[int, list[str]]] = {}
    quorum: tuple[int, list[str]] | None = None
    for kind, *words in _lines(text):
        if kind == "log" and len(words) in {1, 2}:
            logs.append(parse_verifier_key(words[0]))
        elif kind == "witness" and len(words) in {2, 3} and _fresh(words[0], witnesses, groups):
            witnesses[words[0]] = parse_verifier_key(words[1])
        elif kind == "group" and len(words) > 2 and _fresh(words[0], witnesses, groups):
            groups[words[0]] = _group(words[1], words[2:], witnesses)
        elif kind == "quorum" and len(words) == 1 and quorum is None:
            quorum = _quorum(words[0], witnesses, groups)
        else:
            raise LogCorrupt(f"not a line of a trust policy: {kind[:40]!r}")
    if quorum is None:
        raise LogCorrupt("the trust policy names no quorum")
    return Policy(tuple(logs), tuple(witnesses[name] for name in quorum[1]), quorum[0])


def parse_witnesses(text: str) -> list[tuple[VerifierKey, str]]:
    """Read lines `witness NAME VKEY URL` of a tlog-policy file, and nothing else; LogCorrupt when malformed."""
    found = []
    for line in _lines(text):
        if line[0] != "witness" or len(line) != 4:
            raise LogCorrupt("a list of witnesses has lines `witness NAME VKEY URL`")
        found.append((parse_verifier_key(line[2]), line[3]))
    return found


def _lines(text: str) -> Iterator[list[str]]:
    lines = text.split("\n")
    if len(lines) > MAX_LINES or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        raise LogCorrupt("the trust policy is too long or holds control characters")
    for line in lines:
        words = line.strip(" \t").replace("\t", " ").split(" ")
        if words[0] and not words[0].startswith("#"):
            yield [word for word in words if word]


def _fresh(name: str, *taken: Container[str]) -> bool:
    return name != "none" and not any(name in names for names in taken)


def _group(count: str, names: Sequence[str], witnesses: dict[str, VerifierKey]) -> tuple[int, list[str]]:
    if len(set(names)) != len(names) or not set(names) <= witnesses.keys():
        raise LogCorrupt("a group lists witnesses that were named before, each once")
    if count in {"any", "all"}:
        return (1 if count == "any" else len(names)), list(names)
    if not _COUNT.fullmatch(count) or int(count) > len(names):
        raise LogCorrupt("a group needs between one and all of its witnesses")
    return int(count), list(names)


def _quorum(
    name: str, witnesses: dict[str, VerifierKey], groups: dict[str, tuple[int, list[str]]]
) -> tuple[int, list[str]]:
    if name == "none":
        return 0, list(witnesses)
    if name in witnesses:
        return 1, [name]
    if name not in groups:
        raise LogCorrupt("the quorum is neither a witness nor a group that was named before")
    return groups[name]
