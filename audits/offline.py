"""Check evidence from a Greenlight audit log on any machine: no network, no Greenlight, nothing but this file.

    python3 -I verify.py PATH --key VKEY [--key VKEY]       or       python3 -I verify.py PATH --policy FILE

PATH is a proof (.tlog-proof), a bundle of evidence (.zip), or the folder of a whole log or of its mirror.
VKEY is a verifier key of the log (`name+id+base64`, or a file that holds it), which you must have from
somebody you trust: not from whoever handed you PATH. With several keys all must have signed. A policy
(C2SP tlog-policy) adds witnesses, and how many of them must have cosigned. Needs Python 3.9 and
`cryptography` (its version 50 has ML-DSA-44).

Exit code 0: it verifies. 1: it does not, and the first problem is named. 2: it could not be tried.

Written after the C2SP specifications (signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof, tlog-tiles,
tlog-policy) and RFC 6962, apart from the code that writes the log and shares none of it, so that a mistake
there is not repeated here. Its one error is therefore its own.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256
MAX_LEAF, MAX_NOTE, MAX_LINE, MAX_PROOF = 65_535, 1_000_000, 100_000, 1_200_000
MAX_MEMBERS, MAX_RATIO, MAX_LINES, MAX_SHOWN = 2_000_000, 200, 255, 20
KINDS = {1: 32, 4: 32, 6: 1312}  # signature type: bytes of its public key
_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,4}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_HEX = re.compile(r"[0-9a-f]{64}")
_EVENT = re.compile(r'\{"index":([0-9]+),"path":\[((?:"[^"]{44}"(?:,"[^"]{44}")*)?)\],"leaf":(\{.*\})\}')


class Wrong(Exception):
    """What was given does not verify, or is not what it claims to be."""


def sha256(*parts: bytes) -> bytes:
    """Hash the parts one after the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def decoded(text: str) -> bytes:
    """Decode base64 that is spelled in the one canonical way."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("malformed base64") from None
    if base64.b64encode(data).decode() != text:
        raise Wrong("base64 in a spelling that is not canonical")
    return data


def number(text: str) -> int:
    """Read a decimal number without sign or leading zeroes."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text):
        raise Wrong(f"not a number: {text[:30]!r}")
    return int(text)


def key_name(text: str) -> str:
    """Refuse the name of a key that holds a space, a plus sign or something that does not print."""
    if not text or any(char.isspace() or char == "+" or char < " " for char in text):
        raise Wrong("the name of a key is empty or holds spaces or a plus sign")
    return text


@dataclass(frozen=True)
class Key:
    """A public key; `kind` 1 signs notes, 4 cosigns with Ed25519, 6 cosigns with ML-DSA-44."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return sha256(self.name.encode(), b"\n", bytes([self.kind]), self.public)[:4]

    def check(self, text: str, blob: bytes) -> None:
        """Raise Wrong unless `blob` is this key's signature of a note's text."""
        try:
            if self.kind == 1:
                Ed25519PublicKey.from_public_bytes(self.public).verify(blob, text.encode())
            elif self.kind == 4:
                signed = f"cosignature/v1\ntime {timestamp(blob)}\n{text}".encode()
                Ed25519PublicKey.from_public_bytes(self.public).verify(blob[8:], signed)
            else:
                self._check_ml_dsa(text, blob)
        except (InvalidSignature, ValueError):
            raise Wrong(f"the signature of {self.name} is wrong") from None

    def _check_ml_dsa(self, text: str, blob: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
        except ImportError:
            raise OSError("this version of cryptography cannot check ML-DSA-44; version 50 can") from None
        origin, size, root = head_lines(text)
        names = [name.encode() for name in (self.name, origin)]
        if any(len(name) > 255 for name in names):
            raise Wrong("a name that was signed is too long")
        mine, log = (bytes([len(name)]) + name for name in names)
        signed = b"subtree/v1\n\0" + mine + struct.pack(">Q", timestamp(blob)) + log
        signed += struct.pack(">QQ", 0, size) + root
        MLDSA44PublicKey.from_public_bytes(self.public).verify(blob[8:], signed)


def timestamp(blob: bytes) -> int:
    """Read the time of a cosignature, in seconds since 1970."""
    seconds = int.from_bytes(blob[:8], "big")
    if seconds >> 63:
        raise Wrong("the time of a cosignature is out of bounds")
    return seconds


def read_key(text: str) -> Key:
    """Read a verifier key `name+id+base64`."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise Wrong("a verifier key has the form name+id+base64")
    data = decoded(parts[2])
    if not data or KINDS.get(data[0]) != len(data) - 1:
        raise Wrong(f"the verifier key of {parts[0][:80]} is of a type that is not known here")
    key = Key(key_name(parts[0]), data[0], data[1:])
    if key.id.hex() != parts[1]:
        raise Wrong(f"the verifier key of {key.name} does not match its id")
    return key


