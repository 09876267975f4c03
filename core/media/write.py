"""Write clips: the lossless mezzanine between steps, and the one lossy delivery encode.

Both appear under their name whole, or not at all.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from core.errors import BadMedia
from core.media.clip import Clip, Picture, Sound

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
BT709 = 1
LIMITED_RANGE = 1
AAC_FRAME = 1024


class _Writer(ABC):
    """Feed frames and sound in any order; sound given before or beside the picture is interleaved."""

    container_format: str
    picture_codec: str
    sound_codec: str
    sound_format: str
    sound_frame: int | None = None

    def __init__(
        self,
        path: Path,
        *,
        width: int | None = None,
        height: int | None = None,
        fps: Fraction | int | None = None,
        rate: int | None = None,
        channels: int | None = None,
    ) -> None:
        if width is None and rate is None:
            raise BadMedia("A clip needs a picture or a sound.")
        self.path = path
        self._scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._container = av.open(
            str(self._scratch), "w", format=self.container_format, options=self._container_options()
        )
        self._fps = Fraction(fps or 24)
        self._picture = self._open_picture(width, height) if width and height else None
        self._sound = self._open_sound(rate, channels or 2) if rate else None
        self._frames = 0
        self._samples = 0

    @classmethod
    def like(cls, path: Path, clip: Clip, *, picture: bool = True, **options: Any) -> Self:
        """Open a writer with the tracks of `clip`, with or without its picture; `options` are the class's own."""
        video, audio = clip.video if picture else None, clip.audio
        return cls(
            path,
            width=video.width if video else None,
            height=video.height if video else None,
            fps=video.fps if video else None,
            rate=audio.rate if audio else None,
            channels=audio.channels if audio else None,
            **options,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._container.close()
            if kind is not None:
                self._scratch.unlink(missing_ok=True)
        # A crash before this line leaves only a scratch file that nothing reads.
        if kind is None:
            self._scratch.replace(self.path)

    def frame(self, rgb: Picture) -> None:
        """Append one frame, (h, w, 3) uint8 RGB."""
        if self._picture is None:
            raise BadMedia("This clip was opened without a picture.")
        frame = self._converted(rgb)
        frame.pts = self._frames
        frame.time_base = 1 / self._fps
        self._frames += 1
        self._mux(self._picture.encode(frame))

    def sound(self, samples: Sound) -> None:
        """Append sound, (n, channels) float32."""
        if self._sound is None:
            raise BadMedia("This clip was opened without sound.")
        channels = self._sound.codec_context.layout.nb_channels
        if samples.ndim != 2 or samples.shape[1] != channels:
            raise BadMedia(f"Expected sound of shape (n, {channels}), got {samples.shape}.")
        packed = np.ascontiguousarray(samples, dtype=np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=self._sound.codec_context.layout.name)
        frame.sample_rate = self._sound.codec_context.sample_rate
        frame.pts = self._samples
        frame.time_base = Fraction(1, frame.sample_rate)
        self._samples += samples.shape[0]
        for part in self._resampler.resample(frame):
            self._mux(self._sound.encode(part))

    def _finish(self) -> None:
        if self._sound is not None:
            for part in self._resampler.resample(None):
                self._mux(self._sound.encode(part))
            self._mux(self._sound.encode(None))
        if self._picture is not None:
            self._mux(self._picture.encode(None))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            self._container.mux(packet)

    @abstractmethod
    def _container_options(self) -> dict[str, str]: ...

    @abstractmethod
    def _converted(self, rgb: Picture) -> Any: ...

    @abstractmethod
    def _picture_options(self) -> dict[str, str]: ...

    @abstractmethod
    def _pixel_format(self) -> str: ...

    def _open_picture(self, width: int, height: int) -> Any:
        stream: Any = self._container.add_stream(
            self.picture_codec, rate=self._fps, options=self._picture_options()
        )
        stream.width, stream.height, stream.pix_fmt = width, height, self._pixel_format()
        stream.codec_context.time_base = 1 / self._fps
        stream.codec_context.thread_count = 0
        return stream

    def _open_sound(self, rate: int, channels: int) -> Any:
        layout = LAYOUTS.get(channels)
        if layout is None:
            raise BadMedia(f"{channels} channels are not supported; use 1, 2, 6 or 8.")
        stream: Any = self._container.add_stream(self.sound_codec, rate=rate, layout=layout)
        stream.codec_context.format = self.sound_format
        self._resampler = av.AudioResampler(
            format=self.sound_format, layout=layout, rate=rate, frame_size=self.sound_frame
        )
        return stream


class Mezzanine(_Writer):
    """Write a lossless clip: FFV1 `bgr0` and 32-bit float PCM in Matroska, both exact."""

    container_format = "matroska"
    picture_codec = "ffv1"
    sound_codec = "pcm_f32le"
    sound_format = "flt"

    def _container_options(self) -> dict[str, str]:
        # Sound may come late; do not hoard lossless frames in memory while waiting for it.
        return {"max_interleave_delta": "1000000"}

    def _picture_options(self) -> dict[str, str]:
        return {"level": "3", "slices": "4", "g": "1", "slicecrc": "1", "coder": "0"}

    def _pixel_format(self) -> str:
        return "bgr0"

    def _converted(self, rgb: Picture) -> Any:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        return frame.reformat(format="bgr0")


class Delivery(_Writer):
    """Write the file that leaves: H.264 and AAC in a fast-start MP4 tagged BT.709, or AAC alone.

    `crf` and `preset` are x264's; odd sides are extended by one pixel; `audio_bitrate` is in bit/s. `tags`
    go into the container's metadata under their own names.
    """

    container_format = "mp4"
    picture_codec = "libx264"
    sound_codec = "aac"
    sound_format = "fltp"
    sound_frame = AAC_FRAME

    def __init__(
        self,
        path: Path,
        *,
        width: int | None = None,
        height: int | None = None,
        fps: Fraction | int | None = None,
        rate: int | None = None,
        channels: int | None = None,
        crf: int = 18,
        preset: str = "medium",
        audio_bitrate: int = 192_000,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self._crf, self._preset, self._audio_bitrate = crf, preset, audio_bitrate
        self._tags = dict(tags or {})
        super().__init__(path, width=width, height=height, fps=fps, rate=rate, channels=channels)
        self._container.metadata.update(self._tags)

    def _container_options(self) -> dict[str, str]:
        # without the second flag only the names that QuickTime knows are written
        return {"movflags": "+faststart+use_metadata_tags" if self._tags else "+faststart"}

    def _picture_options(self) -> dict[str, str]:
        return {"crf": str(self._crf), "preset": self._preset}

    def _pixel_format(self) -> str:
        return "yuv420p"

    def _open_picture(self, width: int, height: int) -> Any:
        stream = super()._open_picture(width + width % 2, height + height % 2)
        context = stream.codec_context
        context.color_range, context.colorspace = LIMITED_RANGE, BT709
        context.color_primaries, context.color_trc = BT709, BT709
        return stream

    def _open_sound(self, rate: int, channels: int) -> Any:
        stream = super()._open_sound(rate, channels)
        stream.codec_context.bit_rate = self._audio_bitrate
        return stream

    def _converted(self, rgb: Picture) -> Any:
        height, width = rgb.shape[:2]
        if height % 2 or width % 2:
            rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
