from __future__ import annotations

import hashlib
import json
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from audits import bundle, offline, queries
from audits.bundle import Bundled, write_bundle
from audits.filters import Filter, make_filter
from audits.index import catch_up
from audits.log.proof import verify_proof
from audits.log.signing import SigningKey
from core.errors import BadInput, LogCorrupt, NotFound
from tests.audits.conftest import make_log
from tests.audits.test_offline import alone, verify
from tests.conftest import ManualClock

__all__ = ["verify"]

PACK = b"name: a pack\n"
STORE = b"a manifest store"
DIGESTS = {name: hashlib.sha256(data).hexdigest() for name, data in (("pack", PACK), ("store", STORE))}


def kept(job: str) -> Iterator[tuple[str, bytes]]:
    yield "receipt.json", json.dumps({"id": job}).encode()
    yield "manifest-1.c2pa", STORE


def write(log: Any, wanted: Filter, into: Path, **changes: Any) -> Bundled:
    given = {"title": "a <b>case</b>", "papers": kept, "packs": {DIGESTS["pack"]: PACK, "0" * 64: b"other"}}
    with log.store.reading() as session:
        return write_bundle(session, log.folder, log.policy, wanted, into, **(given | changes))


def trust(log: Any) -> offline.Trust:
    return offline.read_policy(log.policy.render())


