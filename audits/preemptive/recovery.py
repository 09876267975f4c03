"""Is a clip still found to be ours after all metadata was taken off and it was encoded small and badly?

On scenes that the suite makes, and on the clips of the data folder where one is given. Every file is asked about
among the records of all of them, so that it can also lead to the wrong one.
"""

from __future__ import annotations

import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from audits.preemptive import scenes
from audits.preemptive.result import Better, Row, counted
from audits.preemptive.specimens import Shelf, proven
from core.media.clip import Clip, Picture, Sound, VideoTrack
from core.media.probe import probe
from core.media.read import frames, whole_sound
from core.media.write import Delivery, Mezzanine
from provenance.fingerprint import audio as audio_print
from provenance.fingerprint import video as video_print
from provenance.labels import NO_LABELS
from provenance.mark import Marked, mark
from provenance.marks import MarkKey
from provenance.readings import Record
from provenance.verify import Report, verify

_SECONDS = 6.0
_SIZE = (480, 360)
_REACH = 0.99
_CRF, _SCALE, _BITS = 28, 0.5, 96_000
_TWIN_EACH, _ALONE_EACH = 6, 5
"""Of so many clips one is asked about unmarked too, or without its sound."""


@dataclass(frozen=True, slots=True)
class _Take:
    """A clip to be released, its name, and what it was made by."""

    name: str
    kind: str
    clip: Clip


@dataclass(slots=True)
class _Count:
    trials: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    missed: list[Row] = field(default_factory=list)

    def note(self, case: str, *, hit: bool) -> None:
        self.trials[case] += 1
        self.hits[case] += hit


