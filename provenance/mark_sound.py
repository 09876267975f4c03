"""Mark the sound of a file and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core.errors import BadMedia
from core.media.clip import Clip, Sound
from core.media.export import export_blocks, with_sound
from core.media.read import sound
from core.media.write import Delivery
from provenance.marks import MarkKey, audio

_PLAIN = {".wav", ".flac", ".mp3"}
_AAC = {".m4a", ".mp4", ".mov"}


def mark_sound(source: Clip, into: Path, payload: int, key: MarkKey) -> None:
    """Write the file with the 64-bit id in its sound: WAV, FLAC (16 bits), MP3, M4A, or MP4 with its picture copied.

    Works span by span, for sound of any length. The file appears whole or not at all. Raises `BadMedia` for a
    file without sound, a sound that cannot carry a mark, and what the format does not take.
    """
    if source.audio is None:
        raise BadMedia("The file has no sound that could be marked.")
    scratch = into.with_name(f".{into.stem}.part{into.suffix}")
    try:
        _write(source, scratch, audio.embed_long(sound(source.path), source.audio.rate, key, payload))
        scratch.replace(into)
    finally:
        scratch.unlink(missing_ok=True)


def _write(source: Clip, into: Path, marked: Iterator[Sound]) -> None:
    assert source.audio is not None
    rate, channels = source.audio.rate, source.audio.channels
    if into.suffix in _PLAIN:
        export_blocks(into, marked, rate, channels)
    elif into.suffix in _AAC and source.video is not None:
        with_sound(source.path, into, marked, rate, channels)
    elif into.suffix == ".m4a":
        with Delivery(into, rate=rate, channels=channels) as out:
            for block in marked:
                out.sound(block)
    else:
        raise BadMedia(
            f"Marked sound is written as WAV, FLAC, MP3, M4A or MP4, not as {into.suffix or 'a nameless kind'}."
        )