CLIP = make_filter({"job": ["clip_1"]})


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = make_log(tmp_path_factory.mktemp("log"), ManualClock())
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def path(log: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    log.happen(2)
    log.happen(300, partner="acme", job="clip_1", rule="a-rule")
    log.happen(1, DIGESTS, tag="clip:signed", partner="acme", job="clip_1")
    log.integrate()
    into = tmp_path_factory.mktemp("bundle") / "evidence.zip"
    assert write(log, CLIP, into) == Bundled(301, 1, 303)
    return into


def test_a_stranger_checks_it_with_the_verifier_inside(
    log: Any, path: Path, tmp_path: Path, verify: Path
) -> None:
    with zipfile.ZipFile(path) as archive:
        inside = tmp_path / "verify.py"
        inside.write_bytes(archive.read("verify.py"))
    assert inside.read_bytes() == verify.read_bytes()
    policy = tmp_path / "policy.txt"
    policy.write_text(log.policy.render())
    code, told = alone(inside, path, "--policy", policy)
    assert code == 0, told
    assert "all 301 events are in the log" in told
    code, told = alone(inside, path, "--policy", policy, "--json")
    covered = ["clips/clip_1/manifest-1.c2pa", f"policies/{DIGESTS['pack']}.yaml"]
    assert json.loads(told)["covered"] == covered
    other = SigningKey(log.key.name, b"\x05" * 32).vkey.render()
    code, told = alone(inside, path, "--key", other)
    assert code == 1
    assert "not signed by the key" in told


def test_each_decision_stands_alone_too(log: Any, path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        proofs = [name for name in archive.namelist() if name.startswith("proofs/")]
        assert len(proofs) == 300
        for name in proofs[:5]:
            verify_proof(archive.read(name).decode(), None, log.policy)
        versions = json.loads(archive.read("versions.json"))
    assert versions["policies"] == [DIGESTS["pack"]]


class Page(HTMLParser):
    """What is in a page, and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_person_can_read_it(log: Any, path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        text = archive.read("index.html").decode()
        names = set(archive.namelist())
        assert archive.read("checkpoint") == (log.folder / "checkpoint").read_bytes()
    page = Page()
    page.feed(text)
    assert page.open == []
    tags = [tag for tag, _ in page.seen]
    assert tags.count("h1") == tags.count("main") == tags.count("title") == 1
    assert not {"script", "img", "link", "iframe"} & set(tags)
    assert dict(page.seen)["html"] == {"lang": "en"}
    assert all(attrs.get("scope") in {"row", "col"} for tag, attrs in page.seen if tag == "th")
    links = {str(attrs["href"]) for tag, attrs in page.seen if tag == "a"}
    assert links
    assert links <= names
    assert "a &lt;b&gt;case&lt;/b&gt;" in text
    assert "<b>case" not in text


def test_the_same_evidence_is_the_same_file(log: Any, path: Path, tmp_path: Path) -> None:
    write(log, CLIP, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


@pytest.fixture
def fresh(tmp_path: Path, clock: ManualClock) -> Iterator[Any]:
    made = make_log(tmp_path, clock)
    yield made
    made.store.close()


def test_a_month_begins_and_ends_where_it_does(fresh: Any, tmp_path: Path) -> None:
    start, end = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    for day, clip in ((start - timedelta(milliseconds=1), "a"), (start, "b"), (end, "c")):
        fresh.clock.at = day
        fresh.happen(1, partner="acme", job=f"clip_{clip}")
        fresh.happen(1, partner="other", job=f"clip_{clip}{clip}")
    fresh.integrate()
    december = make_filter({"partner": ["acme"]}, since=start, until=end)
    assert write(fresh, december, tmp_path / "12.zip") == Bundled(1, 1, 6)
    with zipfile.ZipFile(tmp_path / "12.zip") as archive:
        assert "clips/clip_b/receipt.json" in archive.namelist()
    assert offline.check_bundle(tmp_path / "12.zip", trust(fresh))["events"] == 1


def test_memory_does_not_grow_with_the_events(
    fresh: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MAX_ROWS", 50)
    monkeypatch.setattr(queries, "MAX_LIMIT", 50)
    peaks = []
    for clip, count in (("clip_1", 300), ("clip_2", 1200)):
        fresh.happen(count, tag="audit:queried", job=clip)
        fresh.integrate()
        catch_up(fresh.store)
        tracemalloc.start()
        assert write(fresh, make_filter({"job": [clip]}), tmp_path / f"{clip}.zip").events == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 900 events more, of which only the rows of the page and one page of the query are kept.
    assert peaks[1] < peaks[0] + 300_000
    assert offline.check_bundle(tmp_path / "clip_2.zip", trust(fresh))["events"] == 1200


Files = dict[str, bytes]


def listed(files: Files) -> Files:
    """Give the files with a list of digests that fits them, as a forger would."""
    lines = [
        f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        for name, data in files.items()
        if name != "digests.txt"
    ]
    return files | {"digests.txt": "".join(lines).encode()}


def edited(name: str, change: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    return lambda files: listed(files | {name: change(files[name])})


def swapped(data: bytes) -> bytes:
    first, second, *rest = data.splitlines(keepends=True)
    return b"".join((second, first, *rest))


ATTACKS: dict[str, Callable[[Files], Files]] = {
    "a paper and not its digest": lambda files: files | {"clips/clip_1/receipt.json": b"{}"},
    "a paper more": lambda files: files | {"clips/clip_1/more.json": b"{}"},
    "a paper less": lambda files: {n: d for n, d in files.items() if n != "clips/clip_1/receipt.json"},
    "a leaf": edited("events.jsonl", lambda data: data.replace(b'"n":7}', b'"n":8}')),
    "an index": edited("events.jsonl", lambda data: data.replace(b'"index":7,', b'"index":6,')),
    "two lines": edited("events.jsonl", swapped),
    "a line twice": edited("events.jsonl", lambda data: data.splitlines(keepends=True)[0] + data),
    "half a line": edited("events.jsonl", lambda data: data[:-40]),
    "no line": edited("events.jsonl", lambda _data: b""),
    "an endless line": edited("events.jsonl", lambda data: data + b"9" * 1_000_000),
    "junk": edited("events.jsonl", lambda data: data + b"\xff\xfe\n"),
    "a proof": edited("proofs/7.tlog-proof", lambda data: data.replace(b"index 7\n", b"index 6\n")),
    "half a proof": edited("proofs/7.tlog-proof", lambda data: data[:300]),
    "the checkpoint": edited("checkpoint", lambda data: data.replace(b"\n303\n", b"\n304\n")),
    "no checkpoint": lambda files: listed({n: d for n, d in files.items() if n != "checkpoint"}),
    "a path up": lambda files: listed(files | {"../up.json": b"{}"}),
    "an absolute path": lambda files: listed(files | {"/etc/up.json": b"{}"}),
    "a backslash": lambda files: listed(files | {"clips\\up.json": b"{}"}),
    "a folder": lambda files: listed(files | {"clips/clip_1/": b""}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_changed_bundle_is_refused(log: Any, path: Path, tmp_path: Path, attack: str) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    zipped(tmp_path / "same.zip", listed(files))
    assert offline.check_bundle(tmp_path / "same.zip", trust(log))["events"] == 301, "the control"
    zipped(tmp_path / "changed.zip", ATTACKS[attack](files))
    with pytest.raises(offline.Wrong):
        offline.check_bundle(tmp_path / "changed.zip", trust(log))


def zipped(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["bomb", "twice", "overlap", "cut", "junk", "empty", "encrypted", "bzip2"])
def test_an_archive_that_is_a_trap_is_refused(log: Any, path: Path, tmp_path: Path, kind: str) -> None:
    trap = tmp_path / "trap.zip"
    data = path.read_bytes()
    if kind == "bomb":
        zipped(trap, {"clips/a/bomb.json": bytes(30_000_000)})
        assert trap.stat().st_size < 40_000
    elif kind == "twice":
        with zipfile.ZipFile(trap, "w") as archive:
            archive.writestr("checkpoint", b"1")
            archive.writestr("checkpoint", b"2")
    elif kind == "overlap":
        trap.write_bytes(overlapping(zipped(trap, {"a.json": b"x" * 999, "b.json": b"y" * 999}).read_bytes()))
    elif kind == "cut":
        trap.write_bytes(data[: len(data) // 2])
    elif kind == "junk":
        trap.write_bytes(b"PK\x03\x04" + b"junk" * 10_000)
    elif kind == "empty":
        zipped(trap, {})
    elif kind == "encrypted":
        at = data.rindex(b"PK\x01\x02")
        trap.write_bytes(data[: at + 8] + bytes([data[at + 8] | 1]) + data[at + 9 :])
    else:
        with zipfile.ZipFile(trap, "w", zipfile.ZIP_BZIP2) as archive:
            archive.writestr("checkpoint", b"x" * 100)
    with pytest.raises(offline.Wrong):
        offline.check_bundle(trap, trust(log))


def overlapping(data: bytes) -> bytes:
    """Let every file of an archive claim the bytes of all of it."""
    for found in re.finditer(b"PK\x01\x02", data):
        at = found.start() + 20
        data = data[:at] + struct.pack("<L", len(data)) + data[at + 4 :]
    return data


def test_nothing_to_show_and_bad_names_leave_nothing(log: Any, path: Path, tmp_path: Path) -> None:
    def climbing(_job: str) -> Iterable[tuple[str, bytes]]:
        return [("../x.json", b"")]

    before = sorted(tmp_path.iterdir())
    with pytest.raises(NotFound):
        write(log, make_filter({"job": ["clip_2"]}), tmp_path / "no.zip")
    with pytest.raises(BadInput):
        write(log, CLIP, tmp_path / "no.zip", papers=climbing)
    assert sorted(tmp_path.iterdir()) == before


def test_a_database_that_disagrees_with_the_log_gives_no_evidence(fresh: Any, tmp_path: Path) -> None:
    from core.tables import AuditEvent

    fresh.happen(9, job="clip_1")
    fresh.integrate()
    with fresh.store.session() as session:
        row = session.get_one(AuditEvent, 7)
        row.leaf = row.leaf.replace(b'"n":6', b'"n":5')
        session.commit()
    with pytest.raises(LogCorrupt, match="entry 6 is another"):
        write(fresh, CLIP, tmp_path / "no.zip")
