from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from core.clock import SystemClock
from core.errors import BadMedia
from core.media.clip import Clip, Picture, Sound
from core.media.probe import probe
from core.media.read import frames, whole_sound
from core.media.write import Mezzanine
from provenance import mark as module
from provenance.fingerprint import audio as heard
from provenance.fingerprint import video as seen
from provenance.keys import dev_keys, mark_keys
from provenance.manifest import Claim, sign
from provenance.mark import mark
from provenance.marks import MarkKey
from provenance.readings import Record
from provenance.verify import verify

KEY = MarkKey("key", bytes(32))
PAYLOAD = 0x0123456789ABCDEF


class Shelf:
    def __init__(self, record: Record) -> None:
        self.record = record

    def by_payload(self, payload: int) -> Record | None:
        return self.record if payload == self.record.payload else None

    def by_label(self, label: str) -> Record | None:
        return self.record if label == self.record.manifest_label else None

    def by_content(self, video: object, audio: object) -> Record | None:
        return None


def pictures(count: int, height: int = 64, width: int = 96) -> Iterator[Picture]:
    """Frames that get brighter, so that their order can be seen."""
    for index in range(count):
        yield np.full((height, width, 3), 20 + 4 * index, np.uint8)


def mezzanine(
    path: Path, *, count: int = 24, seconds: float = 1.0, height: int = 64, width: int = 96
) -> Clip:
    rng = np.random.default_rng(3)
    video = {"width": width, "height": height, "fps": 24} if count else {}
    audio = {"rate": 16000, "channels": 2} if seconds else {}
    with Mezzanine(path, **video, **audio) as out:
        if seconds:
            out.sound((0.1 * rng.standard_normal((int(16000 * seconds), 2))).astype(np.float32))
        for rgb in pictures(count, height, width):
            out.frame(rgb)
    return probe(path)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Marks that change what they touch visibly, and a note of how they were called."""
    calls: dict[str, object] = {"frames": 0, "threads": set()}

    def embedder(
        key: MarkKey, payload: int, *, width: int, height: int, fps: float
    ) -> Callable[[Picture], Picture]:
        calls["video"] = (key, payload, width, height)

        def embed(rgb: Picture) -> Picture:
            calls["frames"] += 1
            calls["threads"].add(threading.get_ident())
            return rgb + np.uint8(40)

        return embed

    def embed(sound: Sound, rate: int, key: MarkKey, payload: int) -> Sound:
        calls["audio"] = (rate, key, payload)
        return sound * np.float32(0.5)

    monkeypatch.setattr(module.video, "embedder", embedder)
    monkeypatch.setattr(module.audio, "embed", embed)
    return calls


def test_every_frame_and_the_sound_are_marked(tmp_path: Path, plain: dict[str, object]) -> None:
    clip = mezzanine(tmp_path / "m.mkv")
    marked = mark(clip, tmp_path / "out.mp4", PAYLOAD, KEY)
    assert (marked.video, marked.audio) == (True, True)
    assert not [note for note in marked.notes if "mark" in note]
    assert plain["video"] == (KEY, PAYLOAD, 96, 64)
    assert plain["audio"] == (16000, KEY, PAYLOAD)
    assert plain["frames"] == 24
    assert marked.clip.video
    assert (marked.clip.video.codec, marked.clip.video.frames) == ("h264", 24)
    assert marked.clip.audio
    assert (marked.clip.audio.codec, marked.clip.audio.rate) == ("aac", 16000)
    for index, frame in enumerate(frames(tmp_path / "out.mp4")):
        assert abs(float(frame.rgb.mean()) - (60 + 4 * index)) < 3, "marked, and in order"
    loudness = float(np.std(whole_sound(tmp_path / "out.mp4")))
    assert loudness == pytest.approx(0.05, rel=0.2)


def test_marking_runs_beside_the_encode(tmp_path: Path, plain: dict[str, object]) -> None:
    mark(mezzanine(tmp_path / "m.mkv"), tmp_path / "out.mp4", PAYLOAD, KEY)
    assert threading.get_ident() not in plain["threads"]
    assert len(plain["threads"]) == 1, "one worker keeps the order"


@pytest.mark.parametrize(("count", "seconds"), [(24, 2.0), (48, 0.5)])
def test_tracks_of_different_length_stay_whole(
    tmp_path: Path, plain: dict[str, object], count: int, seconds: float
) -> None:
    clip = mezzanine(tmp_path / "m.mkv", count=count, seconds=seconds)
    out = mark(clip, tmp_path / "out.mp4", PAYLOAD, KEY).clip
    assert out.video
    assert out.audio
    assert out.video.frames == count
    assert out.audio.samples >= 16000 * seconds


def test_a_silent_film_has_no_sound_mark(tmp_path: Path, plain: dict[str, object]) -> None:
    marked = mark(mezzanine(tmp_path / "m.mkv", seconds=0), tmp_path / "out.mp4", PAYLOAD, KEY)
    assert (marked.video, marked.audio) == (True, False)
    assert not [note for note in marked.notes if "sound" in note]
    assert marked.clip.audio is None


def test_sound_alone_becomes_an_m4a(tmp_path: Path, plain: dict[str, object]) -> None:
    marked = mark(mezzanine(tmp_path / "m.mkv", count=0), tmp_path / "out.m4a", PAYLOAD, KEY)
    assert (marked.video, marked.audio) == (False, True)
    assert marked.clip.video is None
    assert marked.clip.audio
    assert marked.clip.audio.codec == "aac"


def test_sound_that_cannot_be_marked_is_delivered_and_told(
    tmp_path: Path, plain: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Sound:
        raise BadMedia("too short")

    monkeypatch.setattr(module.audio, "embed", refuse)
    marked = mark(mezzanine(tmp_path / "m.mkv"), tmp_path / "out.mp4", PAYLOAD, KEY)
    assert (marked.video, marked.audio) == (True, False)
    assert marked.notes[0] == "The sound carries no mark: too short"
    assert marked.clip.audio


def test_a_failure_in_the_middle_leaves_nothing(
    tmp_path: Path, plain: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def embedder(*_: object, **__: object) -> Callable[[Picture], Picture]:
        seen: list[int] = []

        def embed(rgb: Picture) -> Picture:
            seen.append(1)
            if len(seen) == 10:
                raise BadMedia("the picture broke")
            return rgb

        return embed

    clip = mezzanine(tmp_path / "m.mkv")
    monkeypatch.setattr(module.video, "embedder", embedder)
    threads = threading.active_count()
    with pytest.raises(BadMedia, match="the picture broke"):
        mark(clip, tmp_path / "out.mp4", PAYLOAD, KEY)
    assert [path.name for path in tmp_path.iterdir()] == ["m.mkv"]
    assert threading.active_count() == threads, "no worker is left behind"


def test_a_broken_mezzanine_is_bad_media(tmp_path: Path, plain: dict[str, object]) -> None:
    clip = mezzanine(tmp_path / "m.mkv")
    clip.path.write_bytes(b"not a clip any more")
    with pytest.raises(BadMedia):
        mark(clip, tmp_path / "out.mp4", PAYLOAD, KEY)
    assert not (tmp_path / "out.mp4").exists()


def test_a_marked_and_signed_clip_is_verified(tmp_path: Path, claim: Claim) -> None:
    """The room from end to end, with the real marks."""
    rng = np.random.default_rng(5)
    small = rng.integers(40, 216, (12, 16, 3)).astype(np.uint8)
    still = np.kron(small, np.ones((20, 20, 1), np.uint8))
    noise = (0.1 * rng.standard_normal((6 * 16000, 1))).astype(np.float32)
    with Mezzanine(tmp_path / "m.mkv", width=320, height=240, fps=12, rate=16000, channels=1) as out:
        out.sound(noise)
        for index in range(12):
            out.frame(np.roll(still, 2 * index, axis=1))
    (key,) = mark_keys(tmp_path)
    keys = dev_keys(tmp_path, SystemClock())
    marked = mark(probe(tmp_path / "m.mkv"), tmp_path / "marked.mp4", PAYLOAD, key)
    assert (marked.video, marked.audio) == (True, True)
    final = tmp_path / "final.mp4"
    label = sign(tmp_path / "marked.mp4", final, claim, keys).label
    record = Record(
        id="rec_1",
        payload=PAYLOAD,
        manifest_label=label,
        released_at=None,
        withdrawn=False,
        seconds=6.0,
        video=True,
        audio=True,
        log_index=None,
        digest="",
        video_print=seen.decode(marked.prints[seen.ALG]),
        audio_print=heard.decode(marked.prints[heard.ALG]),
    )

    def ask(path: Path, using: MarkKey) -> tuple[str, bool, bool]:
        report = verify(
            path,
            roots_pem=keys.claim_roots_pem,
            mark_keys=(using,),
            records=Shelf(record),
            prove=None,
        )
        layers = json.loads(json.dumps(asdict(report)))["layers"]
        return report.verdict, layers["video_mark"]["found"], layers["audio_mark"]["found"]

    assert ask(final, key) == ("recovered", True, True), "all agree but the log, which was not asked"
    assert ask(tmp_path / "marked.mp4", key) == ("recovered", True, True), "without a manifest"
    assert ask(final, KEY) == ("tampered", False, False), "the control: another key sees no mark"
