"""Say where a file came from: the one function behind the release gate, the command line and the public page.

`examine` needs nothing but the file and may run in a sandbox; `conclude` looks up what it found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.errors import BadMedia, GreenlightError, LogCorrupt
from core.media.clip import AudioTrack, Frame, VideoTrack
from core.media.probe import MediaLimits, demuxer, probe
from core.media.read import frames, sound
from provenance.manifest import read
from provenance.marks import MarkKey, MarkReading, audio, video
from provenance.verdict import Examination, LogProof, Readings, Record, Verdict, judge

PICTURE_SECONDS = 16.0
SOUND_SECONDS = 45
_LOOKS_PER_SECOND = 8
_UNTRUSTED = MediaLimits()

Prove = Callable[[int], LogProof]
"""Prove a log entry by its index; raises a `GreenlightError` when the log cannot be asked."""


class Records(Protocol):
    """What we remember of our releases."""

    def by_payload(self, payload: int) -> Record | None:
        """Find a release by the 64-bit id in its marks."""
        ...

    def by_label(self, label: str) -> Record | None:
        """Find a release by the label of its active manifest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdict, why, and what each layer said; `dataclasses.asdict` of it is the public JSON.

    `segments` are spans in seconds of a track in which the mark was or was not seen.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    layers: dict[str, Any]
    segments: tuple[dict[str, Any], ...]
    elapsed_s: float


def verify(
    path: Path,
    *,
    roots_pem: str,
    tsa_roots_pem: str = "",
    mark_keys: Sequence[MarkKey],
    records: Records,
    prove: Prove | None,
) -> Report:
    """Examine a file and conclude; raises `BadMedia` only when the file cannot be opened."""
    start = time.perf_counter()
    examination = examine(path, roots_pem=roots_pem, tsa_roots_pem=tsa_roots_pem, mark_keys=mark_keys)
    return conclude(examination, records, prove, elapsed=time.perf_counter() - start)


def examine(
    path: Path,
    *,
    roots_pem: str,
    tsa_roots_pem: str = "",
    mark_keys: Sequence[MarkKey],
    limits: MediaLimits = _UNTRUSTED,
) -> Examination:
    """Read manifest and marks of an untrusted file, at most 16 s of picture and 45 s of sound.

    Needs no database, returns a value that can be pickled, and never raises for what the file contains.
    """
    manifest = read(path, roots_pem, tsa_roots_pem=tsa_roots_pem)
    try:
        clip = probe(path, limits)
        seen = _look(path, clip.video, mark_keys) if clip.video else None
        heard = _listen(path, clip.audio, mark_keys) if clip.audio else None
    except BadMedia as error:
        return Examination(
            media=_is_ours_to_decode(path),
            trouble=error.message,
            seconds=None,
            manifest=manifest,
            video=None,
            audio=None,
        )
    return Examination(
        media=True, trouble=None, seconds=clip.seconds, manifest=manifest, video=seen, audio=heard
    )


def conclude(
    examination: Examination, records: Records, prove: Prove | None, *, elapsed: float = 0.0
) -> Report:
    """Look up what an examination found and judge it; `elapsed` are the seconds that it took."""
    start = time.perf_counter()
    label = examination.manifest.label
    named = records.by_label(label) if label else None
    seen, heard = (_by_mark(mark, records) for mark in (examination.video, examination.audio))
    proof = _proof(named or seen or heard, prove)
    readings = Readings(file=examination, by_label=named, by_video=seen, by_audio=heard, log=proof)
    verdict, reasons = judge(readings)
    return Report(
        verdict=verdict,
        reasons=reasons,
        layers=_layers(readings),
        segments=tuple(_segments(examination)),
        elapsed_s=round(elapsed + time.perf_counter() - start, 3),
    )


def _is_ours_to_decode(path: Path) -> bool:
    try:
        demuxer(path)
    except BadMedia:
        return False
    return True


def _look(path: Path, track: VideoTrack, keys: Sequence[MarkKey]) -> MarkReading:
    step = max(1, int(track.fps / _LOOKS_PER_SECOND))  # frames between are decoded but not converted
    decoded = frames(path, lambda index: index % step == 0)
    return video.detect(takewhile(_within_reach, decoded), keys)


def _within_reach(frame: Frame) -> bool:
    return frame.time < PICTURE_SECONDS


def _listen(path: Path, track: AudioTrack, keys: Sequence[MarkKey]) -> MarkReading:
    blocks = list(islice(sound(path), SOUND_SECONDS))  # each about a second
    samples = np.concatenate(blocks) if blocks else np.zeros((0, track.channels), np.float32)
    return audio.detect(samples, track.rate, keys)


def _by_mark(mark: MarkReading | None, records: Records) -> Record | None:
    return records.by_payload(mark.payload) if mark is not None and mark.payload is not None else None


def _proof(record: Record | None, prove: Prove | None) -> LogProof | None:
    if record is None or record.log_index is None or prove is None:
        return None
    try:
        return prove(record.log_index)
    except LogCorrupt:
        return LogProof(included=False, index=record.log_index, size=0, checkpoint="")
    except GreenlightError:
        return None


def _layers(readings: Readings) -> dict[str, Any]:
    file, record = readings.file, readings.record
    manifest = asdict(file.manifest)
    del manifest["json"]
    manifest["soft_bindings"] = [
        {"alg": alg, "payload": _hex(payload)} for alg, payload in file.manifest.soft_bindings
    ]
    return {
        "manifest": manifest,
        "video_mark": _mark(file.video),
        "audio_mark": _mark(file.audio),
        "record": record
        and {"id": record.id, "released_at": record.released_at, "withdrawn": record.withdrawn},
        "log": readings.log and asdict(readings.log),
    }


def _mark(mark: MarkReading | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    return {
        "found": mark.found,
        "payload": _hex(mark.payload),
        "p_false": mark.p_false,
        "key_id": mark.key_id,
        "geometry": mark.geometry,
    }


def _hex(payload: int | None) -> str | None:
    return None if payload is None else f"{payload:016x}"


def _segments(file: Examination) -> Iterator[dict[str, Any]]:
    for mark in filter(None, (file.video, file.audio)):
        for span in mark.segments:
            finding = "mark" if span.found else "no mark"
            yield {"track": mark.track, "start": span.start, "end": span.end, "finding": finding}
