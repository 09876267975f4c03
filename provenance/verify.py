"""Say where a file came from: the one function behind the release gate, the command line and the public page.

`examine` needs nothing but the file and may run in a sandbox; `conclude` looks up what it found.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from core.errors import BadInput, BadMedia, GreenlightError, LogCorrupt
from core.media.probe import MediaLimits
from provenance.fingerprint import Match
from provenance.fingerprint import audio as audio_print
from provenance.fingerprint import video as video_print
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from provenance.manifest import read
from provenance.marks import MarkKey, MarkReading
from provenance.perceive import UNTRUSTED, perceive
from provenance.readings import DEPARTURE_SECONDS, Examination, LogProof, Readings, Record, Speech
from provenance.report import layers, segments
from provenance.revocation import Keys, with_keys
from provenance.verdict import Verdict, judge

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

    def by_content(self, seen: VideoPrint | None, heard: AudioPrint | None) -> Record | None:
        """Find the release whose tracks look or sound most like these, if any are alike."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdict, why, and what each layer said; `dataclasses.asdict` of it is the public JSON.

    `segments` are spans in seconds of a track, and what one technique found there.
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
    keys: Keys | None = None,
) -> Report:
    """Examine a file and conclude; raises `BadMedia` only when the file cannot be opened."""
    start = time.perf_counter()
    examination = examine(path, roots_pem=roots_pem, tsa_roots_pem=tsa_roots_pem, mark_keys=mark_keys)
    return conclude(examination, records, prove, keys, elapsed=time.perf_counter() - start)


def examine(
    path: Path,
    *,
    roots_pem: str,
    tsa_roots_pem: str = "",
    mark_keys: Sequence[MarkKey],
    limits: MediaLimits = UNTRUSTED,
) -> Examination:
    """Read manifest, marks and fingerprints of an untrusted file.

    Needs no database, returns a value that can be written as JSON, and never raises for what the file contains.
    """
    digest = _digest(path)
    with ThreadPoolExecutor(1) as beside:  # the manifest's hashes are computed while the media are decoded
        reading = beside.submit(read, path, roots_pem, tsa_roots_pem=tsa_roots_pem)
        media = perceive(path, mark_keys, limits)
        return Examination(digest=digest, manifest=reading.result(), media=media)


def conclude(
    examination: Examination,
    records: Records,
    prove: Prove | None,
    keys: Keys | None = None,
    *,
    elapsed: float = 0.0,
) -> Report:
    """Look up what an examination found and judge it; `elapsed` are the seconds that it took."""
    start = time.perf_counter()
    readings = with_keys(_looked_up(examination, records, prove), keys)
    verdict, reasons = judge(readings)
    return Report(
        verdict=verdict,
        reasons=reasons,
        layers=layers(readings),
        segments=tuple(segments(readings)),
        elapsed_s=round(elapsed + time.perf_counter() - start, 3),
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadMedia(f"The file cannot be opened: {error.strerror}") from error


def _looked_up(file: Examination, records: Records, prove: Prove | None) -> Readings:
    label = file.manifest.content_label or file.manifest.label  # a later time stamp gives the file a new one
    found = Readings(
        file=file,
        by_label=records.by_label(label) if label else None,
        by_video=_by_mark(file.media.video, records),
        by_audio=_by_mark(file.media.audio, records),
    )
    found = _by_content(_compared(found), records)
    return replace(found, log=_proof(found.record, prove))


def _by_mark(mark: MarkReading | None, records: Records) -> Record | None:
    return records.by_payload(mark.payload) if mark is not None and mark.payload is not None else None


def _by_content(found: Readings, records: Records) -> Readings:
    """Ask the index of fingerprints where nothing else leads to a record, or where that has other content."""
    if found.record is not None and "other" not in found.kin.values():
        return found
    video, audio = _prints(found.file)
    alike = records.by_content(video, audio) if video or audio else None
    if alike is None:
        return found
    named = found.record is not None
    found = replace(found, by_content=alike)
    return found if named else _compared(found)


def _compared(found: Readings) -> Readings:
    record = found.record
    if record is None:
        return found
    video, audio = _prints(found.file)
    seen, heard = _seen(video, record), _heard(audio, record)
    return replace(
        found,
        video_match=seen,
        audio_match=heard,
        video_speech=_shown_times(video, record, seen) if video else None,
        audio_speech=_played_times(audio, record, heard) if audio else None,
    )


def _shown_times(shown: VideoPrint, record: Record, match: Match | None) -> Speech:
    """Say when a picture speaks, or ours would: what was made black there is not ours."""
    ours = record.video_print
    blank = video_print.blanked(shown, ours, _offset(match)) if ours else ()
    return Speech((*shown.spoken, *blank), 1 / video_print.PER_SECOND)


def _played_times(played: AudioPrint, record: Record, match: Match | None) -> Speech:
    """Say when a sound speaks, or ours would: what was made silent there is not ours."""
    ours = record.audio_print
    blank = audio_print.blanked(played, ours, _offset(match)) if ours else ()
    return Speech((*played.spoken, *blank), audio_print.SECONDS_PER_WORD)


def _offset(match: Match | None) -> float:
    """Say where a track lies in ours; where nothing agrees, it is taken to begin with it."""
    return match.offset if match is not None and match.spans else 0.0


def _seen(shown: VideoPrint | None, record: Record) -> Match | None:
    ours = record.video_print
    if shown is None or ours is None or not ours.speaks:
        return None
    if shown.speaks:
        return video_print.similarity(shown, ours)
    return _blank(video_print.blanked(shown, ours, 0.0), 1 / video_print.PER_SECOND)


def _heard(played: AudioPrint | None, record: Record) -> Match | None:
    ours = record.audio_print
    if played is None or ours is None or not ours.speaks:
        return None
    if played.speaks:
        return audio_print.similarity(played, ours)
    return _blank(audio_print.blanked(played, ours, 0.0), audio_print.SECONDS_PER_WORD)


def _blank(times: tuple[float, ...], step: float) -> Match | None:
    """Compare a track that says nothing: like ours in nothing, if ours says something there for long enough."""
    if step * len(times) < DEPARTURE_SECONDS:
        return None
    return Match(score=0.0, offset=0.0, spans=(), found=False)


def _prints(file: Examination) -> tuple[VideoPrint | None, AudioPrint | None]:
    """Decode the fingerprints, which may come from a child that was taken over."""
    try:
        video = video_print.decode(bytes.fromhex(file.media.video_print)) if file.media.video_print else None
        audio = audio_print.decode(bytes.fromhex(file.media.audio_print)) if file.media.audio_print else None
    except (BadInput, ValueError):
        return None, None
    return video, audio


def _proof(record: Record | None, prove: Prove | None) -> LogProof | None:
    if record is None or record.log_index is None or prove is None:
        return None
    try:
        return prove(record.log_index)
    except LogCorrupt:
        return LogProof(included=False, index=record.log_index, size=0, checkpoint="")
    except GreenlightError:
        return None