@dataclass
class Trust:
    """Whom to believe: the keys of a log, and how many of which witnesses must have cosigned."""

    logs: list[Key] = field(default_factory=list)
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str = "none"

    def met(self, name: str, cosigned: set[str]) -> bool:
        """Tell whether a witness or enough of a group cosigned."""
        if name not in self.groups:
            return name == "none" or name in cosigned
        needed, members = self.groups[name]
        return sum(self.met(member, cosigned) for member in members) >= needed


def read_policy(text: str) -> Trust:
    """Read a trust policy (C2SP tlog-policy), with groups of groups."""
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text) or text.count("\n") > MAX_LINES:
        raise Wrong("a trust policy holds no control characters, and not that many lines")
    trust, quorums = Trust(), []
    for line in text.split("\n"):
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        if not words or words[0].startswith("#"):
            continue
        kind, *rest = words
        names = {"none", *trust.witnesses, *trust.groups}
        if kind == "log" and len(rest) in {1, 2}:
            trust.logs.append(read_key(rest[0]))
        elif kind == "witness" and len(rest) in {2, 3} and rest[0] not in names:
            trust.witnesses[rest[0]] = read_key(rest[1])
        elif kind == "group" and len(rest) > 2 and rest[0] not in names:
            trust.groups[rest[0]] = read_group(rest[1], rest[2:], trust)
        elif kind == "quorum" and len(rest) == 1 and rest[0] in names:
            quorums.append(rest[0])
        else:
            raise Wrong(f"not a line of a trust policy: {line[:60]!r}")
    keys = [*trust.logs, *trust.witnesses.values()]
    if len(quorums) != 1 or not trust.logs or len({key.public for key in keys}) != len(keys):
        raise Wrong("a trust policy has a log, one quorum, and no key twice")
    if any(key.kind == 4 for key in trust.logs) or any(key.kind == 1 for key in trust.witnesses.values()):
        raise Wrong("a key of the trust policy is of a type that its owner does not sign with")
    return replace(trust, quorum=quorums[0])


def read_group(count: str, members: list[str], trust: Trust) -> tuple[int, list[str]]:
    """Read a group of the names that came before; each counts in one group at most."""
    taken = {name for _, names in trust.groups.values() for name in names}
    needed = {"any": 1, "all": len(members)}.get(count) or number(count)
    free = {*trust.witnesses, *trust.groups} - taken
    if not 1 <= needed <= len(members) or len(free.intersection(members)) != len(members):
        raise Wrong("a group of the policy cannot be met, or shares its members")
    return needed, members


@dataclass(frozen=True)
class Head:
    """A checkpoint that was signed by those who must: the state of a log of `size` entries."""

    origin: str
    size: int
    root: bytes
    signers: tuple[str, ...]


def head_lines(text: str) -> tuple[str, int, bytes]:
    """Read origin, size and root from the text of a checkpoint."""
    lines = text.split("\n")
    if len(lines) != 4 or not lines[0] or lines[3]:
        raise Wrong("a checkpoint has the three lines origin, size and root")
    root = decoded(lines[2])
    if len(root) != 32:
        raise Wrong("the root of a checkpoint has 32 bytes")
    return lines[0], number(lines[1]), root


