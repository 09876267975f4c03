"""What the world does to a picture after delivery, as the video watermark's grid applies it.

A `Cell` bends decoded frames, may drop or blend some of them, and encodes the rest with a codec of its own. The
grid follows Video Seal's published protocol (crop and resize by sides, perspective and colours by its parameters)
and adds temporal, letterbox, caption and filmed-screen cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np

from core.media import picture_codecs
from core.media.clip import Grey, Picture

Bend = Callable[[Picture, np.random.Generator], Picture]
Film = list[Picture]


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of change and the share of clips that must survive it.

    `before` encodes (H.264, that CRF) ahead of the bend; `codec` None hands the bent frames over unencoded.
    `retime` picks frames, `rate` multiplies the frame rate of what is left.
    """

    name: str
    reach: float
    bend: Bend | None = None
    codec: str | None = "libx264"
    crf: int = 23
    before: int | None = None
    retime: Callable[[Film], Film] | None = None
    rate: float = 1.0


def attacked(film: Film, fps: Fraction, cell: Cell, dice: np.random.Generator) -> Iterator[Grey]:
    """Apply a cell to delivered frames and yield what a detector would decode."""
    if cell.before is not None:
        film = list(coded(film, fps, "libx264", cell.before))
    if cell.retime is not None:
        film, fps = cell.retime(film), fps * Fraction(cell.rate).limit_denominator(100)
    if cell.bend is not None:
        seed = int(dice.integers(1 << 32))  # every frame is bent alike
        film = [np.ascontiguousarray(cell.bend(rgb, np.random.default_rng(seed))) for rgb in film]
    if cell.codec is None:
        yield from (
            Grey(float(n / fps), np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8))
            for n, rgb in enumerate(film)
        )
        return
    yield from picture_codecs.greys(picture_codecs.encoded(film, fps, cell.codec, cell.crf), fps)


def coded(film: Sequence[Picture], fps: Fraction, codec: str, crf: int) -> Iterator[Picture]:
    """Encode frames and decode them again."""
    return picture_codecs.pictures(picture_codecs.encoded(film, fps, codec, crf))


def _resized(rgb: Picture, width: int, height: int) -> Picture:
    method = cv2.INTER_AREA if height < rgb.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (max(2, width), max(2, height)), interpolation=method), np.uint8)


def _scaled(share: float) -> Bend:
    return lambda rgb, _: _resized(rgb, round(rgb.shape[1] * share), round(rgb.shape[0] * share))


def _high(height: int) -> Bend:
    return lambda rgb, _: _resized(rgb, round(rgb.shape[1] * height / rgb.shape[0] / 2) * 2, height)


def _cropped(share: float, *, back: bool = False) -> Bend:
    def crop(rgb: Picture, dice: np.random.Generator) -> Picture:
        height, width = rgb.shape[:2]
        high, wide = round(height * share), round(width * share)
        top, left = int(dice.integers(height - high + 1)), int(dice.integers(width - wide + 1))
        part = rgb[top : top + high, left : left + wide]
        return _resized(part, width, height) if back else part

    return crop


def _turned(degrees: float) -> Bend:
    def turn(rgb: Picture, _: np.random.Generator) -> Picture:
        if degrees % 90 == 0:
            return np.rot90(rgb, round(degrees / 90))
        height, width = rgb.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        return np.asarray(cv2.warpAffine(rgb, matrix, (width, height)), np.uint8)

    return turn


def _tilted(distortion: float) -> Bend:
    """Move each corner inwards by up to `distortion` of half a side, as torchvision's random perspective does."""

    def tilt(rgb: Picture, dice: np.random.Generator) -> Picture:
        height, width = rgb.shape[:2]
        corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
        inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * dice.random((4, 2))
        moved = corners + inwards * distortion * np.array([width, height]) / 2
        matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
        return np.asarray(cv2.warpPerspective(rgb, matrix, (width, height)), np.uint8)

    return tilt


def _lit(gain: float = 1.0, around: float = 0.0, gamma: float = 1.0) -> Bend:
    levels = np.arange(256) / 255.0
    table = np.clip(255 * (around + gain * (levels**gamma - around)) + 0.5, 0, 255).astype(np.uint8)
    return lambda rgb, _: table[rgb]


def _coloured(*, saturation: float = 1.0, hue: float = 0.0) -> Bend:
    def colour(rgb: Picture, _: np.random.Generator) -> Picture:
        hsv = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2HSV_FULL)
        hsv[..., 0] += np.uint8(round(256 * hue) % 256)
        turned = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL).astype(np.float32)
        grey = turned @ np.array([0.299, 0.587, 0.114], np.float32)
        mixed = grey[..., None] + saturation * (turned - grey[..., None])
        return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)

    return colour


def _blurred(side: int) -> Bend:
    return lambda rgb, _: np.asarray(cv2.GaussianBlur(rgb, (side, side), 0), np.uint8)


def _noisy(sigma: float) -> Bend:
    def noisy(rgb: Picture, dice: np.random.Generator) -> Picture:
        noise = dice.standard_normal(rgb.shape, np.float32) * np.float32(sigma)
        return np.asarray(np.clip(rgb + noise + 0.5, 0, 255), np.uint8)

    return noisy


def _boxed(rgb: Picture, _: np.random.Generator) -> Picture:
    side = rgb.shape[0] // 8
    return np.asarray(cv2.copyMakeBorder(rgb, side, side, 0, 0, cv2.BORDER_CONSTANT), np.uint8)


