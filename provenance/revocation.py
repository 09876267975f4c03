"""What a revoked key of ours still proves: what our log shows to have been signed before, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from provenance.readings import Readings, Standing

Keys = Callable[[str], Standing | None]
"""Find a key of ours by what files call it: a certificate's serial number, or the id of a watermark key."""

REVOKED = "signingCredential.revoked"
STRANGE = "signingCredential.untrusted"


def with_keys(found: Readings, keys: Keys | None) -> Readings:
    """Say which keys of ours made manifest and marks; a manifest that does not count becomes untrusted.

    Others have certificates under the same roots, and could give a manifest the label of a release of ours:
    one that names our record is signed with a key of ours or it is forged.

    Whoever has a revoked key can date a manifest as they like, too. So it counts only where something else
    shows that it is the one of before: the file is the very one that we released, or a time stamp that we
    trust is older than the revocation. Without `keys` certificates alone decide.
    """
    if keys is None:
        return found
    manifest = found.file.manifest
    signer = keys(manifest.serial) if manifest.serial else None
    standings = {track: keys(mark.key_id) for track, mark in found.marks if mark.key_id}
    revoked = tuple(track for track, key in standings.items() if key and key.revoked_ms is not None)
    found = replace(found, signer=signer, revoked_marks=revoked)
    doubt = _doubt(found)
    if doubt is None:
        return found
    doubted = replace(manifest, state="untrusted", failures=(*manifest.failures, doubt))
    return replace(found, file=replace(found.file, manifest=doubted))


def _doubt(found: Readings) -> str | None:
    signer = found.signer
    if found.file.manifest.state != "trusted":
        return None
    if signer is None:
        return STRANGE if found.by_label else None
    if signer.revoked_ms is None or counts(found, signer.revoked_ms):
        return None
    return REVOKED


def counts(found: Readings, revoked_ms: int) -> bool:
    """Tell whether a manifest is one that we signed before its key was revoked."""
    record, manifest = found.by_label, found.file.manifest
    if record is None or record.recorded_ms is None or record.recorded_ms >= revoked_ms:
        return False
    stamped = (
        manifest.signed_at and datetime.fromisoformat(manifest.signed_at).timestamp() * 1000 < revoked_ms
    )
    return bool(stamped) or found.file.digest == record.digest
