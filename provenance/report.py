"""Write what was found as the public report: what is said of a system to anyone, of a person to nobody.

Everything that a file or a child process says is untrusted text: cut to a length and cleaned of control
characters here, whatever it went through before. Titles of inputs, names of signers as persons and identity
assertions are not repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provenance.fingerprint import Match
from provenance.manifest import IngredientReading, ManifestReading
from provenance.marks import MarkReading
from provenance.readings import Readings, Record

LONGEST_TEXT = 200
LONGEST_LIST = 64


def layers(readings: Readings) -> dict[str, Any]:
    """Say what each layer found; None for a layer that is not there."""
    media, record = readings.file.media, readings.record
    proof = readings.log
    return {
        "manifest": _manifest(readings.file.manifest),
        "video_mark": _mark(media.video),
        "audio_mark": _mark(media.audio),
        "fingerprint": _fingerprint(readings),
        "record": record and _record(record, readings.file.digest),
        "log": proof
        and {
            "included": proof.included,
            "index": proof.index,
            "size": proof.size,
            "checkpoint": proof.checkpoint,
        },
    }


def segments(readings: Readings) -> Iterator[dict[str, Any]]:
    """Say track by track, in order of time, what the mark and the fingerprint found where."""
    for mark in filter(None, (readings.file.media.video, readings.file.media.audio)):
        for span in mark.segments:
            finding = "mark" if span.found else "no mark" if span.readable else "unreadable mark"
            yield _segment(mark.track, span.start, span.end, finding)
    for track, match in readings.matches:
        found = [(span.start, span.end, "same content") for span in match.spans]
        gaps = readings.departures(track, match)
        found += [(gap.start, gap.end, "other content") for gap in gaps]
        for start, end, finding in sorted(found):
            yield _segment(track, start, end, finding)


def clean(value: object) -> str:
    """Cut an untrusted text to 200 characters and take out those that do not print."""
    return "".join(char for char in str(value)[:LONGEST_TEXT] if char.isprintable())


def _segment(track: str, start: float, end: float, finding: str) -> dict[str, Any]:
    technique = "watermark" if finding.endswith("mark") else "fingerprint"
    return {
        "track": track,
        "start": round(start, 3),
        "end": round(end, 3),
        "finding": finding,
        "technique": technique,
    }


def _manifest(manifest: ManifestReading) -> dict[str, Any]:
    return {
        "state": manifest.state,
        "label": _text(manifest.label),
        "content_label": _text(manifest.content_label),
        "issuer": _text(manifest.issuer),
        "signed_at": _text(manifest.signed_at),
        "failures": _texts(manifest.failures),
        "ingredients": [_ingredient(one) for one in manifest.ingredients[:LONGEST_LIST]],
        "soft_bindings": [
            {"alg": clean(alg), "payload": _hex(payload)}
            for alg, payload in manifest.soft_bindings[:LONGEST_LIST]
        ],
        "generator": _text(manifest.generator),
        "actions": _texts(manifest.actions),
    }


def _ingredient(one: IngredientReading) -> dict[str, Any]:
    return {
        "label": _text(one.label),
        "within": clean(one.within),
        "relationship": clean(one.relationship),
        "state": one.state,
        "failures": _texts(one.failures),
        "generator": _text(one.generator),
        "actions": _texts(one.actions),
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


def _fingerprint(readings: Readings) -> dict[str, Any] | None:
    """Give the weakest agreement of the tracks that could be compared, and each of them."""
    if not readings.matches:
        return None
    tracks: dict[str, Any] = {track: _match(match) for track, match in readings.matches}
    return {"score": min(one["score"] for one in tracks.values())} | tracks


def _match(match: Match) -> dict[str, Any]:
    return {
        "score": round(match.score, 3),
        "found": match.found,
        "offset": round(match.offset, 3),
        "mirrored": match.mirrored,
    }


def _record(record: Record, digest: str) -> dict[str, Any]:
    return {
        "id": record.id,
        "released_at": record.released_at,
        "withdrawn": record.withdrawn,
        "same_bytes": digest == record.digest,
    }


def _hex(payload: int | None) -> str | None:
    return None if payload is None else f"{payload:016x}"


def _text(value: object) -> str | None:
    return None if value is None else clean(value)


def _texts(values: tuple[str, ...]) -> list[str]:
    return [clean(value) for value in values[:LONGEST_LIST]]
