"""Evidence in one archive that a stranger can check on another machine, without us.

    index.html            what happened, for a person to read
    verify.py             the verifier; a careful stranger brings their own copy
    policy.txt            whose signatures the log stands on (C2SP tlog-policy), to be compared with what was published
    checkpoint            the signed state of the log that everything here is proven against
    events.jsonl          a line an event: its index, its path to the checkpoint's root, its exact leaf
    proofs/N.tlog-proof   each decision once more, as a C2SP proof that stands alone
    versions.json         the policies, detectors and generators that the events name, by digest
    policies/SHA.yaml     those policy packs
    clips/ID/...          what the operator kept about a request: receipt, decisions, reviews, manifests
    digests.txt           the SHA-256 of every other file

Events are read, proven and written one by one. What stays in memory is a line for each request and file, so
that a partner's month may have as many events as it likes.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlmodel import Session

from audits.filters import Filter
from audits.log.format import encode64
from audits.log.proof import SUFFIX, Proof, Prover
from audits.log.trust import Policy
from audits.pages import render
from audits.queries import Entry, all_events
from core.errors import BadInput, LogCorrupt, NotFound
from core.events import Tag
from core.state import FINAL

VERIFIER = Path(__file__).with_name("offline.py")
MAX_ROWS = 2_000
"""Events that the page lists; all of them are in events.jsonl."""
_PAPER = re.compile(r"[a-z0-9-]{1,60}\.(?:json|c2pa)")
_JOB = re.compile(r"[A-Za-z0-9_-]{1,100}")
_DECISIONS = frozenset({Tag.REVIEW_DECIDED, *(f"clip:{state}" for state in FINAL)})

Papers = Callable[[str], Iterable[tuple[str, bytes]]]
"""What the operator kept about a request: names such as `receipt.json`, and their content."""


@dataclass(frozen=True, slots=True)
class Bundled:
    """What went into an archive."""

    events: int
    clips: int
    size: int
    """Entries of the log it is proven against."""


@dataclass(slots=True)
class _Clip:
    """A request as the page lists it."""

    id: str
    began: str
    last: str = ""
    at: str = ""
    rules: set[str] = field(default_factory=set)
    papers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Contents:
    """What is learnt while the events go by."""

    events: int = 0
    rows: list[Entry] = field(default_factory=list)
    clips: dict[str, _Clip] = field(default_factory=dict)
    decisions: set[int] = field(default_factory=set)
    packs: set[str] = field(default_factory=set)
    models: set[tuple[str, str]] = field(default_factory=set)
    engines: set[tuple[str, str]] = field(default_factory=set)

    def take(self, entry: Entry) -> None:
        self.events += 1
        if len(self.rows) < MAX_ROWS:
            self.rows.append(entry)
        if entry.tag in _DECISIONS:
            self.decisions.add(entry.index)
        if entry.job and _JOB.fullmatch(entry.job):
            clip = self.clips.setdefault(entry.job, _Clip(entry.job, entry.at))
            clip.last, clip.at = entry.tag, entry.at
            clip.rules |= {entry.rule} if entry.rule else set()
        self._note_versions(json.loads(entry.leaf).get("facts", {}))

    def _note_versions(self, facts: Mapping[str, Any]) -> None:
        self.packs |= {facts["pack"]} if "pack" in facts else set()
        self.models |= {(model["name"], model["sha256"]) for model in facts.get("models", ())}
        if "engine" in facts and "checkpoint" in facts:
            self.engines.add((facts["engine"], facts["checkpoint"]))

    def versions(self) -> bytes:
        named = {
            name: [{"name": label, "sha256": digest} for label, digest in sorted(found)]
            for name, found in (("detectors", self.models), ("generators", self.engines))
        }
        return _json({"policies": sorted(self.packs), **named})


class _Archive:
    """A ZIP file in the making that remembers the digest of everything in it."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self.zip = file
        self.digests: list[str] = []

    @contextmanager
    def member(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Write a file piece by piece; the same content gives the same bytes."""
        info, digest = zipfile.ZipInfo(name), hashlib.sha256()
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        with self.zip.open(info, "w", force_zip64=True) as file:

            def write(data: bytes) -> None:
                digest.update(data)
                file.write(data)

            yield write
        self.digests.append(f"{digest.hexdigest()}  {name}\n")

    def add(self, name: str, data: bytes) -> None:
        with self.member(name) as write:
            write(data)


def write_bundle(
    session: Session,
    folder: Path,
    trust: Policy,
    wanted: Filter,
    into: Path,
    *,
    title: str,
    papers: Papers,
    packs: Mapping[str, bytes],
) -> Bundled:
    """Write the archive of the entries that `wanted` lets through to the file `into`, whole or not at all.

    `packs` are the policy packs that are at hand, by SHA-256; those that an event names go in. NotFound when
    nothing in the log matches, LogCorrupt when the database and the public log disagree about an entry.
    """
    draft = into.with_name(f".{into.name}.{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(draft, "x") as file:
            archive, prover = _Archive(file), Prover(folder, trust)
            contents = _write_events(archive, all_events(session, wanted), prover)
            for index in sorted(contents.decisions):
                archive.add(f"proofs/{index}{SUFFIX}", prover.prove(index).render().encode())
            _write_papers(archive, contents, papers)
            _write_common(archive, contents, packs, prover.note, trust)
            archive.add("index.html", _page(title, contents, packs.keys(), prover, trust))
            archive.add("digests.txt", "".join(archive.digests).encode())
        draft.rename(into)
    finally:
        draft.unlink(missing_ok=True)
    return Bundled(contents.events, len(contents.clips), prover.head.size)


def _write_events(archive: _Archive, entries: Iterable[Entry], prover: Prover) -> _Contents:
    contents = _Contents()
    with archive.member("events.jsonl") as write:
        for entry in entries:
            if entry.index >= prover.head.size:
                break  # signed and not yet public
            proof = prover.prove(entry.index)
            if proof.leaf != entry.leaf:
                raise LogCorrupt(f"entry {entry.index} is another in the database than in the public log")
            write(_line(proof))
            contents.take(entry)
    if not contents.events:
        raise NotFound("The public log holds no such event.")
    return contents


def _line(proof: Proof) -> bytes:
    path = ",".join(f'"{encode64(step)}"' for step in proof.path)
    return f'{{"index":{proof.index},"path":[{path}],"leaf":'.encode() + proof.leaf + b"}\n"


def _write_papers(archive: _Archive, contents: _Contents, papers: Papers) -> None:
    for clip in contents.clips.values():
        for name, data in papers(clip.id):
            if not _PAPER.fullmatch(name):
                raise BadInput("a paper in a bundle needs a plain file name")
            archive.add(f"clips/{clip.id}/{name}", data)
            clip.papers.append(name)


def _write_common(
    archive: _Archive, contents: _Contents, packs: Mapping[str, bytes], note: str, trust: Policy
) -> None:
    for digest in sorted(contents.packs & packs.keys()):
        archive.add(f"policies/{digest}.yaml", packs[digest])
    archive.add("versions.json", contents.versions())
    archive.add("checkpoint", note.encode())
    archive.add("policy.txt", trust.render().encode())
    archive.add("verify.py", VERIFIER.read_bytes())


def _page(title: str, contents: _Contents, packs: Collection[str], prover: Prover, trust: Policy) -> bytes:
    shown: dict[str, Any] = {
        "title": title,
        "contents": contents,
        "packs": packs,
        "head": prover.head,
        "trust": trust,
    }
    return render(Path(__file__).with_name("bundle.html"), **shown).encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