def open_note(note: str, trust: Trust) -> Head:
    """Return the checkpoint of a signed note, if the log and enough witnesses signed it."""
    text, gap, block = note.rpartition("\n\n")
    lines = block.split("\n")
    if not gap or len(note) > MAX_NOTE or not 2 <= len(lines) <= 101 or lines.pop():
        raise Wrong("this is not a signed note")
    if re.search(r"[\x00-\x09\x0b-\x1f]", note):
        raise Wrong("a signed note holds no control characters")
    text += "\n"
    signed = [signature(line) for line in lines]
    origin, size, root = head_lines(text)
    logs = [key for key in trust.logs if key.name == origin]
    if not logs:
        raise Wrong(f"it is of the log {origin[:200]}, for which you gave no key")
    for key in logs:
        if not has_signed(key, text, signed):
            raise Wrong(f"the checkpoint is not signed by the key {key.id.hex()} of {key.name}")
    cosigned = {name for name, key in trust.witnesses.items() if has_signed(key, text, signed)}
    if not trust.met(trust.quorum, cosigned):
        raise Wrong(f"too few witnesses cosigned the checkpoint: {', '.join(sorted(cosigned)) or 'none'}")
    return Head(origin, size, root, tuple([key.name for key in logs] + sorted(cosigned)))


def signature(line: str) -> tuple[str, bytes, bytes]:
    """Cut a signature line into name, key id and signature."""
    parts = line.split(" ")
    data = decoded(parts[2]) if len(parts) == 3 and parts[0] == "\u2014" else b""
    if len(data) < 5:
        raise Wrong("malformed signature line")
    return key_name(parts[1]), data[:4], data[4:]


def has_signed(key: Key, text: str, signatures: Sequence[tuple[str, bytes, bytes]]) -> bool:
    """Tell whether a key signed; a signature that names it and is wrong raises Wrong."""
    mine = [blob for name, key_id, blob in signatures if (name, key_id) == (key.name, key.id)]
    for blob in mine:
        key.check(text, blob)
    return bool(mine)


