"""Write clips in other ways than our own delivery: sound alone as WAV, FLAC or MP3, tracks copied as they are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from core.errors import BadMedia
from core.media.clip import Sound
from core.media.probe import opened
from core.media.write import LAYOUTS

_CODECS = {
    ".wav": ("wav", "pcm_s16le", "s16"),
    ".flac": ("flac", "flac", "s16"),
    ".mp3": ("mp3", "libmp3lame", "fltp"),
}
_BLOCK = 1152  # what an MP3 frame holds; the others take any


def export(path: Path, samples: Sound, rate: int) -> None:
    """Write (n, channels) float32 at `rate` Hz; the suffix says as what. Raises `BadMedia` for another suffix."""
    if path.suffix not in _CODECS or samples.shape[1] not in LAYOUTS:
        raise BadMedia(f"Sound cannot be written as {path.suffix} with {samples.shape[1]} channels.")
    container, codec, form = _CODECS[path.suffix]
    layout = LAYOUTS[samples.shape[1]]
    with av.open(str(path), "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.format = form
        resampler = av.AudioResampler(format=form, layout=layout, rate=rate, frame_size=_BLOCK)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32).reshape(1, -1), format="flt", layout=layout
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))


def remux(source: Path, into: Path) -> None:
    """Copy the tracks of a clip into a new MP4, packet by packet; all else that the file held is left behind."""
    with opened(source) as old, av.open(str(into), "w", format="mp4") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
