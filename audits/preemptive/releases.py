"""Releases as they leave the gate, in every format, with the records that we would keep of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from audits.preemptive import scenes
from audits.preemptive.specimens import CLAIM, FORMATS
from core.media.clip import Clip
from core.media.export import export
from core.media.read import frames, whole_sound
from core.media.write import Delivery
from core.models import file_sha256
from provenance.fingerprint import audio as audio_print
from provenance.fingerprint import video as video_print
from provenance.keys import SigningKeys
from provenance.labels import NO_LABELS
from provenance.manifest import Claim, Parent, sign
from provenance.mark import mark
from provenance.marks import MarkKey
from provenance.perceive import perceive
from provenance.readings import Record

SECONDS = 6.0
PRESET = "veryfast"


@dataclass(frozen=True, slots=True)
class Release:
    """A released file, the same without its manifest, and our record of it."""

    suffix: str
    path: Path
    bare: Path
    claim: Claim
    record: Record


class _QuickTime(Delivery):
    container_format = "mov"


def formats() -> tuple[str, ...]:
    """Name the suffixes of all formats that a release may have here."""
    return (*FORMATS, "mov")


def marked(folder: Path, seed: int, payload: int, key: MarkKey) -> Clip:
    """Make a scene and mark it as the gate does."""
    made = scenes.scene(folder / f"scene-{seed}.mkv", seed, SECONDS)
    return mark(made, folder / f"scene-{seed}.mp4", payload, key, NO_LABELS, preset=PRESET).clip


def release(
    folder: Path,
    clip: Clip,
    suffix: str,
    payload: int,
    keys: SigningKeys,
    key: MarkKey,
    *,
    parent: Path | None = None,
) -> Release:
    """Bring a marked clip into a format, sign it, and write down what we remember of it."""
    bare, path = folder / f"{payload:x}-bare.{suffix}", folder / f"{payload:x}.{suffix}"
    _bring(clip, bare, suffix)
    seen = perceive(bare, [key])
    claim = replace(
        CLAIM,
        mime=FORMATS.get(suffix, "video/quicktime"),
        payload=payload,
        record=f"{payload:x}",
        duration_ms=round(1000 * (seen.seconds or 0)),
        video=seen.video is not None and seen.video.found,
        audio=seen.audio is not None and seen.audio.found,
        source="composite" if parent else "created",
        parent=Parent(parent, "video/mp4") if parent else None,
    )
    label = sign(bare, path, claim, keys).label
    video = video_print.decode(bytes.fromhex(seen.video_print)).stored() if seen.video_print else None
    audio = audio_print.decode(bytes.fromhex(seen.audio_print)) if seen.audio_print else None
    record = Record(
        id=claim.record,
        payload=payload,
        manifest_label=label,
        released_at=claim.when,
        withdrawn=False,
        seconds=seen.seconds or 0.0,
        video=claim.video,
        audio=claim.audio,
        log_index=0,
        digest=file_sha256(path),
        video_print=video,
        audio_print=audio,
    )
    return Release(suffix, path, bare, claim, record)


def _bring(clip: Clip, into: Path, suffix: str) -> None:
    if suffix == "mp4":
        into.write_bytes(clip.path.read_bytes())
    elif suffix in ("png", "jpg"):
        first = next(iter(frames(clip.path)))
        cv2.imwrite(str(into), cv2.cvtColor(first.rgb, cv2.COLOR_RGB2BGR))
    elif suffix in ("mov", "m4a"):
        kind = _QuickTime if suffix == "mov" else Delivery
        encode(kind, clip, into, picture=suffix == "mov")
    elif clip.audio is not None:
        export(into, whole_sound(clip.path), clip.audio.rate)


def encode(kind: type[Delivery], clip: Clip, into: Path, *, picture: bool = True) -> None:
    """Encode a clip once more."""
    with kind.like(into, clip, picture=picture, preset=PRESET) as out:
        out.sound(whole_sound(clip.path))
        for frame in frames(clip.path) if picture else ():
            out.frame(frame.rgb)