def recovery(seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:
    """Release, strip and re-encode 180 scenes (quick: 1) and every 6 s of the clips of `data`.

    A clip of `data` is also taken in up to four windows of its own. Its kind is the name of the folder it lies in.
    """
    dice = np.random.default_rng(seed)
    key, count = MarkKey("suite", dice.bytes(32)), _Count()
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as name:
        for number, take in enumerate(_takes(Path(name), seed, data, 1 if quick else 180)):
            out, payload = Path(name) / "out.mp4", int.from_bytes(dice.bytes(8), "big")
            bare = Path(name) / "bare.mp4"
            if number % _TWIN_EACH == 0:
                _twin(take.clip, bare, key, records, count)
            marked = mark(take.clip, out, payload, key, NO_LABELS)
            records.append(_record(marked, payload, take.name))
            _judge(take, marked, bare, key, records, count)
            if number % _ALONE_EACH == 0:
                _judge_picture(marked, bare, key, records, count)
    return (*_rows(count), *count.missed)


def _twin(clip: Clip, bare: Path, key: MarkKey, records: list[Record], count: _Count) -> None:
    """Ask about a clip that was never marked nor released, while others were."""
    _reencoded(clip, bare, sound=True)
    report = _ask(bare, key, records)
    count.note("control: unreleased, recovered", hit=report.verdict == "recovered")
    count.note("control: mark in the unmarked twin", hit=bool(_marks(report)))


def _judge(
    take: _Take, marked: Marked, bare: Path, key: MarkKey, records: list[Record], count: _Count
) -> None:
    """Ask about a released clip with its sound."""
    _reencoded(marked.clip, bare, sound=True)
    report = _ask(bare, key, records)
    right = _is_recovered(report, records)
    for case in ("recovered", f"recovered: {take.kind}"):
        count.note(case, hit=right)
    for case, hit in (
        ("read: picture's mark", "video_mark" in _marks(report)),
        ("read: sound's mark", "audio_mark" in _marks(report)),
        ("read: neither", not _marks(report)),
    ):
        count.note(case, hit=hit)
    if not right:
        named = str((report.layers["record"] or {}).get("id", ""))
        count.missed.append(
            {"not recovered": take.name, "verdict": report.verdict, "led to": named, "passed": True}
        )


def _judge_picture(marked: Marked, bare: Path, key: MarkKey, records: list[Record], count: _Count) -> None:
    """Ask about a released clip whose sound was taken away as well."""
    _reencoded(marked.clip, bare, sound=False)
    count.note("recovered by the picture alone", hit=_is_recovered(_ask(bare, key, records), records))


def _is_recovered(report: Report, records: list[Record]) -> bool:
    return report.verdict == "recovered" and (report.layers["record"] or {}).get("id") == records[-1].id


def _ask(path: Path, key: MarkKey, records: list[Record]) -> Report:
    return verify(path, roots_pem="", mark_keys=(key,), records=Shelf(tuple(records)), prove=proven)


def _marks(report: Report) -> list[str]:
    return [name for name in ("video_mark", "audio_mark") if (report.layers[name] or {}).get("found")]


def _rows(count: _Count) -> Iterator[Row]:
    reach = {"recovered": _REACH, "recovered by the picture alone": _REACH}
    for case, trials in sorted(count.trials.items()):
        better: Better = "low" if case.startswith("control") else "high"
        # what has no reach here is there to compare with: the mark's own suite sets one
        yield counted(case, count.hits[case], trials, reach=reach.get(case, 0.0), better=better)


def _record(marked: Marked, payload: int, name: str) -> Record:
    prints = marked.prints
    return Record(
        id=name,
        payload=payload,
        manifest_label=None,
        released_at="2026-11-24T12:00:00Z",
        withdrawn=False,
        seconds=marked.clip.seconds,
        video=marked.video,
        audio=marked.audio,
        log_index=0,
        digest="",
        video_print=video_print.decode(prints[video_print.ALG]) if video_print.ALG in prints else None,
        audio_print=audio_print.decode(prints[audio_print.ALG]) if audio_print.ALG in prints else None,
    )


def _reencoded(clip: Clip, into: Path, *, sound: bool) -> None:
    """Encode a clip as a stranger would: half the size, CRF 28, AAC of 96 kbit/s, nothing else kept."""
    assert clip.video is not None
    width, height = (max(2, round(side * _SCALE) // 2 * 2) for side in (clip.video.width, clip.video.height))
    rate = clip.audio.rate if sound and clip.audio else None
    channels = clip.audio.channels if clip.audio else None
    with Delivery(
        into,
        width=width,
        height=height,
        fps=clip.video.fps,
        rate=rate,
        channels=channels,
        crf=_CRF,
        audio_bitrate=_BITS,
    ) as out:
        if rate:
            out.sound(whole_sound(clip.path))
        for frame in frames(clip.path):
            out.frame(_sized(frame.rgb, (width, height)))


def _sized(rgb: Picture, size: tuple[int, int]) -> Picture:
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _takes(folder: Path, seed: int, data: Path | None, scenes_made: int) -> Iterator[_Take]:
    """Give clips of at most 6 s, one at a time; a silent one gets a tune."""
    path = folder / "clip.mkv"
    for number in range(seed, seed + scenes_made):
        shown = (_sized(one, _SIZE) for one in scenes.pictures(number, _SECONDS))
        heard = scenes.tune(number, _SECONDS)
        made = _written(path, _SIZE, Fraction(scenes.FPS), shown, heard, scenes.RATE)
        yield _Take(f"scene {number}", "scenes", made)
    for source in sorted(data.rglob("*.mp4")) if data else ():
        clip = probe(source)
        if clip.video is not None:
            yield from _cuttings(clip, clip.video, path)


def _cuttings(clip: Clip, video: VideoTrack, path: Path) -> Iterator[_Take]:
    """Cut a clip into pieces of 6 s, whole and in windows of its own."""
    for start in range(0, max(1, int(video.seconds + 0.1) - int(_SECONDS) + 1), int(_SECONDS)):
        for window in _windows(video):
            name = f"{clip.path.stem} {start} s {'+'.join(map(str, window))}"
            rate, heard = _sound(clip, start) if window[:2] == (0, 0) else (scenes.RATE, None)
            if heard is None or not len(heard):
                rate, heard = scenes.RATE, scenes.tune(zlib.crc32(name.encode()), _SECONDS)
            shown = _shown(clip, video, start, window)
            made = _written(path, window[2:], video.fps, shown, heard, rate)
            yield _Take(name, clip.path.parent.name, made)


_Window = tuple[int, int, int, int]
"""Left, top, width, height."""


def _windows(video: VideoTrack) -> Iterator[_Window]:
    """Give the whole picture, and up to four parts of it that do not overlap, at least 320x240 each."""
    yield 0, 0, video.width, video.height
    columns, rows = min(2, video.width // 320), min(2, video.height // 240)
    width, height = video.width // columns // 2 * 2, video.height // rows // 2 * 2
    if columns * rows > 1:
        yield from ((x * width, y * height, width, height) for y in range(rows) for x in range(columns))


def _shown(clip: Clip, video: VideoTrack, start: int, window: _Window) -> Iterator[Picture]:
    left, top, width, height = window
    first, last = round(start * video.fps), round((start + _SECONDS) * video.fps)
    for frame in islice(frames(clip.path), first, last):
        yield np.ascontiguousarray(frame.rgb[top : top + height, left : left + width])


def _sound(clip: Clip, start: int) -> tuple[int, Sound | None]:
    if clip.audio is None:
        return scenes.RATE, None
    rate = clip.audio.rate
    return rate, whole_sound(clip.path)[start * rate : round((start + _SECONDS) * rate)]


def _written(
    path: Path, size: tuple[int, int], fps: Fraction, shown: Iterator[Picture], heard: Sound, rate: int
) -> Clip:
    with Mezzanine(path, width=size[0], height=size[1], fps=fps, rate=rate, channels=heard.shape[1]) as out:
        out.sound(heard)
        for rgb in shown:
            out.frame(rgb)
    return probe(path)
