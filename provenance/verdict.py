"""From what each layer of a file says to one verdict: pure, so that every combination can be tested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from provenance.manifest import ManifestReading
from provenance.marks import MarkReading

Verdict = Literal["verified", "recovered", "tampered", "conflict", "foreign", "unknown", "malformed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What we wrote down about a release: `video` and `audio` say which tracks were given the mark.

    `seconds` is its length, `digest` the SHA-256 of the released bytes (evidence, never an identity: signed
    files are malleable), `log_index` the number of its log entry.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """Whether the log, at the size that `checkpoint` signs, includes the entry number `index`."""

    included: bool
    index: int
    size: int
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What the bytes of one file say, before anything is looked up.

    `trouble` is why the media could not be decoded (None when they could), `media` whether the file is of
    a kind that we decode at all; a mark reading is None when the file has no such track.
    """

    media: bool
    trouble: str | None
    seconds: float | None
    manifest: ManifestReading
    video: MarkReading | None
    audio: MarkReading | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """An examination and where it leads: the records that label and marks name, and the log's answer.

    `log` is None when the log was not or could not be asked.
    """

    file: Examination
    by_label: Record | None
    by_video: Record | None
    by_audio: Record | None
    log: LogProof | None

    @property
    def record(self) -> Record | None:
        """The record that the strongest layer names."""
        return self.by_label or self.by_video or self.by_audio

    @property
    def marks(self) -> tuple[tuple[str, MarkReading], ...]:
        """The marks that were found, with the word for their track."""
        pairs = (("picture", self.file.video), ("sound", self.file.audio))
        return tuple((name, mark) for name, mark in pairs if mark is not None and mark.found)

    @property
    def missing(self) -> tuple[str, ...]:
        """The tracks whose promised mark was not found."""
        record = self.record
        promised = (("picture", record.video), ("sound", record.audio)) if record else ()
        found = {name for name, _ in self.marks}
        return tuple(name for name, there in promised if there and name not in found)


def judge(readings: Readings) -> tuple[Verdict, tuple[str, ...]]:
    """Decide, gravest first: a doubt always wins over a sign that agrees."""
    rules: tuple[tuple[Verdict, Iterator[str]], ...] = (
        ("conflict", _conflicts(readings)),
        ("tampered", _tampering(readings)),
        ("malformed", _malformation(readings)),
        ("verified", _verification(readings)),
        ("recovered", _recovery(readings)),
        ("foreign", _foreignness(readings)),
    )
    for verdict, rule in rules:
        if reasons := tuple(rule):
            return verdict, (*reasons, *_remarks(readings, verdict))
    return "unknown", (*_ignorance(readings), *_remarks(readings, "unknown"))


def _conflicts(readings: Readings) -> Iterator[str]:
    record, manifest = readings.record, readings.file.manifest
    payloads = {mark.payload for _, mark in readings.marks}
    if len(payloads) > 1:
        yield "Picture and sound carry different ids."
    named = (readings.by_label, readings.by_video, readings.by_audio)
    if len({one.id for one in named if one is not None}) > 1:
        yield "Manifest, picture and sound lead to different records."
    if record is None:
        return
    if payloads - {record.payload}:
        yield "A mark carries another id than our record."
    if readings.by_label and manifest.state == "trusted" and _bound(readings) - {record.payload}:
        yield "The manifest is bound to another id than our record."
    if readings.by_label is None and manifest.state in ("trusted", "untrusted"):
        yield "The content carries our mark, but the manifest is not the one that we released it with."
    if readings.log is not None and not readings.log.included:
        yield "Our record is not in the public log."


def _bound(readings: Readings) -> set[int | None]:
    return {value for alg, value in readings.file.manifest.soft_bindings if alg.startswith("org.greenlight.")}


def _tampering(readings: Readings) -> Iterator[str]:
    manifest = readings.file.manifest
    if manifest.state == "invalid" or (manifest.state == "malformed" and readings.record):
        yield f"The file was changed after its manifest was signed ({', '.join(manifest.failures) or 'unreadable'})."
    if readings.by_label is None:
        return
    forged = "signingCredential.untrusted" in manifest.failures
    if manifest.state == "untrusted" and (forged or not readings.marks):
        yield "The manifest names a record of ours, but its signature is not one of ours that counts."
    for track in readings.missing:
        yield f"The {track} was released with our mark, and it is not there."


def _malformation(readings: Readings) -> Iterator[str]:
    file = readings.file
    if file.media and file.trouble is not None:
        yield f"The file cannot be examined: {file.trouble}"
    elif not file.media and "unsupported" in file.manifest.failures:
        yield "The file is not media that can be read."
    elif file.manifest.state == "malformed":
        yield "The file holds a manifest that cannot be read."


def _verification(readings: Readings) -> Iterator[str]:
    proven = readings.log is not None and readings.log.included
    whole = readings.file.manifest.state == "trusted" and readings.file.trouble is None
    if whole and readings.by_label and proven:
        yield "Manifest, record and log agree, and so does every mark that it was released with."


def _recovery(readings: Readings) -> Iterator[str]:
    if readings.record is None:
        return
    state = readings.file.manifest.state
    if readings.marks and state != "trusted":
        tracks = " and ".join(name for name, _ in readings.marks)
        yield f"The mark in the {tracks} leads to our record; the manifest is gone or no longer counts."
    if state == "trusted":
        yield "Manifest and record agree, but the public log could not be asked."


def _foreignness(readings: Readings) -> Iterator[str]:
    manifest = readings.file.manifest
    if manifest.state in ("trusted", "untrusted"):
        known = "whom we trust" if manifest.state == "trusted" else "whom we do not know"
        yield f"The manifest is intact and was signed by {manifest.issuer or 'somebody'}, {known}; nothing here is ours."


def _ignorance(readings: Readings) -> Iterator[str]:
    if readings.marks:
        yield "A mark was found, but no record of ours belongs to it."
    else:
        yield "No sign was found. That proves nothing: signs can be removed."
    if "manifest.remote" in readings.file.manifest.failures:
        yield "The file points to a manifest elsewhere, which was not fetched."


def _remarks(readings: Readings, verdict: Verdict) -> Iterator[str]:
    record, file = readings.record, readings.file
    if record is None:
        return
    if record.withdrawn:
        yield "We have withdrawn this release."
    if record.released_at is None:
        yield "This clip has not been released."
    if verdict == "recovered":
        yield from (
            f"The {track} was released with our mark, and it is not there." for track in readings.missing
        )
        if readings.log is None:
            yield "The record could not be checked against the public log."
        if file.seconds is not None and abs(file.seconds - record.seconds) > 0.5:
            yield f"The clip lasts {file.seconds:.1f} s; it was released with {record.seconds:.1f} s."
    if verdict in ("recovered", "tampered"):
        yield from _gaps(readings)


def _gaps(readings: Readings) -> Iterator[str]:
    for name, mark in readings.marks:
        for span in mark.segments:
            if not span.found:
                yield f"No mark was seen in the {name} from {span.start:.1f} to {span.end:.1f} s."
