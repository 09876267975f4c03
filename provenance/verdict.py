"""From what each layer of a file says to one verdict: pure, so that every combination can be tested.

A manifest that can be read and does not hold is a sign of change, so the file is `tampered`. One that cannot be
read says nothing; then mark and fingerprint may still show whose content this is, and it is `recovered`. A mark
alone recovers nothing, because it can be copied: the content must be that of our release too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from provenance.readings import WORDS, Readings, Record

Verdict = Literal["verified", "recovered", "tampered", "conflict", "foreign", "unknown", "malformed"]

_SAME_LENGTH_SECONDS = 0.5
_LOST_TRUST = {
    "signingCredential.expired": "The certificate that it was signed under has run out.",
    "signingCredential.revoked": "The certificate that it was signed under was revoked.",
    "signingCredential.ocsp.revoked": "The certificate that it was signed under was revoked.",
}


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
    payloads = {mark.payload for _, mark in readings.marks}
    if len(payloads) > 1:
        yield "Picture and sound carry different ids."
    named = (readings.by_label, readings.by_video, readings.by_audio)
    if len({one.id for one in named if one is not None}) > 1:
        yield "Manifest, picture and sound lead to different records."
    record = readings.record
    if record is None:
        return
    if payloads - {record.payload}:
        yield "A mark carries another id than our record."
    yield from _manifest_conflicts(readings, record)
    yield from _content_conflicts(readings, record)
    if readings.log is not None and not readings.log.included:
        yield "Our record is not in the public log."


def _manifest_conflicts(readings: Readings, record: Record) -> Iterator[str]:
    state = readings.file.manifest.state
    if readings.by_label and state == "trusted" and _bound(readings) - {record.payload}:
        yield "The manifest is bound to another id than our record."
    if readings.by_label is None and state in ("trusted", "untrusted") and not _is_history(readings, record):
        sign = "carries our mark" if readings.marks else "is that of a release of ours"
        yield f"The content {sign}, but the manifest is not the one that we released it with."


def _content_conflicts(readings: Readings, record: Record) -> Iterator[str]:
    marked = {name for name, _ in readings.marks}
    holds = readings.by_label is not None and readings.file.manifest.state == "trusted"
    for track, kin in readings.kin.items():
        if holds and kin != "same":
            yield f"The manifest holds, but the {WORDS[track]} is not what we remember of this release."
        elif track in marked and kin == "other" and readings.by_label is None:
            yield f"The {WORDS[track]} carries our mark, but it is not the {WORDS[track]} of that release: a mark can be copied."
    if readings.by_content is not None and readings.by_content.id != record.id:
        yield "The content is that of another release than the one that is named."


def _bound(readings: Readings) -> set[int | None]:
    return {value for alg, value in readings.file.manifest.soft_bindings if alg.startswith("org.greenlight.")}


def _is_history(readings: Readings, record: Record) -> bool:
    """Tell whether the manifest openly builds on the one that we released."""
    inputs = readings.file.manifest.ingredients
    ours = {record.manifest_label, *record.labels}
    return any(one.state == "trusted" and one.label is not None and one.label in ours for one in inputs)


def _tampering(readings: Readings) -> Iterator[str]:
    manifest = readings.file.manifest
    if manifest.state == "invalid":
        yield f"The file was changed after its manifest was signed ({', '.join(manifest.failures[:5])})."
    yield from _stolen_keys(readings)
    if readings.record is None:
        return
    if manifest.state == "malformed" and not _is_whole(readings):
        yield f"The manifest cannot be read ({', '.join(manifest.failures[:5])}), and this is not all of what we released."
    if readings.by_label is not None:
        yield from _false_claims(readings)
    if not _is_history(readings, readings.record):
        yield from _exchanges(readings)


def _stolen_keys(readings: Readings) -> Iterator[str]:
    """Say that somebody signs with a key of ours that was revoked: no record of ours is as late as that."""
    signer, record = readings.signer, readings.by_label
    if signer is None or signer.revoked_ms is None or readings.file.manifest.state == "trusted":
        return
    if record is None:
        yield "It is signed with a key of ours that was revoked, and we have no record of it."
    elif record.recorded_ms is None or record.recorded_ms >= signer.revoked_ms:
        yield "It was signed with a key of ours after that key was revoked."


def _is_whole(readings: Readings) -> bool:
    """Tell whether all of a release is there, as it was."""
    record, media = readings.record, readings.file.media
    if (
        record is None
        or not readings.matches
        or abs((media.seconds or 0.0) - record.seconds) > _SAME_LENGTH_SECONDS
    ):
        return False
    gone = (record.video and media.video is None) or (record.audio and media.audio is None)
    return not gone and all(kin == "same" for kin in readings.kin.values())


def _false_claims(readings: Readings) -> Iterator[str]:
    manifest = readings.file.manifest
    forged = "signingCredential.untrusted" in manifest.failures
    if manifest.state == "untrusted" and (forged or not (readings.marks or readings.matches)):
        yield "The manifest names a record of ours, but its signature is not one of ours that counts."
    for track in readings.missing:
        yield f"The {WORDS[track]} was released with our mark, and it is not there."


def _exchanges(readings: Readings) -> Iterator[str]:
    """Say which parts of the content are not those that we released."""
    for track, match in readings.matches:
        if readings.kin[track] == "other":
            yield f"The {WORDS[track]} is not the one that we released (similarity {match.score:.2f})."
        elif readings.kin[track] == "part":
            for span in readings.departures(track, match):
                yield f"The {WORDS[track]} from {span.start:.1f} to {span.end:.1f} s is not the one that we released."


def _malformation(readings: Readings) -> Iterator[str]:
    media, manifest = readings.file.media, readings.file.manifest
    if media.media and media.trouble is not None:
        yield f"The file cannot be examined: {media.trouble}"
    elif not media.media and "unsupported" in manifest.failures:
        yield "The file is not media that can be read."
    elif manifest.state == "malformed" and readings.record is None:
        yield "The file holds a manifest that cannot be read."


def _verification(readings: Readings) -> Iterator[str]:
    proven = readings.log is not None and readings.log.included
    whole = readings.file.manifest.state == "trusted" and readings.file.media.trouble is None
    if whole and readings.by_label and proven:
        yield "Manifest, record and log agree, and so does every mark that it was released with."


def _recovery(readings: Readings) -> Iterator[str]:
    if readings.record is None or _is_foreign(readings):
        return
    if readings.file.manifest.state == "trusted":
        yield "Manifest and record agree, but the public log could not be asked."
    elif readings.matches:
        yield from _lost_manifest(readings)
        for track, mark in readings.marks:
            chance = f"by chance with p ≤ {mark.p_false:.0e}"
            yield f"The mark in the {WORDS[track]} leads to our record ({chance})."
        if not readings.marks:
            yield "No mark was found; the content itself leads to our record, which says alike and not identical."
        for track, match in readings.matches:
            yield f"The {WORDS[track]} is that of our release (fingerprint similarity {match.score:.2f})."


def _lost_manifest(readings: Readings) -> Iterator[str]:
    manifest = readings.file.manifest
    if manifest.state == "none":
        yield "The manifest is gone."
    elif manifest.state == "malformed":
        yield f"The manifest cannot be read any more ({', '.join(manifest.failures[:5])})."
    else:
        yield "The manifest is intact, but its signature no longer counts."
        yield from dict.fromkeys(_LOST_TRUST[code] for code in manifest.failures if code in _LOST_TRUST)


def _is_foreign(readings: Readings) -> bool:
    return readings.by_label is None and readings.file.manifest.state in ("trusted", "untrusted")


def _foreignness(readings: Readings) -> Iterator[str]:
    manifest, record = readings.file.manifest, readings.record
    if not _is_foreign(readings):
        return
    known = "whom we trust" if manifest.state == "trusted" else "whom we do not know"
    ours = "it openly builds on a release of ours" if record else "nothing here is ours"
    yield f"The manifest is intact and was signed by {manifest.issuer or 'somebody'}, {known}; {ours}."


def _ignorance(readings: Readings) -> Iterator[str]:
    if readings.record is not None:
        yield "A mark leads to a record of ours, but this content cannot be compared with it, and a mark can be copied."
    elif readings.marks:
        yield "A mark was found, but no record of ours belongs to it."
    else:
        yield "No sign was found. That proves nothing: signs can be removed."
    if "manifest.remote" in readings.file.manifest.failures:
        yield "The file points to a manifest elsewhere, which was not fetched."


def _remarks(readings: Readings, verdict: Verdict) -> Iterator[str]:
    record = readings.record
    if record is None:
        return
    if record.withdrawn:
        yield "We have withdrawn this release."
    if record.released_at is None:
        yield "This clip has not been released."
    if verdict == "verified" and record.digest:
        yield _identity(readings, record)
    if verdict == "verified" and readings.signer and readings.signer.revoked_ms is not None:
        yield "It was signed before its key was revoked, as our log shows."
    for track in readings.revoked_marks:
        yield f"The mark in the {WORDS[track]} was made with a key that was revoked since; whoever has it can make such marks."
    if verdict == "recovered":
        yield from _losses(readings, record)
    if verdict in ("recovered", "tampered"):
        yield from _gaps(readings)
    if verdict == "tampered" and _is_whole(readings):
        yield "Mark and fingerprint agree with our release throughout: the change is too small for them to show."


def _identity(readings: Readings, record: Record) -> str:
    if readings.file.digest == record.digest:
        return "It is bit for bit the file that we released."
    return "Bytes differ from the released file, but none that content or claim is made of."


def _losses(readings: Readings, record: Record) -> Iterator[str]:
    for track in readings.missing:
        yield f"The {WORDS[track]} was released with our mark, and it is not there."
    if readings.log is None:
        yield "The record could not be checked against the public log."
    seconds = readings.file.media.seconds
    if seconds is not None and abs(seconds - record.seconds) > _SAME_LENGTH_SECONDS:
        yield f"The clip lasts {seconds:.1f} s; it was released with {record.seconds:.1f} s."


def _gaps(readings: Readings) -> Iterator[str]:
    for track, mark in readings.marks:
        for span in mark.segments:
            if not span.found and span.readable:
                yield f"No mark was seen in the {WORDS[track]} from {span.start:.1f} to {span.end:.1f} s."
