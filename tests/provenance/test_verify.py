from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import BadMedia, LogCorrupt, Unavailable
from core.media.clip import Frame, Sound
from core.media.probe import probe
from core.media.read import frames, whole_sound
from core.media.write import Delivery
from provenance import perceive as module
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import Printer, VideoPrint
from provenance.keys import SigningKeys
from provenance.manifest import Claim, Parent, sign
from provenance.marks import MarkKey, MarkReading, Segment
from provenance.readings import LogProof, Record
from provenance.verify import Report, conclude, examine, verify

KEY = MarkKey("key", bytes(32))


@dataclass
class Shelf:
    """Our memory of releases, held in a list."""

    records: list[Record]

    def by_payload(self, payload: int) -> Record | None:
        return next((one for one in self.records if one.payload == payload), None)

    def by_label(self, label: str) -> Record | None:
        return next((one for one in self.records if one.manifest_label == label), None)

    def by_content(self, video: VideoPrint | None, audio: AudioPrint | None) -> Record | None:
        return None


@dataclass
class Marks:
    """Stands for the detectors: says what it is told, and remembers what it was shown."""

    seen: int | None = None
    heard: int | None = None
    frames: int = 0
    samples: int = 0

    def look(self, pictures: Iterable[Frame], keys: object, *, thorough: bool = True) -> MarkReading:
        self.frames = sum(1 for _ in pictures)
        return self._reading("video", self.seen)

    def listen(self, sound: Sound, rate: int, keys: object, *, thorough: bool = True) -> MarkReading:
        self.samples = len(sound)
        return self._reading("audio", self.heard)

    def _reading(self, track: str, payload: int | None) -> MarkReading:
        found = payload is not None
        spans = (Segment(0.0, 1.0, found=found),)
        return MarkReading(track=track, found=found, payload=payload, p_false=1e-12, segments=spans)


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Marks:
    fake = Marks()
    monkeypatch.setattr(module.video, "detect", fake.look)
    monkeypatch.setattr(module.audio, "detect", fake.listen)
    return fake


def proof(index: int) -> LogProof:
    return LogProof(included=True, index=index, size=index + 1, checkpoint="greenlight/log\n8\n")


@dataclass
class Release:
    path: Path
    record: Record
    ask: Callable[..., Report]


def shown(path: Path) -> VideoPrint:
    printer = Printer()
    for frame in frames(path):
        printer.add(frame.rgb, frame.time)
    return printer.finish().stored()


@pytest.fixture
def release(film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys, marks: Marks) -> Release:
    path = tmp_path / "release.mp4"
    label = sign(film, path, claim, keys).label
    record = Record(
        id="rec_1",
        payload=claim.payload,
        manifest_label=label,
        released_at="2026-11-23T12:00:00Z",
        withdrawn=False,
        seconds=1.0,
        video=True,
        audio=True,
        log_index=7,
        digest="",
        video_print=shown(film),
    )
    marks.seen = marks.heard = claim.payload

    def ask(path: Path = path, records: tuple[Record, ...] = (record,), prove: object = proof) -> Report:
        return verify(
            path, roots_pem=keys.claim_roots_pem, mark_keys=(KEY,), records=Shelf(list(records)), prove=prove
        )

    return Release(path, record, ask)


def test_a_release_is_verified(release: Release) -> None:
    report = release.ask()
    assert report.verdict == "verified"
    assert report.layers["manifest"]["state"] == "trusted"
    assert report.layers["video_mark"]["payload"] == "0123456789abcdef"
    assert report.layers["record"] == {
        "id": "rec_1",
        "released_at": "2026-11-23T12:00:00Z",
        "withdrawn": False,
        "same_bytes": False,
    }
    assert report.layers["log"]["included"] is True
    assert {one["track"] for one in report.segments} == {"video", "audio"}
    assert report.elapsed_s > 0


def test_the_report_is_json(release: Release) -> None:
    content = json.loads(json.dumps(asdict(release.ask())))
    assert set(content) == {"verdict", "reasons", "layers", "segments", "elapsed_s"}
    assert set(content["layers"]) == {
        "manifest",
        "video_mark",
        "audio_mark",
        "fingerprint",
        "record",
        "log",
    }
    assert set(content["segments"][0]) == {"track", "start", "end", "finding", "technique"}


def test_an_examination_can_leave_a_sandbox(release: Release, keys: SigningKeys) -> None:
    seen = examine(release.path, roots_pem=keys.claim_roots_pem, mark_keys=(KEY,))
    back = pickle.loads(pickle.dumps(seen))
    assert back == seen
    assert conclude(back, Shelf([release.record]), proof).verdict == "verified"


def reencoded(source: Path, into: Path) -> Path:
    clip = probe(source)
    assert clip.video
    assert clip.audio
    size = {"width": clip.video.width, "height": clip.video.height, "fps": clip.video.fps}
    with Delivery(into, **size, rate=clip.audio.rate, channels=clip.audio.channels, crf=28) as out:
        out.sound(whole_sound(source))
        for frame in frames(source):
            out.frame(frame.rgb)
    return into