def _captioned(rgb: Picture, _: np.random.Generator) -> Picture:
    out = np.ascontiguousarray(rgb).copy()
    height, width = out.shape[:2]
    size = height / 500
    for row, text in enumerate(("and then nobody said anything", "until the train had gone")):
        place = width // 6, round(height * (0.85 + 0.08 * row))
        cv2.putText(out, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), max(2, height // 120))
        cv2.putText(out, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), max(1, height // 240))
    cv2.circle(out, (width - height // 8, height // 8), height // 14, (230, 40, 40), -1)
    return np.asarray(out, np.uint8)


def _filmed(rgb: Picture, dice: np.random.Generator) -> Picture:
    """Film a screen: perspective, moire of two grids, gamma."""
    seen = _tilted(0.1)(rgb, dice)
    rows, columns = np.arange(seen.shape[0])[:, None], np.arange(seen.shape[1])[None]
    moire = 1 + 0.03 * np.sin(2 * np.pi * (columns / 5.3 + rows / 31)) * np.sin(2 * np.pi * rows / 4.7)
    lit = 255 * (seen / 255.0) ** 1.2 * moire[..., None]
    return np.asarray(np.clip(lit + 0.5, 0, 255), np.uint8)


def _blended(film: Film) -> Film:
    return [np.asarray(cv2.addWeighted(one, 0.5, other, 0.5, 0), np.uint8) for one, other in pairwise(film)]


def _resampled(ratio: float) -> Callable[[Film], Film]:
    return lambda film: [film[min(int(n / ratio), len(film) - 1)] for n in range(int(len(film) * ratio))]


def _codecs() -> Iterator[Cell]:
    yield Cell("delivery alone", 0.99, codec=None)
    for codec, name in (("libx264", "H.264"), ("libx265", "H.265")):
        yield from (Cell(f"{name} CRF {crf}", 0.99, codec=codec, crf=crf) for crf in (23, 28, 35))
    yield Cell("AV1 CRF 35", 0.99, codec="libsvtav1", crf=35)
    yield Cell("VP9 CRF 35", 0.99, codec="libvpx-vp9", crf=35)
    yield Cell("JPEG q40 frames", 0.99, bend=_jpeg, codec=None)
    yield Cell("H.264 CRF 40", 0.95, crf=40)
    yield Cell("H.264 CRF 45", 0.50, crf=45)
    for crf, reach in ((23, 0.98), (30, 0.95), (40, 0.60)):
        yield Cell(f"CRF {crf}, crop .71, brightness .5", reach, bend=_combined, before=crf, codec=None)


def _jpeg(rgb: Picture, _: np.random.Generator) -> Picture:
    data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    return np.asarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1], np.uint8)


def _combined(rgb: Picture, dice: np.random.Generator) -> Picture:
    return _lit(0.5)(_cropped(0.71)(rgb, dice), dice)


def _shapes() -> Iterator[Cell]:
    for share in (0.9, 0.75, 0.55, 0.5):
        yield Cell(f"crop {share}", 0.98, bend=_cropped(share))
        yield Cell(f"crop {share}, scaled back", 0.98, bend=_cropped(share, back=True))
    yield from (Cell(f"resize {share}", 0.98, bend=_scaled(share)) for share in (0.5, 0.55, 0.71))
    yield Cell("240p, CRF 28", 0.90, bend=_high(240), crf=28)
    yield from (Cell(f"rotate {degrees}", 0.98, bend=_turned(degrees)) for degrees in (5, 10, 90, 180))
    yield Cell("mirrored", 0.98, bend=lambda rgb, _: rgb[:, ::-1])
    yield Cell(
        "squeezed to 3:4", 0.98, bend=lambda rgb, _: _resized(rgb, rgb.shape[1] * 3 // 4, rgb.shape[0])
    )
    yield Cell("letterbox", 0.98, bend=_boxed)
    yield Cell("subtitles and logo", 0.98, bend=_captioned)
    for distortion, reach in ((0.1, 0.98), (0.25, 0.90), (0.5, 0.50)):
        yield Cell(f"perspective {distortion}", reach, bend=_tilted(distortion))
    yield Cell("filmed from a screen", 0.90, bend=_filmed, crf=30)


def _looks() -> Iterator[Cell]:
    bends = {
        "brightness .5": _lit(0.5),
        "brightness 1.5": _lit(1.5),
        "contrast .5": _lit(0.5, 0.45),
        "contrast 1.5": _lit(1.5, 0.45),
        "saturation .5": _coloured(saturation=0.5),
        "saturation 1.5": _coloured(saturation=1.5),
        "gamma .6": _lit(gamma=0.6),
        "gamma 1.8": _lit(gamma=1.8),
        "hue .25": _coloured(hue=0.25),
        "grey": _coloured(saturation=0.0),
        "blur 9": _blurred(9),
        "blur 17": _blurred(17),
        "noise 10": _noisy(10.0),
    }
    yield from (Cell(name, 0.98, bend=bend) for name, bend in bends.items())


def _times() -> Iterator[Cell]:
    yield Cell(
        "1 s cut out", 0.99, retime=lambda film: film[len(film) // 4 : len(film) // 4 + len(film) // 2]
    )
    yield Cell("every second frame dropped", 0.99, retime=lambda film: film[::2], rate=0.5)
    yield Cell("24 to 15 frames a second", 0.99, retime=_resampled(0.625), rate=0.625)
    yield Cell("24 to 30 frames a second", 0.99, retime=_resampled(1.25), rate=1.25)
    yield Cell("half speed", 0.99, rate=0.5, retime=list)
    yield Cell("double speed", 0.99, rate=2.0, retime=list)
    yield Cell("frames blended", 0.99, retime=_blended)


def grid() -> tuple[Cell, ...]:
    """Return every cell, codecs first."""
    return (*_codecs(), *_shapes(), *_looks(), *_times())
