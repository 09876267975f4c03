"""Is a clip still found to be ours after all metadata was taken off and it was encoded small and badly?

On the clips of the data folder, or on scenes that the suite makes. Every file is asked about among the records
of all of them, so that it can also lead to the wrong one.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from audits.preemptive import scenes
from audits.preemptive.result import Row, counted
from audits.preemptive.specimens import Shelf, proven
from core.media.clip import Clip, Picture, Sound
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


@dataclass(slots=True)
class _Count:
    trials: int = 0
    hits: Counter[str] = field(default_factory=Counter)


def recovery(seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:
    """Release, strip and re-encode clips: those of `data`, or 60 scenes (quick: 1)."""
    dice = np.random.default_rng(seed)
    key, count = MarkKey("suite", dice.bytes(32)), _Count()
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as name:
        for number, clip in enumerate(_clips(Path(name), seed, data, 1 if quick else 60)):
            out, payload = Path(name) / "out.mp4", int.from_bytes(dice.bytes(8), "big")
            bare = Path(name) / "bare.mp4"
            _twin(clip, bare, key, records, count)
            marked = mark(clip, out, payload, key, NO_LABELS)
            records.append(_record(marked, payload, f"clip-{number}"))
            _judge(marked, bare, key, records, count)
    return tuple(_rows(count))


def _twin(clip: Clip, bare: Path, key: MarkKey, records: list[Record], count: _Count) -> None:
    """Ask about a clip that was never marked nor released, while others were."""
    _reencoded(clip, bare, sound=True)
    report = _ask(bare, key, records)
    count.hits["control: unreleased, recovered"] += report.verdict == "recovered"
    count.hits["control: mark in the unmarked twin"] += bool(_marks(report))


def _judge(marked: Marked, bare: Path, key: MarkKey, records: list[Record], count: _Count) -> None:
    """Ask about a released clip, with its sound and without."""
    count.trials += 1
    for sound, case in ((True, "recovered"), (False, "recovered by the picture alone")):
        _reencoded(marked.clip, bare, sound=sound)
        report = _ask(bare, key, records)
        named = (report.layers["record"] or {}).get("id")
        count.hits[case] += report.verdict == "recovered" and named == records[-1].id
        if sound:
            count.hits["read: picture's mark"] += "video_mark" in _marks(report)
            count.hits["read: sound's mark"] += "audio_mark" in _marks(report)
            count.hits["read: neither"] += not _marks(report)


def _ask(path: Path, key: MarkKey, records: list[Record]) -> Report:
    return verify(path, roots_pem="", mark_keys=(key,), records=Shelf(tuple(records)), prove=proven)


def _marks(report: Report) -> list[str]:
    return [name for name in ("video_mark", "audio_mark") if (report.layers[name] or {}).get("found")]


def _rows(count: _Count) -> Iterator[Row]:
    cases = {
        "recovered": _REACH,
        "recovered by the picture alone": _REACH,
        "read: picture's mark": 0.0,  # to compare with: the mark's own suite sets its reach
        "read: sound's mark": 0.0,
        "read: neither": 0.0,
    }
    for case, reach in cases.items():
        yield counted(case, count.hits[case], count.trials, reach=reach)
    for case in ("control: mark in the unmarked twin", "control: unreleased, recovered"):
        yield counted(case, count.hits[case], count.trials, reach=0.0, better="low")


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


def _clips(folder: Path, seed: int, data: Path | None, count: int) -> Iterator[Clip]:
    """Give clips of at most 6 s, one at a time; a silent one gets a tune."""
    path = folder / "clip.mkv"
    if data is None:
        for number in range(count):
            shown = (_sized(one, _SIZE) for one in scenes.pictures(seed + number, _SECONDS))
            yield _written(
                path, _SIZE, Fraction(scenes.FPS), shown, scenes.tune(seed + number, _SECONDS), scenes.RATE
            )
        return
    for number, source in enumerate(sorted(data.rglob("*.mp4"))):
        clip = probe(source)
        if clip.video is None:
            continue
        size = (clip.video.width, clip.video.height)
        some = (frame.rgb for frame in islice(frames(source), round(_SECONDS * clip.video.fps)))
        heard = (
            whole_sound(source)[: round(_SECONDS * clip.audio.rate)]
            if clip.audio
            else scenes.tune(number, _SECONDS)
        )
        rate = clip.audio.rate if clip.audio else scenes.RATE
        yield _written(path, size, clip.video.fps, some, heard, rate)


def _written(
    path: Path, size: tuple[int, int], fps: Fraction, shown: Iterator[Picture], heard: Sound, rate: int
) -> Clip:
    with Mezzanine(path, width=size[0], height=size[1], fps=fps, rate=rate, channels=heard.shape[1]) as out:
        out.sound(heard)
        for rgb in shown:
            out.frame(rgb)
    return probe(path)
