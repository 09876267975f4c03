"""Read clips as streams of frames and of sound. Nothing here ever holds a whole picture track."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from core.errors import BadMedia
from core.media.clip import Frame, Grey, Luma, Picture, Sound
from core.media.probe import opened

_INTRA_ONLY = {"ffv1", "mjpeg", "prores"}
_BT601 = {5, 6}
_FULL_RANGE = 2
_SPARSE_THREADS = min(16, 2 * (os.cpu_count() or 1))
"""Decoding frames that stand apart: a thread whose frame is left out would keep its core idle."""
_PLANAR = {"gray", "nv12", "nv21", *(f"yuv{j}{kind}p" for j in ("", "j") for kind in (420, 422, 440, 444))}


def frames(path: Path, want: Callable[[int], bool] | None = None) -> Iterator[Frame]:
    """Decode the picture track, frame by frame; with `want`, only the frame numbers it accepts.

    Unwanted frames of intra-only codecs (the mezzanine) are skipped without decoding them.
    """
    with opened(path) as container:
        if not container.streams.video:
            return
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        fps = float(stream.average_rate or stream.guessed_rate)
        for index, frame in _numbered(container, stream, want):
            yield Frame(index, index / fps, _rgb(frame), bool(frame.key_frame))


def picture_sizes(path: Path) -> Iterator[int]:
    """Tell the size in bytes of each coded picture, in order, without decoding; none for codecs that are not intra-only."""
    with opened(path) as container:
        if not container.streams.video or container.streams.video[0].codec_context.name not in _INTRA_ONLY:
            return
        yield from (packet.size for packet in container.demux(container.streams.video[0]) if packet.size)


def greys(path: Path, *, per_second: float) -> Generator[Grey, None, None]:
    """Decode the brightness of the picture track, about `per_second` frames or as many as there are.

    Where there are far more, those that no other frame needs are not even decoded.
    """
    with opened(path) as container:
        if not container.streams.video:
            return
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if float(stream.average_rate or stream.guessed_rate) > 1.5 * per_second:
            stream.codec_context.skip_frame = "NONREF"
            stream.codec_context.thread_count = _SPARSE_THREADS
        first: float | None = None
        due = 0.0
        for frame in container.decode(stream):
            first = frame.time if first is None else first
            time = (frame.time or 0.0) - (first or 0.0)
            if time < due - 1e-6:
                continue
            due = max(due, time - 1 / per_second) + 1 / per_second
            yield grey(frame, time)


def grey(frame: Any, time: float) -> Grey:
    """Take the brightness of a decoded PyAV frame."""
    return Grey(time, _luma(frame), bool(frame.key_frame))


def sound(path: Path, *, rate: int | None = None, mono: bool = False) -> Iterator[Sound]:
    """Decode the sound track in blocks of about a second, (n, channels) float32, resampled when asked."""
    with opened(path) as container:
        if not container.streams.audio:
            return
        stream = container.streams.audio[0]
        target = rate or stream.codec_context.sample_rate
        layout = "mono" if mono else stream.codec_context.layout.name
        channels = 1 if mono else stream.codec_context.layout.nb_channels
        resampler = av.AudioResampler(format="flt", layout=layout, rate=target, frame_size=target)
        for frame in container.decode(stream):
            for block in resampler.resample(frame):
                yield _samples(block, channels)
        for block in resampler.resample(None):
            yield _samples(block, channels)


def whole_sound(path: Path, *, rate: int | None = None, mono: bool = False) -> Sound:
    """Decode the whole sound track, (n, channels) float32; a clip without sound gives (0, 1)."""
    blocks = list(sound(path, rate=rate, mono=mono))
    return np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)


def picture(path: Path) -> Picture:
    """Decode a still picture (PNG, JPEG, WebP) to (h, w, 3) uint8 RGB."""
    bgr = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise BadMedia("The picture cannot be read.")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _numbered(container: Any, stream: Any, want: Callable[[int], bool] | None) -> Iterator[tuple[int, Any]]:
    if want is None or stream.codec_context.name not in _INTRA_ONLY:
        yield from (
            (index, frame)
            for index, frame in enumerate(container.decode(stream))
            if want is None or want(index)
        )
        return
    stream.thread_type = "SLICE"
    index = 0
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if want(index):
            yield from ((index, frame) for frame in packet.decode())
        index += 1


def _samples(block: Any, channels: int) -> Sound:
    return np.asarray(block.to_ndarray(), np.float32).reshape(-1, channels)


def _luma(frame: Any) -> Luma:
    if frame.format.name not in _PLANAR:
        return np.asarray(frame.to_ndarray(format="gray"))
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].copy()  # the decoder uses the memory again


def _rgb(frame: Any) -> Picture:
    if frame.format.name.startswith(("bgr", "rgb", "gbr")):
        return np.asarray(frame.to_ndarray(format="rgb24"))
    source = "ITU601" if frame.colorspace in _BT601 else "ITU709"
    spread = "JPEG" if frame.color_range == _FULL_RANGE else "MPEG"
    converted = frame.reformat(
        format="rgb24",
        src_colorspace=source,
        dst_colorspace=source,
        src_color_range=spread,
        dst_color_range="JPEG",
    )
    return np.asarray(converted.to_ndarray())
