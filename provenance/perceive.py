"""Look at and listen to an untrusted file once, for its marks and its fingerprints together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

import numpy as np

from core.ahead import ahead
from core.errors import BadMedia
from core.media.clip import AudioTrack, Grey, Sound
from core.media.probe import MediaLimits, demuxer, probe
from core.media.read import greys, sound
from core.media.still import is_still, still
from provenance.fingerprint import audio as audio_print
from provenance.fingerprint import video as video_print
from provenance.marks import MarkKey, MarkReading, audio, video
from provenance.readings import Perception

PICTURE_SECONDS = 16.0
SOUND_SECONDS = 45
LOOKS_PER_SECOND = 12
UNTRUSTED = MediaLimits()


def perceive(path: Path, mark_keys: Sequence[MarkKey], limits: MediaLimits = UNTRUSTED) -> Perception:
    """Read marks and fingerprints of at most 16 s of picture and 45 s of sound, or of one still picture.

    The sound is heard, and the fingerprint finished, beside the picture: decoders and transforms run without
    Python's lock. Never raises for what the file contains.
    """
    try:
        with ThreadPoolExecutor(2) as beside:
            read = _still if is_still(path) else _clip
            return read(path, mark_keys, limits, beside)
    except BadMedia as error:
        return _unread(path, error.message)
    except MemoryError:
        return _unread(path, "The file asks for more memory than it may have.")


def _unread(path: Path, trouble: str) -> Perception:
    return Perception(media=_is_ours_to_decode(path), trouble=trouble, seconds=None)


def _is_ours_to_decode(path: Path) -> bool:
    try:
        return is_still(path) or bool(demuxer(path))
    except BadMedia:
        return False


def _still(path: Path, keys: Sequence[MarkKey], limits: MediaLimits, beside: Executor) -> Perception:
    mark, seen = _look([Grey(0.0, still(path, max_pixels=limits.max_pixels))], keys, beside)
    return Perception(media=True, trouble=None, seconds=None, video=mark, video_print=seen)


def _clip(path: Path, keys: Sequence[MarkKey], limits: MediaLimits, beside: Executor) -> Perception:
    clip = probe(path, limits)
    listening = beside.submit(_listen, path, clip.audio, keys) if clip.audio else None
    seen = _watch(path, keys, beside) if clip.video else (None, "")
    heard = _heard_again(listening.result(), seen[0], keys) if listening else (None, "")
    return Perception(
        media=True,
        trouble=None,
        seconds=clip.seconds,
        looked=min(clip.video.seconds, PICTURE_SECONDS) if clip.video else 0.0,
        listened=min(clip.audio.seconds, float(SOUND_SECONDS)) if clip.audio else 0.0,
        video=seen[0],
        audio=heard[0],
        video_print=seen[1],
        audio_print=heard[1],
    )


def _watch(path: Path, keys: Sequence[MarkKey], beside: Executor) -> tuple[MarkReading, str]:
    """Look at the picture track while it is decoded, a few frames ahead."""
    with closing(ahead(greys(path, per_second=LOOKS_PER_SECOND))) as decoded:
        return _look(takewhile(_within_reach, decoded), keys, beside)


def _within_reach(frame: Grey) -> bool:
    return frame.time < PICTURE_SECONDS


def _look(frames: Iterable[Grey], keys: Sequence[MarkKey], beside: Executor) -> tuple[MarkReading, str]:
    printer = video_print.Printer()
    printing: list[Future[str]] = []

    def shown() -> Iterator[Grey]:
        for frame in frames:
            printer.add(frame.luma, frame.time)
            yield frame
        printing.append(beside.submit(_printed, printer))  # the mark is read meanwhile

    reading = video.detect(shown(), keys)
    return reading, printing[0].result() if printing else _printed(printer)


def _printed(printer: video_print.Printer) -> str:
    return video_print.encode(printer.finish()).hex()


@dataclass(frozen=True, slots=True)
class _Heard:
    """What was read of the sound, its fingerprint, and the samples while they may be needed again."""

    mark: MarkReading
    print: str
    samples: Sound
    rate: int


def _listen(path: Path, track: AudioTrack, keys: Sequence[MarkKey]) -> _Heard:
    blocks = list(islice(sound(path), SOUND_SECONDS))  # each about a second
    samples = np.concatenate(blocks) if blocks else np.zeros((0, track.channels), np.float32)
    printer = audio_print.Printer(track.rate)
    printer.add(samples)
    mark = audio.detect(samples, track.rate, keys)
    return _Heard(mark, audio_print.encode(printer.finish()).hex(), samples, track.rate)


def _heard_again(
    heard: _Heard, picture: MarkReading | None, keys: Sequence[MarkKey]
) -> tuple[MarkReading, str]:
    """Listen once more for the payload of the picture where none was read: a second of our sound shows it."""
    if heard.mark.found or picture is None or picture.payload is None:
        return heard.mark, heard.print
    expected = [picture.payload]
    return audio.detect(heard.samples, heard.rate, keys, thorough=False, expected=expected), heard.print
