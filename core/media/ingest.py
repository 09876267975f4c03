"""Take in untrusted media: check it, decode all of it once, and keep it in our own lossless form.

These functions run in the sandbox (`core.media.sandbox`); what they write is what everything after reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2

from core.errors import BadMedia
from core.media.clip import Clip
from core.media.probe import MIB, MediaLimits, probe
from core.media.read import frames, picture, sound
from core.media.still import size_of
from core.media.write import Mezzanine

MAX_PICTURE_PIXELS = 50_000_000
_PICTURE_MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


def ingest_video(source: str, into: str, max_mib: int, max_seconds: float) -> dict[str, Any]:
    """Turn an uploaded video into a mezzanine; answer what it is."""
    clip = _probed(source, max_mib, max_seconds)
    if clip.video is None:
        raise BadMedia("The file has no picture.")
    copied = _copied(clip, Path(into))
    return {
        "seconds": copied.seconds,
        "width": clip.video.width,
        "height": clip.video.height,
        "sound": clip.audio is not None,
    }


def ingest_voice(source: str, into: str, max_mib: int, max_seconds: float) -> dict[str, Any]:
    """Turn an uploaded recording into lossless sound; answer what it is."""
    clip = _probed(source, max_mib, max_seconds)
    if clip.audio is None:
        raise BadMedia("The file has no sound.")
    copied = _copied(clip, Path(into), keep_picture=False)
    return {"seconds": copied.seconds, "rate": clip.audio.rate, "channels": clip.audio.channels}


def ingest_picture(source: str, into: str, max_mib: int, max_seconds: float) -> dict[str, Any]:
    """Turn an uploaded picture into a PNG without its metadata; answer what it is."""
    del max_seconds
    path = Path(source)
    if path.stat().st_size > max_mib * MIB:
        raise BadMedia(f"The picture is larger than {max_mib} MiB.")
    with path.open("rb") as file:
        head = file.read(16)
    if not any(head.startswith(magic) for magic in _PICTURE_MAGIC):
        raise BadMedia("The file is not a PNG, JPEG or WebP picture.")
    width, height = size_of(path)
    if width * height > MAX_PICTURE_PIXELS:
        raise BadMedia(f"The picture has more than {MAX_PICTURE_PIXELS} pixels.")
    rgb = picture(path)
    coded, content = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not coded:
        raise BadMedia("The picture cannot be read.")
    Path(into).write_bytes(content.tobytes())
    return {"width": rgb.shape[1], "height": rgb.shape[0]}


def _probed(source: str, max_mib: int, max_seconds: float) -> Clip:
    return probe(Path(source), MediaLimits(max_bytes=max_mib * MIB, max_seconds=max_seconds))


def _copied(clip: Clip, into: Path, *, keep_picture: bool = True) -> Clip:
    """Decode everything that the header promised; a stream that breaks half way is refused."""
    video = clip.video if keep_picture else None
    with Mezzanine.like(into, clip, picture=keep_picture) as mezzanine:
        if clip.audio:
            for block in sound(clip.path):
                mezzanine.sound(block)
        decoded = 0
        for frame in frames(clip.path) if video else ():
            mezzanine.frame(frame.rgb)
            decoded += 1
        if video and decoded < video.frames * 0.98:
            raise BadMedia(f"Only {decoded} of {video.frames} frames can be decoded.")
    return probe(into)
