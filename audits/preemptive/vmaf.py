"""VMAF, PSNR and SSIM of a film against another, by the ffmpeg of the `imageio-ffmpeg` wheel: a bench tool only."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from core.media.clip import Luma, Picture


def installed() -> bool:
    """Say whether the wheel is there."""
    return find_spec("imageio_ffmpeg") is not None


def vmaf(film: Sequence[Picture], changed: Sequence[Picture], fps: Fraction) -> float:
    """Return the mean VMAF (v0.6.1) of `changed` against `film` over all frames, luma alone.

    No frames are left out: libvmaf's own mean over every third gave the first, without motion, too much weight.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _written(folder / "one.y4m", changed, fps)
        _written(folder / "two.y4m", film, fps)
        graph = f"libvmaf=n_threads=1:log_fmt=json:log_path={folder}/out.json"
        command = [
            import_module("imageio_ffmpeg").get_ffmpeg_exe(),
            "-i",
            str(folder / "one.y4m"),
            "-i",
            str(folder / "two.y4m"),
        ]
        command += ["-lavfi", graph, "-f", "null", "-"]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        return float(json.loads((folder / "out.json").read_text())["pooled_metrics"]["vmaf"]["mean"])


def luma(rgb: Picture) -> Luma:
    """Return the luma that an encoder sees: BT.709, limited range."""
    full = rgb.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return np.asarray(np.clip(16 + full * (219 / 255) + 0.5, 0, 255), np.uint8)


def psnr(one: Picture, other: Picture) -> float:
    """Return the PSNR of full-range luma (BT.601) in dB, 100 where both are the same."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    error = float(np.mean(((one.astype(np.float32) - other) @ weights) ** 2))
    return 10 * float(np.log10(255**2 / error)) if error else 100.0


def ssim(one: Picture, other: Picture) -> float:
    """Return the structural similarity of luma (Wang et al. 2004, Gaussian window of 1.5 pixels)."""
    a, b = (
        cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY).astype(np.float32) for rgb in (one, other)
    )

    def mean(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(plane, (11, 11), 1.5), np.float32)

    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    first, second = 6.5025, 58.5225
    top = (2 * ma * mb + first) * (2 * both + second)
    return float(np.mean(top / ((ma * ma + mb * mb + first) * (va + vb + second))))


def _written(path: Path, film: Sequence[Picture], fps: Fraction) -> None:
    height, width = (side - side % 2 for side in film[0].shape[:2])
    colour = np.full(height * width // 2, 128, np.uint8).tobytes()
    with path.open("wb") as file:
        rate = f"{fps.numerator}:{fps.denominator}"
        file.write(f"YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C420jpeg\n".encode())
        for rgb in film:
            file.write(b"FRAME\n")
            file.write(np.ascontiguousarray(luma(rgb)[:height, :width]).tobytes())
            file.write(colour)
