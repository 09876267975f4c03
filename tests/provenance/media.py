"""One second of media in every format that can carry a manifest, and in some that cannot."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

RATE = 16000
SIGNED = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "png": "image/png",
    "jpg": "image/jpeg",
}
"""The media types by suffix."""
UNSIGNED = ("webm", "mkv", "ogg", "adts", "gif")

_CODECS = {
    "mp4": ("mp4", "libx264", "aac"),
    "mov": ("mov", "libx264", "aac"),
    "m4a": ("ipod", None, "aac"),
    "wav": ("wav", None, "pcm_s16le"),
    "mp3": ("mp3", None, "libmp3lame"),
    "flac": ("flac", None, "flac"),
    "webm": ("webm", "libvpx", None),
    "mkv": ("matroska", "libx264", None),
    "ogg": ("ogg", None, "libopus"),
    "adts": ("adts", None, "aac"),
    "gif": ("gif", "gif", None),
}


def make(folder: Path, kind: str) -> Path:
    """Write a file of this kind, always the same, without a suffix that tells."""
    path = folder / f"{kind}.bin"
    if kind in ("png", "jpg"):
        done, coded = cv2.imencode(f".{kind}", _picture(0))
        assert done
        path.write_bytes(coded.tobytes())
        return path
    _mux(path, *_CODECS[kind])
    return path


def _picture(index: int) -> np.ndarray:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 3 + index * 5, (64, 1))
    return np.stack([ramp, ramp.T, ramp], axis=-1)


def _mux(path: Path, form: str, picture: str | None, sound: str | None) -> None:
    with av.open(str(path), "w", format=form) as container:
        seen = container.add_stream(picture, rate=12) if picture else None
        heard = container.add_stream(sound, rate=RATE, layout="mono") if sound else None
        if seen is not None:
            seen.width = seen.height = 64
            seen.pix_fmt = "rgb8" if picture == "gif" else "yuv420p"
            for index in range(12):
                frame = av.VideoFrame.from_ndarray(_picture(index), format="rgb24")
                container.mux(seen.encode(frame.reformat(format=seen.pix_fmt)))
            container.mux(seen.encode(None))
        if heard is not None:
            _sing(container, heard)


def _sing(container: av.container.OutputContainer, stream: av.AudioStream) -> None:
    noise = np.random.default_rng(1).integers(-3000, 3000, (1, RATE), dtype=np.int16)
    frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
    frame.sample_rate = RATE
    context = stream.codec_context
    resampler = av.AudioResampler(context.format.name, "mono", RATE, frame_size=context.frame_size or None)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))
