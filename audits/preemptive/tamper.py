"""Change released files in every way that is known, and see what the verifier makes of each.

Every kind of byte of every format is flipped, and whole things are exchanged: manifests, signatures, inputs,
sound, picture, marks. A verdict is right when it is one of those that the kind of change allows. `verified` is
only ever right when neither the content nor anything that is claimed differs from the release, and that is
checked here apart from the verifier: by the decoded content and by the statements of the manifest.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from audits.preemptive.anatomy import Part, dissect
from audits.preemptive.attacks import Workshop, attacks
from audits.preemptive.releases import Release, formats, marked, release
from audits.preemptive.result import Row
from audits.preemptive.specimens import Shelf, proven
from core.clock import SystemClock
from core.errors import BadMedia
from core.media.probe import probe
from core.media.read import frames, sound
from core.media.still import is_still, still
from provenance.keys import SigningKeys, dev_keys
from provenance.manifest import ManifestReading, read
from provenance.marks import MarkKey
from provenance.perceive import perceive
from provenance.readings import Examination, Perception, Record
from provenance.verify import conclude

_PIXELS = 1 << 22
_LOST = frozenset({"tampered", "recovered", "malformed", "unknown"})
_RIGHT = {
    "padding of the signature": frozenset({"verified"}),
    "what the manifest says": frozenset({"tampered", "recovered"}),
    "boxes of the manifest": frozenset({"tampered", "recovered", "malformed"}),
    "around the manifest": _LOST,
    "structure": _LOST,
    "file type": frozenset({"tampered", "malformed"}),
    "content": frozenset({"tampered"}),
}
"""The verdicts that are right for a flipped bit, beside `verified` where nothing that counts has changed."""


@dataclass(slots=True)
class _Tally:
    """How the files of one kind were judged; `trusted` counts those that the library alone would pass."""

    right: int = 0
    falsely: int = 0
    trusted: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)

    def row(self, case: str) -> Row:
        cases = sum(self.verdicts.values())
        told = ", ".join(f"{verdict} {count}" for verdict, count in sorted(self.verdicts.items()))
        passed = self.right == cases and not self.falsely
        return {
            "case": case,
            "cases": cases,
            "right": self.right,
            "falsely verified": self.falsely,
            "library alone": self.trusted,
            "verdicts": told,
            "passed": passed,
        }


@dataclass(slots=True)
class _Bench:
    """Asks the verifier, looking at the same picture and sound only once, and keeps count."""

    keys: SigningKeys
    key: MarkKey
    seen: dict[bytes, Perception] = field(default_factory=dict)
    tallies: dict[str, _Tally] = field(default_factory=dict)

    def ask(
        self, path: Path, records: tuple[Record, ...], content: bytes = b""
    ) -> tuple[str, ManifestReading]:
        """Give the verdict on a file and its manifest; the same `content` is known to look and sound the same."""
        digest = hashlib.sha256(path.read_bytes())
        known = content or digest.digest()
        if known not in self.seen:
            self.seen[known] = perceive(path, [self.key])
        manifest = read(path, self.keys.claim_roots_pem)
        found = Examination(digest=digest.hexdigest(), manifest=manifest, media=self.seen[known])
        return conclude(found, Shelf(records), proven).verdict, manifest

    def note(self, case: str, verdict: str, manifest: ManifestReading, *, right: bool) -> None:
        """Count one verdict."""
        tally = self.tallies.setdefault(case, _Tally())
        tally.verdicts[verdict] += 1
        tally.right += right
        tally.falsely += verdict == "verified" and not right
        tally.trusted += verdict != "verified" and _library(manifest) == "Trusted"


def tamper(seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:
    """Judge about 2,500 changed files (quick: some 60 of two formats); `data` is not used."""
    del data
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys, stranger = (dev_keys(folder / who, SystemClock()) for who in ("keys", "stranger"))
        bench = _Bench(keys, MarkKey("suite", dice.randbytes(32)))
        clips = [
            marked(folder, seed + number, payload, bench.key) for number, payload in enumerate(_PAYLOADS)
        ]
        kinds = ("wav",) if quick else formats()
        for suffix in kinds:
            made = release(folder, clips[0], suffix, _PAYLOADS[0], keys, bench.key)
            _flip(bench, made, dice, folder / f"flipped.{suffix}", each=1 if quick else 6)
        first, second = (
            release(folder, clip, "mp4", payload, keys, bench.key)
            for clip, payload in zip(clips, _PAYLOADS, strict=True)
        )
        shop = Workshop(folder, keys, stranger, bench.key, first, second)
        for attack in attacks(
            shop, seed, each=1 if quick else 6, cuts=2 if quick else 48, exchanges=not quick
        ):
            verdict, manifest = bench.ask(attack.path, attack.records)
            bench.note(attack.name, verdict, manifest, right=verdict in attack.right)
    return (*(tally.row(case) for case, tally in bench.tallies.items()), _control(bench))


_PAYLOADS = (0xA11CE, 0xB0B)


def _control(bench: _Bench) -> Row:
    """Without checks of our own, some of what was changed would pass."""
    passed = sum(tally.trusted for tally in bench.tallies.values())
    return {"control": "changed files that the library alone trusts", "files": passed, "passed": passed > 0}


def _flip(bench: _Bench, made: Release, dice: random.Random, path: Path, *, each: int) -> None:
    """Flip bits in every part of a release: `each` in parts of every name."""
    data = made.path.read_bytes()
    parts: dict[str, list[Part]] = {}
    for part in dissect(data):
        parts.setdefault(part.name, []).append(part)
    verdict, manifest = bench.ask(made.path, (made.record,))
    bench.note(f"{made.suffix}: control, untouched", verdict, manifest, right=verdict == "verified")
    original = _said(read(made.path, bench.keys.claim_roots_pem)), _decoded(made.path)
    for name, places in parts.items():
        group = _group(name)
        for place in dice.choices(places, k=each):
            path.write_bytes(_flipped(data, dice.randrange(place.start, place.end), dice.randrange(8)))
            # What carries no content is skipped by every decoder; a picture's checksums are not.
            content = b"" if group not in _INERT or made.suffix == "png" else made.suffix.encode()
            verdict, manifest = bench.ask(path, (made.record,), content)
            if verdict == "verified":
                right = (_said(manifest), _decoded(path)) == original
            else:
                right = verdict in _RIGHT[group]
            bench.note(f"{made.suffix}: {group}", verdict, manifest, right=right)


_INERT = {"padding of the signature", "what the manifest says", "boxes of the manifest"}


def _group(name: str) -> str:
    if name.endswith("padding") and name.startswith("manifest"):
        return "padding of the signature"
    if name.startswith("manifest"):
        return "boxes of the manifest" if name.endswith("box") else "what the manifest says"
    if name.split(maxsplit=1)[0] in ("uuid", "C2PA", "GEOB", "caBX") or name.startswith("segment EB"):
        return "around the manifest"
    if name == "ftyp":
        return "file type"
    edges = ("header", "check", "signature", "SOI", "EOI", "fLaC", "TSSE", "padding")
    return "structure" if name.endswith(edges) else "content"


def _flipped(data: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    if data.startswith(b"\x89PNG"):
        _mend(changed, at, [part for part in dissect(data) if part.name.endswith(" check")])
    return bytes(changed)


def _mend(data: bytearray, at: int, checks: list[Part]) -> None:
    """Write the checksum that a PNG chunk has after its content was changed."""
    start = 8
    for check in checks:
        if start + 8 <= at < check.start:
            data[check.start : check.end] = zlib.crc32(data[start + 4 : check.start]).to_bytes(4, "big")
        start = check.end


def _said(manifest: ManifestReading) -> tuple[object, ...]:
    """Give everything that a manifest states, apart from how the library words it."""
    store = json.loads(manifest.json)
    for key in ("validation_results", "validation_status", "validation_state"):
        store.pop(key, None)
    return manifest.state, json.dumps(store, sort_keys=True)


def _library(manifest: ManifestReading) -> str:
    return str(json.loads(manifest.json).get("validation_state"))


def _decoded(path: Path) -> bytes:
    """Digest everything that is seen and heard of a file."""
    digest = hashlib.sha256()
    try:
        if is_still(path):
            digest.update(still(path, max_pixels=_PIXELS).tobytes())
            return digest.digest()
        clip = probe(path)
        for frame in frames(path) if clip.video else ():
            digest.update(frame.rgb.tobytes())
        for block in sound(path) if clip.audio else ():
            digest.update(block.tobytes())
    except BadMedia:
        return b""
    return digest.digest()