def test_a_stripped_release_is_recovered(release: Release, tmp_path: Path) -> None:
    copy = reencoded(release.path, tmp_path / "copy.mp4")
    report = release.ask(copy)
    assert report.verdict == "recovered"
    assert report.layers["manifest"]["state"] == "none"
    assert report.layers["record"]["id"] == "rec_1"


def test_without_marks_a_stripped_release_is_unknown(release: Release, tmp_path: Path, marks: Marks) -> None:
    marks.seen = marks.heard = None
    assert release.ask(reencoded(release.path, tmp_path / "copy.mp4")).verdict == "unknown"
    assert release.ask().verdict == "tampered", "the manifest promises marks"


def test_a_flipped_bit_is_tampering(release: Release) -> None:
    data = bytearray(release.path.read_bytes())
    data[data.index(b"mdat") + 700] ^= 1
    release.path.write_bytes(data)
    assert release.ask().verdict == "tampered"


def test_swapped_sound_is_a_conflict(release: Release, marks: Marks) -> None:
    marks.heard = 0xFFFF
    other = replace(release.record, id="rec_2", payload=0xFFFF, manifest_label="urn:c2pa:2")
    assert release.ask(records=(release.record, other)).verdict == "conflict"


def test_a_strangers_signature_on_our_content_is_a_conflict(
    release: Release, film: Path, tmp_path: Path, claim: Claim, stranger: SigningKeys, marks: Marks
) -> None:
    theirs = tmp_path / "theirs.mp4"
    sign(film, theirs, claim, stranger)
    assert release.ask(theirs).verdict == "conflict"
    marks.seen = marks.heard = None
    assert release.ask(theirs).verdict == "foreign", "without our marks it is simply somebody else's"


def test_a_broken_input_is_carried_into_the_verdict(
    release: Release, film: Path, tmp_path: Path, claim: Claim, keys: SigningKeys
) -> None:
    data = bytearray(release.path.read_bytes())
    data[data.index(b"mdat") + 700] ^= 1
    (tmp_path / "broken.mp4").write_bytes(data)
    edited = replace(claim, source="composite", parent=Parent(tmp_path / "broken.mp4", "video/mp4"))
    label = sign(film, release.path, edited, keys).label
    report = release.ask(records=(replace(release.record, manifest_label=label),))
    assert report.verdict == "tampered"
    assert "ingredient:assertion.bmffHash.mismatch" in report.layers["manifest"]["failures"]


def unavailable(_index: int) -> LogProof:
    raise Unavailable


def corrupt(_index: int) -> LogProof:
    raise LogCorrupt


@pytest.mark.parametrize(
    ("prove", "verdict"),
    [
        (proof, "verified"),
        (None, "recovered"),
        (unavailable, "recovered"),
        (corrupt, "conflict"),
        (lambda index: replace(proof(index), included=False), "conflict"),
    ],
)
def test_the_log_has_its_say(release: Release, prove: object, verdict: str) -> None:
    assert release.ask(prove=prove).verdict == verdict


def test_a_record_that_was_never_logged_is_not_verified(release: Release) -> None:
    assert release.ask(records=(replace(release.record, log_index=None),)).verdict == "recovered"


def test_a_withdrawn_release_says_so(release: Release) -> None:
    report = release.ask(records=(replace(release.record, withdrawn=True),))
    assert "We have withdrawn this release." in report.reasons


def test_every_frame_of_a_slow_clip_is_looked_at(release: Release, marks: Marks) -> None:
    release.ask()
    assert marks.frames == 12
    assert 16000 <= marks.samples < 16000 + 3 * 1024


def test_long_clips_are_read_in_part(tmp_path: Path, keys: SigningKeys, marks: Marks) -> None:
    path = tmp_path / "long.mp4"
    with Delivery(path, width=64, height=64, fps=24, rate=8000, channels=1, preset="ultrafast") as out:
        out.sound(np.zeros((50 * 8000, 1), np.float32))
        for index in range(20 * 24):
            out.frame(np.full((64, 64, 3), index % 256, np.uint8))
    examine(path, roots_pem=keys.claim_roots_pem, mark_keys=(KEY,))
    assert marks.frames == 16 * 12
    assert marks.samples <= 45 * 8000


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        (b"", "malformed"),
        (b"x", "malformed"),
        (b"just words " * 50, "malformed"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "malformed"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "malformed"),
        (b"RIFF\xff\xff\xff\xffWAVE", "malformed"),
        (bytes(4096), "malformed"),
    ],
)
def test_what_is_not_media_is_malformed(
    tmp_path: Path, keys: SigningKeys, marks: Marks, content: bytes, verdict: str
) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    report = verify(path, roots_pem=keys.claim_roots_pem, mark_keys=(KEY,), records=Shelf([]), prove=None)
    assert report.verdict == verdict


@pytest.mark.parametrize("part", [0.05, 0.3, 0.5, 0.8, 0.99])
def test_a_truncated_release_is_never_verified(release: Release, part: float) -> None:
    data = release.path.read_bytes()
    release.path.write_bytes(data[: int(len(data) * part)])
    assert release.ask().verdict in ("tampered", "malformed")


def test_a_missing_file_is_bad_media(tmp_path: Path, keys: SigningKeys) -> None:
    with pytest.raises(BadMedia):
        examine(tmp_path / "nothing", roots_pem=keys.claim_roots_pem, mark_keys=(KEY,))
