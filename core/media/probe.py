"""Find out what a media file is, under limits, before anything decodes it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import av

from core.errors import BadMedia
from core.media.clip import AudioTrack, Clip, VideoTrack

MIB = 1 << 20
_LARGEST_BLOCK = 256 * MIB
"""The largest picture that is accepted takes 64 MiB in the widest format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """What a file may be: bytes, seconds, pixels of one frame, frames per second, streams, Hz, channels."""

    max_bytes: int = 512 * MIB
    max_seconds: float = 60.0
    max_pixels: int = 3840 * 2160
    max_fps: float = 120.0
    max_streams: int = 4
    max_rate: int = 192_000
    max_channels: int = 8


OURS = MediaLimits(max_bytes=16_384 * MIB, max_seconds=3600.0)
"""For files that we wrote ourselves."""

# The demuxer is chosen from these magic bytes, never guessed by the library, so that a playlist or a
# script that names other files is not media at all.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (8, b"WAVE", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
)


def demuxer(path: Path) -> str:
    """Name the demuxer by the file's first bytes, or raise `BadMedia`."""
    with path.open("rb") as file:
        head = file.read(16)
        if after_tag(file, head)[:4] == b"fLaC":
            return "flac"  # also signed: then the manifest stands in a tag before it
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    raise BadMedia(
        "The file is not a video or sound that is accepted here (MP4, MOV, MKV, WAV, FLAC, MP3, Ogg)."
    )


def after_tag(file: BinaryIO, head: bytes) -> bytes:
    """Give the first bytes behind an ID3v2 tag, or `head`, the first 16 of the file, when there is none."""
    if head[:3] != b"ID3" or len(head) < 10:
        return head
    # the length of the tag is written in four times seven bits (ID3v2.4, section 3.1)
    length = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    file.seek(10 + length)
    return file.read(4096).lstrip(b"\0")  # some writers pad behind the tag


@cache
def blocks_are_bounded() -> bool:
    """Keep FFmpeg from making room, and filling it, for whatever length a file claims; False where it cannot be told.

    A sound file of 20 kB with a chunk that says it has 1.9 GB takes 2 GiB of memory otherwise. PyAV does not
    offer `av_max_alloc` (libavutil, mem.h), so it is called in the library that comes with its wheel.
    """
    for library in (Path(av.__file__).parents[1] / "av.libs").glob("libavutil*"):
        ctypes.CDLL(str(library)).av_max_alloc(ctypes.c_size_t(_LARGEST_BLOCK))
        return True
    return False


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a media file with its own demuxer only; every error of the library becomes `BadMedia`."""
    name = demuxer(path)
    blocks_are_bounded()
    try:
        with av.open(str(path), format=name, options={"protocol_whitelist": "file"}) as container:
            yield container
    except av.error.FFmpegError as error:
        # Only what went wrong: the whole of the error names a path of this machine.
        raise BadMedia(f"The file cannot be read: {error.strerror}.") from error
    except (OverflowError, ValueError) as error:  # of a number or a layout that no codec has
        raise BadMedia("The file cannot be read: a number in it makes no sense.") from error


def probe(path: Path, limits: MediaLimits = OURS) -> Clip:
    """Describe a media file; raise `BadMedia` when it is none or exceeds the limits."""
    if not path.is_file():
        raise BadMedia("The file is not there.")
    size = path.stat().st_size
    if size > limits.max_bytes:
        raise BadMedia(f"The file has {size} bytes; at most {limits.max_bytes} are accepted.")
    with opened(path) as container:
        _check_streams(container, limits)
        video = _video(container, limits)
        audio = _audio(container, limits)
        counts = _counted(container, limits)
        clip = Clip(
            path=path,
            container=demuxer(path),
            video=_with_frames(video, counts) if video else None,
            audio=_with_samples(audio, counts) if audio else None,
        )
    if clip.seconds > limits.max_seconds:
        raise BadMedia(
            f"The clip lasts {clip.seconds:.1f} s; at most {limits.max_seconds:.0f} s are accepted."
        )
    return clip


def tags(path: Path) -> dict[str, str]:
    """Read the container's metadata; raise `BadMedia` when the file is none."""
    with opened(path) as container:
        return {str(name): str(value) for name, value in container.metadata.items()}


