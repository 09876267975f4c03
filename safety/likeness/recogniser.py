"""From a face in a picture to a vector that can be compared: alignment, quality, embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from core import models
from core.finding import Model
from core.media.clip import Picture
from safety.likeness import convert
from safety.likeness.faces import Detector, Face, Points
from safety.likeness.network import Network

Vectors = npt.NDArray[np.float32]
"""Unit vectors, (n, 128) float32; the similarity of two faces is their dot product, -1..1."""

_SIDE = 150
# Where dlib's chip (150 px, 25 % padding) puts the eyes; nose and mouth follow from common proportions.
_CHIP = np.array(((47.7, 47.1), (100.3, 47.1), (74.0, 77.2), (52.2, 107.8), (95.8, 107.8)), np.float64)
_AGAIN = 256
_UPRIGHT = _CHIP * 0.8 + (_AGAIN - 0.8 * _SIDE) / 2


def similarity(points: Points, target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Fit rotation, uniform scale and shift from `points` to `target`, (2, 3) (Umeyama 1991)."""
    source = points.astype(np.float64)
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array((1.0, np.sign(np.linalg.det(u @ vt))))
    turn = (u * sign) @ vt * ((s * sign).sum() / max(float((a**2).sum()), 1e-9))
    return np.column_stack((turn, target.mean(0) - turn @ source.mean(0)))


def warp(picture: Picture, transform: npt.NDArray[np.float64], side: int) -> Picture:
    """Resample the square that `transform` maps to `side` x `side` pixels; outside is grey."""
    import cv2

    flags = cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(picture, transform, (side, side), flags=flags, borderValue=(117,) * 3), np.uint8
    )


def chip(picture: Picture, face: Face) -> Picture:
    """Cut out a face as the recogniser sees it, (150, 150, 3)."""
    return warp(picture, similarity(face.points, _CHIP), _SIDE)


def refined(picture: Picture, face: Face, detector: Detector, *, passes: int = 2) -> Face:
    """Find the landmarks again on the uprighted face, which restores recall on rolled heads."""
    points = face.points
    for _ in range(passes):
        transform = similarity(points, _UPRIGHT)
        found = detector.find(warp(picture, transform, _AGAIN), long_side=_AGAIN)
        near = [f for f in found if np.abs(f.points.mean(0) - _UPRIGHT.mean(0)).max() < _AGAIN / 8]
        if not near:
            break
        back = np.linalg.inv(np.vstack((transform, (0, 0, 1))))
        points = (near[0].points @ back[:2, :2].T + back[:2, 2]).astype(np.float32)
    return Face(face.box, face.score, points)


class Recogniser:
    """dlib's face ResNet on aligned chips."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @property
    def model(self) -> Model:
        """The network that was loaded."""
        return self._network.model

    def embed(self, picture: Picture, faces: list[Face]) -> Vectors:
        """Embed faces with their mirror images: unit vectors (n, 128)."""
        if not faces:
            return np.zeros((0, 128), np.float32)
        chips = np.stack([chip(picture, face) for face in faces])
        both = np.concatenate((chips, chips[:, :, ::-1])).transpose(0, 3, 1, 2).astype(np.float32)
        raw = self._network.run(both)["vector"]
        return unit(raw[: len(faces)] + raw[len(faces) :])


def unit(vectors: Vectors) -> Vectors:
    """Scale every row to length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)


def load(models_dir: Path, *, threads: int) -> Recogniser:
    """Load the recogniser; raises `ModelMissing` when its file is missing or altered."""
    path, model = models.converted(models_dir, convert.RECOGNISER)
    return Recogniser(Network(path, model, threads=threads))
