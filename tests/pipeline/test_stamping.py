"""A released file gets its time stamp later, and whatever fails in between, what is public still verifies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlmodel import select

from audits.erasure import clear_files, finish
from core.clock import SystemClock
from core.errors import BadMedia, KeyMissing, TimedOut
from core.media.clip import Clip
from core.media.probe import probe
from core.media.read import frames, sound
from core.media.write import Delivery
from core.settings import Settings
from core.state import State
from core.tables import AuditEvent, Job, Manifest, Unstamped
from pipeline import stamping
from pipeline.assemble import _authority
from pipeline.finder import Finder
from pipeline.intake import Ask, submit, withdraw
from pipeline.ledger import open_ledger
from pipeline.records import Books
from pipeline.run import advance
from pipeline.stamping import WAIT_MS, stamp_released
from pipeline.sweep import sweep
from pipeline.tools import Tools
from provenance import manifest
from provenance.keys import dev_keys
from provenance.manifest import SignedManifest
from provenance.mark import Marked
from provenance.readings import LogProof
from provenance.timestamp import dev_authority
from provenance.verdict import Verdict
from provenance.verify import Report, verify
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools, sign


@dataclass
class Stamper:
    """Stands for `manifest.stamp`: appends a word, under a new label each time."""

    fails: Exception | None = None
    given: list[str] = field(default_factory=list)

    def __call__(self, source: Path, target: Path) -> SignedManifest:
        if self.fails is not None:
            raise self.fails
        self.given.append(f"urn:c2pa:stamp{len(self.given)}")
        target.write_bytes(source.read_bytes() + f"|{self.given[-1]}".encode())
        return SignedManifest(self.given[-1], b"update", stamped=True)


@pytest.fixture
def stamper() -> Stamper:
    return Stamper()


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock, stamper: Stamper) -> Any:
    made = make_tools(tmp_path, clock, stamp=stamper)
    add_partner(made.store)
    yield made
    made.store.close()


def released(tools: Tools) -> str:
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()
    while advance(tools, "w", job.id):
        pass
    return job.id


def job_of(tools: Tools, job_id: str) -> Job:
    with tools.store.reading() as session:
        return session.get_one(Job, job_id)


def waiting(tools: Tools) -> list[str]:
    with tools.store.reading() as session:
        return list(session.exec(select(Unstamped.job)))


def public(tools: Tools, job_id: str) -> bytes:
    return tools.blobs.path("public", str(job_of(tools, job_id).public)).read_bytes()


def later(clock: ManualClock) -> None:
    clock.advance(WAIT_MS / 1000 + 1)


def test_a_released_file_is_stamped_by_the_sweeper(tools: Tools, clock: ManualClock) -> None:
    job_id = released(tools)
    before = job_of(tools, job_id)
    assert before.got["time_stamped"] is False
    sweep(tools)
    assert waiting(tools) == [job_id], "not at once: the authority has just failed"
    later(clock)
    sweep(tools)
    after = job_of(tools, job_id)
    assert (after.state, after.fence) == (State.RELEASED, before.fence)
    assert after.manifest_label == "urn:c2pa:stamp0"
    assert after.got["time_stamped"] is True
    assert public(tools, job_id).endswith(b"|urn:c2pa:stamp0")
    assert waiting(tools) == []
    for label in (str(before.manifest_label), "urn:c2pa:stamp0"):
        found = Books(tools.store, Finder(tools.store)).by_label(label)
        assert found is not None
        assert found.id == job_id


def test_the_log_says_what_became_of_the_manifest(tools: Tools, clock: ManualClock) -> None:
    job_id = released(tools)
    before = job_of(tools, job_id)
    later(clock)
    assert stamp_released(tools) == 1
    after = job_of(tools, job_id)
    with tools.store.reading() as session:
        (event,) = session.exec(select(AuditEvent).where(AuditEvent.tag == "clip:stamped"))
    for text in (
        after.manifest_label,
        before.manifest_label,
        after.got["signed_sha256"],
        after.got["store_sha256"],
    ):
        assert str(text).encode() in event.leaf
    assert after.got["signed_sha256"] != before.got["signed_sha256"]


def test_a_file_that_was_stamped_when_signed_is_left_alone(
    tmp_path: Path, clock: ManualClock, stamper: Stamper
) -> None:
    tools = make_tools(
        tmp_path,
        clock,
        stamp=stamper,
        sign=lambda *given: replace(sign(*given), stamped=True),
    )
    add_partner(tools.store)
    job_id = released(tools)
    assert waiting(tools) == []
    later(clock)
    assert stamp_released(tools) == 0
    assert job_of(tools, job_id).got["time_stamped"] is True
    tools.store.close()


def test_an_authority_configured_later_stamps_what_was_released_before(
    tools: Tools, clock: ManualClock, stamper: Stamper
) -> None:
    without = replace(tools, stamp=None)
    jobs = [released(without) for _ in range(3)]
    later(clock)
    assert stamp_released(without) == 0
    assert sorted(waiting(tools)) == sorted(jobs)
    assert stamp_released(tools) == 3
    assert waiting(tools) == []


@pytest.mark.parametrize("error", [TimedOut("silence"), BadMedia("a format that takes none")])
def test_a_failure_changes_nothing(
    tools: Tools, clock: ManualClock, stamper: Stamper, error: Exception
) -> None:
    job_id = released(tools)
    before, content = job_of(tools, job_id), public(tools, job_id)
    later(clock)
    stamper.fails = error
    assert stamp_released(tools) == 0
    assert job_of(tools, job_id) == before
    assert public(tools, job_id) == content
    kept = isinstance(error, TimedOut)
    assert bool(waiting(tools)) is kept, "only what can be tried again is tried again"
    stamper.fails = None
    assert stamp_released(tools) == 0, "not at once"
    later(clock)
    assert stamp_released(tools) == int(kept)


def test_a_silent_authority_is_asked_once_in_a_sweep_and_less_and_less_often(
    tools: Tools, clock: ManualClock, stamper: Stamper
) -> None:
    jobs = [released(tools) for _ in range(3)]
    stamper.fails = TimedOut("silence")
    calls = 0
    for _ in range(60):  # an hour
        later(clock)
        with_count = [0]

        def counted(source: Path, target: Path, count: list[int] = with_count) -> SignedManifest:
            count[0] += 1
            return stamper(source, target)

        stamp_released(replace(tools, stamp=counted))
        assert with_count[0] <= 1
        calls += with_count[0]
    assert 3 <= calls < 30
    assert sorted(waiting(tools)) == sorted(jobs)


def test_two_sweepers_stamp_a_file_once(tools: Tools, clock: ManualClock, stamper: Stamper) -> None:
    job_id = released(tools)
    later(clock)

    def while_stamping(source: Path, target: Path) -> SignedManifest:
        assert stamp_released(replace(tools, stamp=stamper)) == 0, "the other one has it"
        return stamper(source, target)

    assert stamp_released(replace(tools, stamp=while_stamping)) == 1
    assert len(stamper.given) == 1
    assert job_of(tools, job_id).manifest_label == stamper.given[0]


class Crash(BaseException):
    """The process dies."""


@pytest.mark.parametrize(
    ("at", "after"),
    [("_keep", False), ("_keep", True), ("_check", True), ("publish", True), ("_tell", True)],
)
def test_a_crash_anywhere_leaves_a_public_file_whose_manifest_is_known(
    tools: Tools, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, at: str, *, after: bool
) -> None:
    job_id = released(tools)
    first = str(job_of(tools, job_id).manifest_label)
    later(clock)
    target: Any = tools.blobs if at == "publish" else stamping
    honest: Callable[..., Any] = getattr(target, at)

    def dies(*given: Any) -> None:
        if after:
            honest(*given)
        raise Crash

    monkeypatch.setattr(target, at, dies)
    with pytest.raises(Crash):
        stamp_released(tools)
    monkeypatch.setattr(target, at, honest)
    assert known(tools, job_id, first)
    later(clock)
    over = at == "_tell" and after
    assert stamp_released(tools) == int(not over)
    assert known(tools, job_id, first)
    assert public(tools, job_id).endswith(str(job_of(tools, job_id).manifest_label).encode())
    assert waiting(tools) == []


def known(tools: Tools, job_id: str, first: str) -> bool:
    """Whether the label in the public file leads to the record."""
    name = public(tools, job_id).rpartition(b"|")[2].decode()
    found = Books(tools.store, Finder(tools.store)).by_label(name if name.startswith("urn") else first)
    return found is not None and found.id == job_id


@pytest.mark.parametrize(("verdict", "again"), [("tampered", False), ("recovered", True)])
def test_nothing_replaces_a_file_that_does_not_verify(
    tools: Tools, clock: ManualClock, stamper: Stamper, verdict: str, *, again: bool
) -> None:
    job_id = released(tools)
    before, content = job_of(tools, job_id), public(tools, job_id)
    later(clock)
    doubtful = replace(tools, verify=lambda *_: SimpleNamespace(verdict=verdict, reasons=["so"]))
    assert stamp_released(doubtful) == 0
    assert stamper.given, "the control: it was stamped"
    assert public(tools, job_id) == content
    assert job_of(tools, job_id) == before
    assert bool(waiting(tools)) is again
    with tools.store.reading() as session:
        labels = session.exec(select(Manifest.label).where(Manifest.job == job_id)).all()
    assert labels == [before.manifest_label]


def test_a_withdrawn_clip_is_not_stamped(tools: Tools, clock: ManualClock, stamper: Stamper) -> None:
    job_id = released(tools)
    withdrawn(tools, job_id)
    later(clock)
    assert stamp_released(tools) == 0
    assert waiting(tools) == []
    assert stamper.given == []


def test_a_clip_withdrawn_meanwhile_stays_withdrawn(
    tools: Tools, clock: ManualClock, stamper: Stamper
) -> None:
    job_id = released(tools)
    label = job_of(tools, job_id).manifest_label
    later(clock)

    def meanwhile(source: Path, target: Path) -> SignedManifest:
        withdrawn(tools, job_id)
        return stamper(source, target)

    assert stamp_released(replace(tools, stamp=meanwhile)) == 0
    after = job_of(tools, job_id)
    assert (after.state, after.manifest_label) == (State.WITHDRAWN, label)


@pytest.mark.parametrize("cleared", [False, True])
def test_a_stamp_does_not_bring_back_a_file_that_was_taken_away(
    tools: Tools, clock: ManualClock, stamper: Stamper, *, cleared: bool
) -> None:
    job_id = released(tools)
    path = tools.blobs.path("public", str(job_of(tools, job_id).public))
    later(clock)

    def meanwhile(_path: Path, _job: str) -> SimpleNamespace:
        withdrawn(tools, job_id)
        if cleared:
            with tools.store.session() as session:
                clear_files(session, session.get_one(Job, job_id), 1)
                session.commit()
            finish(tools)
            assert not path.exists()
        return SimpleNamespace(verdict="verified", reasons=[])

    assert stamp_released(replace(tools, verify=meanwhile)) == 0
    assert path.exists() is not cleared


def test_a_file_whose_working_files_are_gone_is_stamped_too(tools: Tools, clock: ManualClock) -> None:
    job_id = released(tools)
    with tools.store.session() as session:
        clear_files(session, session.get_one(Job, job_id), 1)
        session.commit()
    finish(tools)
    later(clock)
    assert stamp_released(tools) == 1
    assert public(tools, job_id).endswith(b"|urn:c2pa:stamp0")
    assert not list((tools.settings.data_dir / "blobs" / "private").glob("**/*.mp4"))


def withdrawn(tools: Tools, job_id: str) -> None:
    with tools.store.session() as session:
        withdraw(session, tools, job_id, actor="reviewer:ada", reason="a mistake")
        session.commit()


def delivered(clip: Clip, into: Path, *_: object) -> Marked:
    """The one encode, without marks: the clip is too small to carry any."""
    with Delivery.like(into, clip, crf=30) as out:
        for block in sound(clip.path):
            out.sound(block)
        for frame in frames(clip.path):
            out.frame(frame.rgb)
    return Marked(clip=probe(into), video=False, audio=False, notes=())


def test_a_real_file_is_verified_before_and_after(tmp_path: Path, clock: ManualClock) -> None:
    real_time = SystemClock()
    keys, authority = dev_keys(tmp_path / "k", real_time), dev_authority(tmp_path / "k", real_time)
    asked: list[Verdict] = []

    def verified(path: Path, job_id: str = "") -> Report:
        report = verify(
            path,
            roots_pem=keys.claim_roots_pem,
            tsa_roots_pem=authority.roots_pem,
            mark_keys=(),
            records=Books(tools.store, Finder(tools.store), releasing=job_id),
            prove=lambda index: LogProof(included=True, index=index, size=index + 1, checkpoint=""),
        )
        asked.append(report.verdict)
        return report

    tools = make_tools(
        tmp_path,
        clock,
        mark=delivered,
        sign=lambda source, target, claim: manifest.sign(source, target, claim, keys),
        stamp=lambda source, target: manifest.stamp(source, target, "1", keys, authority),
        verify=verified,
    )
    add_partner(tools.store)
    ledger = open_ledger(tools.settings, tools.store, clock)
    tools = replace(tools, integrate=ledger.integrate)
    job_id = released(tools)
    first = tmp_path / "first.mp4"
    first.write_bytes(public(tools, job_id))
    before = verified(first).layers["manifest"]
    assert before["signed_at"] is None
    later(clock)
    assert stamp_released(tools) == 1
    second = tools.blobs.path("public", str(job_of(tools, job_id).public))
    after = verified(second).layers["manifest"]
    assert after["signed_at"] is not None
    assert (after["content_label"], after["soft_bindings"]) == (before["label"], before["soft_bindings"])
    assert after["label"] == job_of(tools, job_id).manifest_label
    assert verified(first).verdict == "verified", "who fetched it before is told the same"
    assert set(asked) == {"verified"}
    tools.store.close()


def test_the_settings_say_whom_to_ask_and_whom_to_believe(tmp_path: Path, clock: ManualClock) -> None:
    def given(**changes: Any) -> tuple[Any, str]:
        return _authority(Settings(_env_file=None, **changes), tmp_path, clock)

    nobody, ours = given()
    assert nobody is None
    asked, roots = given(tsa_url="development")
    assert asked is not None
    assert roots == ours == asked.roots_pem
    theirs = tmp_path / "roots.pem"
    theirs.write_text(dev_authority(tmp_path / "theirs", clock).roots_pem)
    for url in ("http://tsa.invalid", ""):
        asked, roots = given(tsa_url=url, tsa_roots=theirs, tsa_seconds=1)
        assert (asked is not None) is bool(url)
        assert roots == theirs.read_text() != ours
    for changes in ({"tsa_url": "http://tsa.invalid"}, {"tsa_roots": tmp_path / "nothing"}):
        with pytest.raises(KeyMissing):
            given(**changes)