def _check_streams(container: Any, limits: MediaLimits) -> None:
    if len(container.streams) > limits.max_streams:
        raise BadMedia(
            f"The file has {len(container.streams)} streams; at most {limits.max_streams} are accepted."
        )
    if not container.streams.video and not container.streams.audio:
        raise BadMedia("The file has neither picture nor sound.")
    declared = (container.duration or 0) / av.time_base
    if declared > limits.max_seconds:
        raise BadMedia(
            f"The file says it lasts {declared:.0f} s; at most {limits.max_seconds:.0f} s are accepted."
        )


def _video(container: Any, limits: MediaLimits) -> VideoTrack | None:
    if not container.streams.video:
        return None
    stream = container.streams.video[0]
    _check_codec(stream)
    width, height = stream.codec_context.width, stream.codec_context.height
    fps = Fraction(stream.average_rate or stream.guessed_rate or 0)
    if not width or not height:
        raise BadMedia("The picture has no size.")
    if width * height > limits.max_pixels:
        raise BadMedia(
            f"A frame has {width}x{height} pixels; at most {limits.max_pixels} pixels are accepted."
        )
    if not 0 < fps <= limits.max_fps:
        raise BadMedia(f"The frame rate {float(fps):.2f} is not accepted.")
    return VideoTrack(codec=stream.codec_context.name, width=width, height=height, fps=fps, frames=0)


def _audio(container: Any, limits: MediaLimits) -> AudioTrack | None:
    if not container.streams.audio:
        return None
    context = container.streams.audio[0].codec_context
    _check_codec(container.streams.audio[0])
    if not context.sample_rate or context.sample_rate > limits.max_rate:
        raise BadMedia(f"The sample rate {context.sample_rate} is not accepted.")
    if not 0 < context.layout.nb_channels <= limits.max_channels:
        raise BadMedia(
            f"The sound has {context.layout.nb_channels} channels; at most {limits.max_channels} are accepted."
        )
    return AudioTrack(
        codec=context.name, rate=context.sample_rate, channels=context.layout.nb_channels, samples=0
    )


def _check_codec(stream: Any) -> None:
    if stream.codec_context is None:
        raise BadMedia(f"The {stream.type} track is of a kind that nothing here can decode.")


@dataclass(slots=True)
class _Counts:
    frames: int = 0
    audio_end: Fraction = Fraction(0)


def _counted(container: Any, limits: MediaLimits) -> _Counts:
    """Count by demuxing: headers may lie, packets cannot. The walk stops as soon as a limit is passed."""
    counts = _Counts()
    ceiling = int(limits.max_seconds * limits.max_fps) + 1
    for packet in container.demux():
        if packet.size == 0 or packet.dts is None:
            continue
        if packet.stream.type == "video" and packet.stream.index == container.streams.video[0].index:
            counts.frames += 1
        elif packet.stream.type == "audio" and packet.stream.index == container.streams.audio[0].index:
            end = (
                (packet.pts if packet.pts is not None else packet.dts) + (packet.duration or 0)
            ) * packet.time_base
            counts.audio_end = max(counts.audio_end, Fraction(end))
        if counts.frames > ceiling or counts.audio_end > limits.max_seconds + 1:
            raise BadMedia(f"The clip is longer than {limits.max_seconds:.0f} s.")
    return counts


def _with_frames(track: VideoTrack, counts: _Counts) -> VideoTrack:
    if counts.frames == 0:
        raise BadMedia("The picture track has no frames.")
    return VideoTrack(
        codec=track.codec, width=track.width, height=track.height, fps=track.fps, frames=counts.frames
    )


def _with_samples(track: AudioTrack, counts: _Counts) -> AudioTrack:
    samples = round(counts.audio_end * track.rate)
    if samples == 0:
        raise BadMedia("The sound track is empty.")
    return AudioTrack(codec=track.codec, rate=track.rate, channels=track.channels, samples=samples)