def climb(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Give the root that a path leads to from a leaf's hash: RFC 6962, section 2.1.1, read backwards."""
    if not 0 <= index < size or (size == 1) != (not path):
        raise Wrong("the path is too short or too long for its place in the log")
    if size == 1:
        return leaf
    left = 1 << ((size - 1).bit_length() - 1)
    if index < left:
        return sha256(b"\1", climb(index, left, leaf, path[:-1]), path[-1])
    return sha256(b"\1", path[-1], climb(index - left, size - left, leaf, path[:-1]))


def tree(hashes: Sequence[bytes]) -> bytes:
    """Give the root over hashes: MTH of RFC 6962, section 2.1."""
    row = list(hashes)
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        row = [hashlib.sha256(b"\1" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)] + odd
    return row[0] if row else sha256()


def check_inclusion(head: Head, index: int, leaf: bytes, path: Sequence[bytes]) -> None:
    """Raise Wrong unless the entry is in the log at this index."""
    if any(len(step) != 32 for step in path):
        raise Wrong("a step of the path has 32 bytes")
    if climb(index, head.size, sha256(b"\0", leaf), path) != head.root:
        raise Wrong(f"entry {index} is not in the log with these bytes")


def check_proof(text: str, leaf: bytes | None, trust: Trust) -> tuple[Head, int, bytes]:
    """Check a C2SP tlog-proof of the given entry, or of the one it carries in `extra`."""
    front, gap, note = text.partition("\n\n")
    lines = front.split("\n")
    if not gap or len(text) > MAX_PROOF or lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Wrong("this is not a tlog-proof")
    if lines and lines[0].startswith("extra "):
        carried = decoded(lines.pop(0)[6:])
        if not carried or leaf not in {None, carried}:
            raise Wrong("the proof carries another entry than the one you gave")
        leaf = carried
    if not lines or not lines[0].startswith("index ") or len(lines) > 64:
        raise Wrong("this is not a tlog-proof")
    if leaf is None or len(leaf) > MAX_LEAF:
        raise Wrong("the proof carries no entry: give the file with its bytes (--entry)")
    index, path = number(lines[0][6:]), [decoded(line) for line in lines[1:]]
    head = open_note(note, trust)
    check_inclusion(head, index, leaf, path)
    return head, index, leaf


def read(path: Path, limit: int) -> bytes:
    """Read a file that may be this long."""
    try:
        if path.stat().st_size > limit:
            raise Wrong(f"{path} is longer than {limit} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        raise Wrong(f"{path} is missing") from None


def text_of(data: bytes) -> str:
    """Decode UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Wrong("it is not text") from None


def stored(folder: Path, kind: str, index: int, width: int, limit: int) -> bytes:
    """Read a tile or a bundle of entries (tlog-tiles); a full one may stand for the partial one."""
    groups = [f"{index // 1000**at % 1000:03d}" for at in range(max(1, -(-len(str(index)) // 3)))][::-1]
    full = folder / "tile" / kind / "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    partial = full.with_name(f"{full.name}.p") / str(width)
    return read(partial if width < WIDTH and partial.exists() else full, limit)


def entries(folder: Path, index: int, width: int) -> list[bytes]:
    """Give the hashes of the entries in a bundle."""
    data, at, hashes = stored(folder, "entries", index, width, WIDTH * (MAX_LEAF + 2)), 0, []
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        hashes.append(hashlib.sha256(b"\0" + data[at + 2 : end]).digest())
        at = end
    if at != len(data) or len(hashes) not in {width, WIDTH}:
        raise Wrong(f"the bundle of entry {index * WIDTH} and the next does not hold {width} whole entries")
    return hashes[:width]


def compare(folder: Path, level: int, index: int, row: Sequence[bytes]) -> None:
    """Compare what the entries lead to with the tile that was published."""
    told = stored(folder, str(level), index, len(row), WIDTH * 32)
    if len(told) not in {len(row) * 32, WIDTH * 32}:
        raise Wrong(f"the tile of level {level} and number {index} has {len(told)} bytes")
    for at, hashed in enumerate(row):
        if told[at * 32 : at * 32 + 32] != hashed:
            span = WIDTH**level
            first = (index * WIDTH + at) * span
            where = f"entry {first}" if span == 1 else f"entries {first} to {first + span - 1}"
            raise Wrong(f"{where}: changed, or the tile above (level {level}, number {index}) is")


def joined(rows: Sequence[Sequence[bytes]]) -> bytes:
    """Give the root over complete subtrees of 256^n entries at n, the larger ones to the left."""
    right: list[bytes] = []
    for row in rows:
        right = [tree([*row, *right])] if row or right else []
    return right[0] if right else sha256()


def check_log(folder: Path, trust: Trust, against: Sequence[Head]) -> Head:
    """Re-derive a log from its entries in one pass and constant memory; the first thing wrong raises Wrong."""
    head = open_note(text_of(read(folder / "checkpoint", MAX_NOTE)), trust)
    for earlier in against:
        if earlier.origin != head.origin or earlier.size > head.size:
            raise Wrong(f"{earlier.size} entries of {earlier.origin} were seen before, which are not here")
    rows: list[list[bytes]] = [[]]
    for first in range(0, head.size, WIDTH):
        rows[0] = entries(folder, first // WIDTH, min(WIDTH, head.size - first))
        for earlier in against:
            held = [rows[0][: max(earlier.size - first, 0)], *rows[1:]]
            if first < earlier.size <= first + len(rows[0]) and joined(held) != earlier.root:
                raise Wrong(f"the first {earlier.size} entries are not those that were seen before")
        carry(folder, first, rows)
    for level, row in enumerate(rows):
        if row:
            compare(folder, level, head.size // WIDTH ** (level + 1), row)
    if joined(rows) != head.root:
        raise Wrong("the entries do not lead to the root that was signed")
    return head


def carry(folder: Path, first: int, rows: list[list[bytes]]) -> None:
    """Turn every full row, which is a tile, into one hash of the row above."""
    level = 0
    while len(rows[level]) == WIDTH:
        compare(folder, level, first // WIDTH ** (level + 1), rows[level])
        if level + 1 == len(rows):
            rows.append([])
        rows[level + 1].append(tree(rows[level]))
        rows[level] = []
        level += 1


class Archive:
    """A bundle of evidence, read within bounds and never unpacked."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.zip = archive
        self.members = {info.filename: info for info in archive.infolist()}
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS or len(self.members) != len(infos):
            raise Wrong("the archive has too many files, or two of one name")
        if sum(info.compress_size for info in infos) > size:
            raise Wrong("files of the archive overlap")
        for info in infos:
            if not _NAME.fullmatch(info.filename) or info.flag_bits & 1 or info.compress_type not in {0, 8}:
                raise Wrong(f"the archive holds a file that has no place in it: {info.filename[:80]!r}")
            if info.file_size > 1_000_000 + MAX_RATIO * info.compress_size:
                raise Wrong(f"{info.filename} unpacks to more than a file of evidence does")

    def lines(self, name: str) -> Iterator[str]:
        """Read a file line by line."""
        if name not in self.members:
            raise Wrong(f"the archive lacks {name}")
        with self.zip.open(name) as file:
            while line := file.readline(MAX_LINE):
                if not line.endswith(b"\n"):
                    raise Wrong(f"a line of {name} is too long or has no end")
                yield text_of(line[:-1])

    def text(self, name: str, limit: int) -> str:
        """Read a small file."""
        if name not in self.members or self.members[name].file_size > limit:
            raise Wrong(f"the archive lacks {name}, or it is too long")
        return text_of(self.zip.read(name))

    def digest(self, name: str) -> str:
        """Hash a file."""
        hashed = hashlib.sha256()
        with self.zip.open(name) as file:
            while block := file.read(1 << 16):
                hashed.update(block)
        return hashed.hexdigest()


def check_bundle(path: Path, trust: Trust) -> dict[str, Any]:
    """Check every event of a bundle against the signed log, and every other file against its digest."""
    try:
        with zipfile.ZipFile(path) as file:
            archive = Archive(file, path.stat().st_size)
            head = open_note(archive.text("checkpoint", MAX_NOTE), trust)
            papers = check_papers(archive)
            count, said = check_events(archive, head, set(papers.values()))
            for name in papers:
                if name.endswith(".tlog-proof"):
                    check_proof(archive.text(name, MAX_PROOF), None, trust)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise Wrong(f"the archive is damaged: {error}") from None
    covered = sorted(name for name, digest in papers.items() if digest in said)
    return found("bundle", head) | {"events": count, "papers": len(papers), "covered": covered}


def check_papers(archive: Archive) -> dict[str, str]:
    """Compare every file with the digest that digests.txt lists for it, and give the digests by name."""
    papers: dict[str, str] = {}
    for line in archive.lines("digests.txt"):
        digest, _, name = line.partition("  ")
        papers[name] = digest
    if papers.keys() != archive.members.keys() - {"digests.txt"}:
        raise Wrong("the files of the archive are not those that digests.txt lists")
    for name, digest in papers.items():
        if archive.digest(name) != digest:
            raise Wrong(f"{name} is not the file that digests.txt lists")
    return papers


def check_events(archive: Archive, head: Head, digests: set[str]) -> tuple[int, set[str]]:
    """Prove every event; give their number, and which of these digests stand in one."""
    last, count, said = -1, 0, set()
    for line in archive.lines("events.jsonl"):
        match = _EVENT.fullmatch(line)
        index = number(match[1]) if match else 0
        if match is None or index <= last:
            raise Wrong("a line of events.jsonl is no event, or out of the order of the log")
        path = [decoded(step) for step in re.findall(r'[^",]+', match[2])]
        check_inclusion(head, index, match[3].encode(), path)
        last, count = index, count + 1
        said |= digests.intersection(_HEX.findall(match[3]))
    if not count:
        raise Wrong("the bundle holds no event")
    return count, said


def found(kind: str, head: Head) -> dict[str, Any]:
    """Say what was checked, and against whose signatures."""
    return {"kind": kind, "log": head.origin, "size": head.size, "signed_by": list(head.signers)}


def trusted(keys: Sequence[str], policy: Path | None) -> Trust:
    """Put together whom to believe."""
    if bool(keys) == (policy is not None):
        raise Wrong("give the log's verifier key with --key, or a trust policy with --policy")
    if policy is not None:
        return read_policy(text_of(read(policy, MAX_NOTE)))
    texts = [text_of(read(Path(key), MAX_NOTE)).strip() if Path(key).is_file() else key for key in keys]
    return Trust([read_key(line) for text in texts for line in text.split()])


def checked(options: argparse.Namespace, trust: Trust) -> dict[str, Any]:
    """Check what PATH is."""
    path: Path = options.path
    if path.is_dir():
        against = [open_note(text_of(read(Path(name), MAX_NOTE)), trust) for name in options.against]
        return found("log", check_log(path, trust, against)) | {"seen_before": [old.size for old in against]}
    if path.suffix == ".zip" or zipfile.is_zipfile(path):
        return check_bundle(path, trust)
    given = read(options.entry, MAX_LEAF) if options.entry else None
    head, index, leaf = check_proof(text_of(read(path, MAX_PROOF)), given, trust)
    return found("proof", head) | {"index": index, "entry": leaf.decode(errors="replace")}


def told(value: dict[str, Any]) -> str:
    """Say in plain words what was found."""
    if not value["ok"]:
        return f"DOES NOT VERIFY: {value['problem']}"
    lines = {
        "log": "VERIFIED: every entry, every tile and the signed root agree.",
        "proof": f"VERIFIED: entry {value.get('index')} is in the log. It says:\n{value.get('entry')}",
        "bundle": f"VERIFIED: all {value.get('events')} events are in the log, and all files are as listed.",
    }
    also = [
        f"The log is {value['log']}, of {value['size']} entries; signed by {', '.join(value['signed_by'])}."
    ]
    if value["kind"] == "bundle":
        listed = [f"  {name}" for name in value["covered"][:MAX_SHOWN]]
        also += [
            f"The log vouches for {len(value['covered'])} papers, whose digests stand in events:",
            *listed,
        ]
        also.append("It does not vouch for the other papers: they are the operator's own account.")
    return "\n".join([lines[value["kind"]], *also])


def main(arguments: Sequence[str] | None = None) -> int:
    """Check PATH, say what was found, and return the exit code."""
    about = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("verify.py", description=__doc__, formatter_class=about)
    parser.add_argument("path", type=Path, metavar="PATH")
    parser.add_argument("--key", action="append", default=[], help="verifier key of the log, or its file")
    parser.add_argument("--policy", type=Path, help="trust policy: keys of the log, witnesses, quorum")
    parser.add_argument(
        "--entry", type=Path, help="the bytes of the entry, where a proof does not carry them"
    )
    parser.add_argument("--against", action="append", default=[], help="a checkpoint that was seen before")
    parser.add_argument("--json", action="store_true", help="answer for machines")
    options = parser.parse_args(arguments)
    value: dict[str, Any]
    try:
        trust = trusted(options.key, options.policy)
        options.path.stat()
    except (Wrong, OSError) as error:
        parser.error(str(error))
    try:
        value = {"ok": True, **checked(options, trust)}
    except Wrong as error:
        value = {"ok": False, "problem": str(error)}
    except OSError as error:
        parser.error(str(error))
    sys.stdout.write((json.dumps(value) if options.json else told(value)) + "\n")
    return 0 if value["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
