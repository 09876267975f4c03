"""Take sound through a lossy codec or a filter of the media library and back, in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np

from core.errors import BadMedia
from core.media.clip import Sound
from core.media.write import LAYOUTS

Codec = Literal["mp3", "aac", "opus"]
_ENCODERS: dict[str, tuple[str, str, str, int, tuple[int, ...]]] = {
    # name: container, encoder, sample format, samples of a frame, rates (empty: any)
    "mp3": (
        "mp3",
        "libmp3lame",
        "fltp",
        1152,
        (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    ),
    "aac": ("adts", "aac", "fltp", 1024, (16000, 22050, 24000, 32000, 44100, 48000)),
    "opus": ("ogg", "libopus", "flt", 960, (48000,)),
}


def recoded(sound: Sound, rate: int, codec: Codec, bitrate: int) -> Sound:
    """Encode (n, channels) float32 at `bitrate` bit/s and decode it again, at the same rate and length.

    The delay that a codec adds is left in. Raises `BadMedia` where the encoder refuses rate, channels or bitrate.
    """
    container, encoder, form, frame, rates = _ENCODERS[codec]
    if sound.shape[1] not in LAYOUTS:
        raise BadMedia(f"Sound of {sound.shape[1]} channels cannot be encoded.")
    coded_rate = rate if not rates or rate in rates else min(rates, key=lambda known: abs(known - rate))
    layout, file = LAYOUTS[sound.shape[1]], io.BytesIO()
    try:
        with av.open(file, "w", format=container) as out:
            stream: Any = out.add_stream(encoder, rate=coded_rate, layout=layout)
            stream.codec_context.bit_rate, stream.codec_context.format = bitrate, form
            resampler = av.AudioResampler(format=form, layout=layout, rate=coded_rate, frame_size=frame)
            for part in (*resampler.resample(_frame(sound, rate, layout)), *resampler.resample(None)):
                out.mux(stream.encode(part))
            out.mux(stream.encode(None))
        return _fitted(_decoded(file, rate, layout, sound.shape[1]), len(sound))
    except av.error.FFmpegError as error:
        raise BadMedia(f"The sound cannot be encoded as {codec}: {error.strerror}.") from error


def filtered(sound: Sound, rate: int, name: str, arguments: str) -> Sound:
    """Pass (n, channels) float32 through one filter of the media library, such as `atempo` with `1.1`."""
    layout = LAYOUTS[sound.shape[1]]
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout=layout, time_base=Fraction(1, rate))
    step, form, sink = (
        graph.add(name, arguments),
        graph.add("aformat", "sample_fmts=flt"),
        graph.add("abuffersink"),
    )
    source.link_to(step)
    step.link_to(form)
    form.link_to(sink)
    graph.configure()
    graph.push(_frame(sound, rate, layout))
    graph.push(None)
    return np.concatenate([_samples(part, sound.shape[1]) for part in _pulled(graph)])


def _pulled(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return


def _decoded(file: io.BytesIO, rate: int, layout: str, channels: int) -> Sound:
    file.seek(0)
    with av.open(file, "r") as coded:
        resampler = av.AudioResampler(format="flt", layout=layout, rate=rate)
        parts = [part for frame in coded.decode(audio=0) for part in resampler.resample(frame)]
        parts += resampler.resample(None)
    return np.concatenate([_samples(part, channels) for part in parts])


def _frame(sound: Sound, rate: int, layout: str) -> Any:
    packed = np.ascontiguousarray(sound, np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def _samples(part: Any, channels: int) -> Sound:
    return np.asarray(part.to_ndarray(), np.float32).reshape(-1, channels)


def _fitted(sound: Sound, length: int) -> Sound:
    """Cut or pad to `length` samples."""
    return np.pad(sound[:length], ((0, max(length - len(sound), 0)), (0, 0)))
