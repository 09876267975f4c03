"""Encode pictures in memory with other people's codecs, and decode them again: what audits put marks through."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from core.media.clip import Grey, Picture
from core.media.read import grey

_AVX_512F = 13
"""OpenCV's number for the instructions, which its Python module does not name."""
_REPEATABLE = {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(_AVX_512F) else {}
"""With its code for AVX-512 (its macroblock tree), x264 gave other bytes for the same frames from run to run."""


def encoded(film: Sequence[Picture], fps: Fraction, codec: str, crf: int) -> bytes:
    """Encode frames at a delivery's pace (x264 and x265 `medium`), one thread, as a file's bytes."""
    height, width = film[0].shape[:2]
    out = io.BytesIO()
    with av.open(out, "w", format="webm" if "vpx" in codec else "mp4" if codec != "mjpeg" else "avi") as box:
        stream: Any = box.add_stream(codec, rate=fps, options=_options(codec, crf))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        for rgb in film:
            padded = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt, dst_colorspace="ITU709")
            for packet in stream.encode(frame):
                box.mux(packet)
        for packet in stream.encode(None):
            box.mux(packet)
    return out.getvalue()


def _options(codec: str, crf: int) -> dict[str, str]:
    quality = {"crf": str(crf)}
    return {
        "libx264": {"preset": "medium", **_REPEATABLE, **quality},
        "libx265": {"preset": "medium", "x265-params": "log-level=none", **quality},
        "libsvtav1": {"preset": "8", "svtav1-params": "fast-decode=0", **quality},
        "libvpx-vp9": {"b:v": "0", "cpu-used": "4", "deadline": "good", **quality},
        "mjpeg": {"q": str(crf), "qmin": str(crf), "qmax": str(crf)},
    }[codec]


def greys(data: bytes, fps: Fraction) -> Iterator[Grey]:
    """Decode the brightness of such a file, its frames timed by `fps`."""
    with av.open(io.BytesIO(data), "r") as box:
        for number, frame in enumerate(box.decode(video=0)):
            yield grey(frame, float(number / fps))


def pictures(data: bytes) -> Iterator[Picture]:
    """Decode the frames of such a file, (h, w, 3)."""
    with av.open(io.BytesIO(data), "r") as box:
        for frame in box.decode(video=0):
            yield np.asarray(
                frame.to_ndarray(format="rgb24", src_colorspace="ITU709", dst_colorspace="ITU709")
            )
