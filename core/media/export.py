"""Write clips in other ways than our own delivery: sound alone as WAV, FLAC or MP3, tracks copied as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from core.errors import BadMedia
from core.media.clip import Sound
from core.media.probe import opened
from core.media.write import AAC_FRAME, LAYOUTS

_CODECS = {
    ".wav": ("wav", "pcm_s16le", "s16"),
    ".flac": ("flac", "flac", "s16"),
    ".mp3": ("mp3", "libmp3lame", "fltp"),
}
_AAC_BITS = 192_000
_BLOCK = 1152  # what an MP3 frame holds; the others take any


def export(path: Path, samples: Sound, rate: int) -> None:
    """Write (n, channels) float32 at `rate` Hz; the suffix says as what. Raises `BadMedia` for another suffix."""
    export_blocks(path, [samples], rate, samples.shape[1])


def export_blocks(path: Path, blocks: Iterable[Sound], rate: int, channels: int) -> None:
    """Write sound block by block, as `export` does. Raises `BadMedia` for what the format does not take."""
    if path.suffix not in _CODECS or channels not in LAYOUTS:
        raise BadMedia(f"Sound cannot be written as {path.suffix} with {channels} channels.")
    container, codec, form = _CODECS[path.suffix]
    try:
        with av.open(str(path), "w", format=container) as out:
            stream: Any = out.add_stream(codec, rate=rate, layout=LAYOUTS[channels])
            stream.codec_context.format = form
            for part in _frames(blocks, rate, LAYOUTS[channels], form, _BLOCK):
                out.mux(stream.encode(part))
            out.mux(stream.encode(None))
    except av.error.FFmpegError as error:
        raise BadMedia(f"Sound of {rate} Hz cannot be written as {path.suffix}: {error.strerror}.") from error


def with_sound(source: Path, into: Path, blocks: Iterable[Sound], rate: int, channels: int) -> None:
    """Copy the picture of a clip, packet by packet, beside other sound in AAC, into a new MP4."""
    layout = LAYOUTS[channels]
    with opened(source) as old, av.open(str(into), "w", format="mp4") as new:
        picture = new.add_stream_from_template(old.streams.video[0])
        stream: Any = new.add_stream("aac", rate=rate, layout=layout)
        stream.codec_context.bit_rate = _AAC_BITS
        frames = _frames(blocks, rate, layout, "fltp", AAC_FRAME)
        heard = 0.0
        for packet in old.demux(video=0):
            if packet.dts is None:
                continue
            while heard <= float(packet.dts * packet.time_base) and (part := next(frames, None)) is not None:
                heard = float(part.pts * part.time_base)
                new.mux(stream.encode(part))
            packet.stream = picture
            new.mux(packet)
        for part in (*frames, None):
            new.mux(stream.encode(part))


def _frames(blocks: Iterable[Sound], rate: int, layout: str, form: str, size: int) -> Iterator[Any]:
    """Cut sound into frames of the codec's format and size."""
    resampler = av.AudioResampler(format=form, layout=layout, rate=rate, frame_size=size)
    start = 0
    for block in blocks:
        packed = np.ascontiguousarray(block, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        start += len(block)
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def remux(source: Path, into: Path) -> None:
    """Copy the tracks of a clip into a new MP4, packet by packet; all else that the file held is left behind."""
    with opened(source) as old, av.open(str(into), "w", format="mp4") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
