"""What was found in one file and what we remember of it, gathered for the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from provenance.fingerprint import Match, Span
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from provenance.manifest import ManifestReading
from provenance.marks import MarkReading

Track = Literal["video", "audio"]
WORDS: dict[Track, str] = {"video": "picture", "audio": "sound"}
"""The words for tracks in sentences."""

DEPARTURE_SECONDS = 1.5
"""Content that differs from ours for so long was exchanged; for less it may have been badly copied."""
_A_PART_SECONDS = 2.0
"""Content that agrees with ours for so long did not do so by chance."""
_A_REST_SECONDS = 1.0
"""Nor for so long, where the mark says the same: it is there where content agrees, and gone where it does not."""

_COMPARABLE_SECONDS = 3.0
"""In a shorter piece of sound the fingerprint finds nothing: each of its items looks at 2.6 s."""

Kinship = Literal["same", "part", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What we wrote down about a release: `video` and `audio` say which tracks were given the mark.

    `seconds` is its length, `digest` the SHA-256 of the released bytes (evidence, never an identity: signed
    files are malleable), `log_index` the number of its log entry. `made` are the tracks that a model made: a
    filmed scene that only got a soundtrack looks like ours without having come from here. The prints are the
    fingerprints of its tracks. `labels` are those of all its manifests: one that was stamped later has two.
    `recorded_ms` is when it was written into the log, in milliseconds since 1970.
    """

    id: str
    payload: int
    manifest_label: str | None
    released_at: str | None
    withdrawn: bool
    seconds: float
    video: bool
    audio: bool
    log_index: int | None
    digest: str
    made: tuple[Track, ...] = ("video", "audio")
    video_print: VideoPrint | None = None
    audio_print: AudioPrint | None = None
    labels: tuple[str, ...] = ()
    recorded_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A key of ours that signs or marks, and from when on (milliseconds since 1970) it does not count."""

    key: str
    revoked_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """Whether the log, at the size that `checkpoint` signs, includes the entry number `index`."""

    included: bool
    index: int
    size: int
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Perception:
    """What picture and sound of a file say, whatever its manifest says.

    `trouble` is why the media could not be decoded (None when they could), `media` whether the file is of
    a kind that we decode at all, `seconds` None for a still picture; `looked` and `listened` are the seconds
    of picture and sound that were examined, from the start. A mark reading is None when the file has no such
    track; a print is the hex of the track's encoded fingerprint, "" without one.
    """

    media: bool
    trouble: str | None
    seconds: float | None
    looked: float = 0.0
    listened: float = 0.0
    video: MarkReading | None = None
    audio: MarkReading | None = None
    video_print: str = ""
    audio_print: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What the bytes of one file say, before anything is looked up; `digest` is their SHA-256."""

    digest: str
    manifest: ManifestReading
    media: Perception


@dataclass(frozen=True, slots=True)
class Speech:
    """When a track says anything that can be compared: times in seconds, each good for `step` seconds."""

    times: tuple[float, ...]
    step: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """An examination and where it leads.

    The records that label, marks and fingerprint name; the log's answer, None when it was not or could not be
    asked; and how the tracks compare with those of `record`, None for a track that cannot be compared. `signer`
    is the key of ours that signed the manifest, None for anybody else's; `revoked_marks` are the tracks whose
    mark was made with a key that was revoked since.
    """

    file: Examination
    by_label: Record | None
    by_video: Record | None
    by_audio: Record | None
    by_content: Record | None = None
    log: LogProof | None = None
    video_match: Match | None = None
    audio_match: Match | None = None
    video_speech: Speech | None = None
    audio_speech: Speech | None = None
    signer: Standing | None = None
    revoked_marks: tuple[Track, ...] = ()

    @property
    def record(self) -> Record | None:
        """The record that the strongest layer names."""
        return self.by_label or self.by_video or self.by_audio or self.by_content

    @property
    def marks(self) -> tuple[tuple[Track, MarkReading], ...]:
        """The marks that were found."""
        pairs: tuple[tuple[Track, MarkReading | None], ...] = (
            ("video", self.file.media.video),
            ("audio", self.file.media.audio),
        )
        return tuple((name, mark) for name, mark in pairs if mark is not None and mark.found)

    @property
    def missing(self) -> tuple[Track, ...]:
        """The tracks whose promised mark was not found."""
        record = self.record
        promised: tuple[tuple[Track, bool], ...] = (
            (("video", record.video), ("audio", record.audio)) if record else ()
        )
        found = {name for name, _ in self.marks}
        return tuple(name for name, there in promised if there and name not in found)

    @property
    def matches(self) -> tuple[tuple[Track, Match], ...]:
        """The tracks that could be compared with the record's, and how they compare."""
        pairs: tuple[tuple[Track, Match | None], ...] = (
            ("video", self.video_match),
            ("audio", self.audio_match),
        )
        return tuple((name, match) for name, match in pairs if match is not None)

    @property
    def kin(self) -> dict[Track, Kinship]:
        """How each track that could be compared relates to the record's."""
        marks = dict(self.marks)
        return {
            track: kinship(match, self.departures(track, match), marks.get(track))
            for track, match in self.matches
        }

    def departures(self, track: Track, match: Match) -> tuple[Span, ...]:
        """Give the spans of a track that are not ours; short ones are left out."""
        media, mark = self.file.media, dict(self.marks).get(track)
        if mark is not None and not match.spans and _is_in_scraps(mark):
            return _absences(mark)
        if track == "video":
            return departures(match, media.looked, self.video_speech)
        return departures(match, media.listened, self.audio_speech)


def kinship(match: Match, departed: tuple[Span, ...], mark: MarkReading | None = None) -> Kinship:
    """Say whether a track is that of our record: all of it, parts of it, or none."""
    agreed = _seconds(match.spans)
    if match.found or agreed >= _A_PART_SECONDS:
        return "part" if departed else "same"
    if mark is None or not departed:
        return "other"
    rest = agreed >= _A_REST_SECONDS and _bounds(mark, match.spans, departed)
    return "part" if rest or _is_in_scraps(mark) else "other"


def _is_in_scraps(mark: MarkReading) -> bool:
    """Tell whether a sound's mark is in pieces too short to compare and is gone, where it could be read, from the rest.

    A mark that was copied onto other content is there throughout, in pieces that can be compared. The picture's
    mark does not say where it is absent.
    """
    pieces = [one.end - one.start for one in mark.segments if one.found]
    short = max(pieces, default=0.0) < _COMPARABLE_SECONDS
    return mark.track == "audio" and short and bool(_absences(mark))


def _absences(mark: MarkReading) -> tuple[Span, ...]:
    """Give the spans that could have shown the mark and do not, if they are 1.5 s or longer."""
    absent: list[Span] = []
    for one in mark.segments:
        if one.found or not one.readable:
            continue
        if absent and absent[-1].end == one.start:
            absent[-1] = Span(absent[-1].start, one.end)
        else:
            absent.append(Span(one.start, one.end))
    return tuple(span for span in absent if span.end - span.start >= DEPARTURE_SECONDS)


def _bounds(mark: MarkReading, agreed: tuple[Span, ...], departed: tuple[Span, ...]) -> bool:
    """Tell whether a mark is where content agrees and not where it departs; a copied one is everywhere."""
    return (
        _marked_seconds(mark, agreed) > _seconds(agreed) / 2
        and _marked_seconds(mark, departed) < _seconds(departed) / 2
    )


def _marked_seconds(mark: MarkReading, spans: tuple[Span, ...]) -> float:
    return sum(
        max(0.0, min(span.end, segment.end) - max(span.start, segment.start))
        for span in spans
        for segment in mark.segments
        if segment.found
    )


def _seconds(spans: tuple[Span, ...]) -> float:
    return sum(span.end - span.start for span in spans)


def departures(match: Match, seconds: float, speech: Speech | None = None) -> tuple[Span, ...]:
    """Give the spans of the first `seconds` that a match leaves out, if they are 1.5 s or longer.

    Where the track says nothing, as in silence, it cannot depart; without `speech` it is taken to speak throughout.
    """
    starts = (0.0, *(span.end for span in match.spans))
    ends = (*(span.start for span in match.spans), seconds)
    gaps = (Span(start, min(stop, seconds)) for start, stop in zip(starts, ends, strict=True))
    return tuple(gap for gap in gaps if _spoken(gap, speech) >= DEPARTURE_SECONDS)


def _spoken(gap: Span, speech: Speech | None) -> float:
    if speech is None:
        return gap.end - gap.start
    return speech.step * sum(gap.start <= time < gap.end for time in speech.times)
