"""From a face in a picture to a vector that can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Model
from core.media.clip import Picture
from safety.likeness.faces import Face
from safety.likeness.geometry import SIDE, UPRIGHT, jittered, similarity, warp
from safety.likeness.network import Network, Values

Vectors = npt.NDArray[np.float32]
"""Unit vectors, (n, d) float32; the similarity of two faces is their dot product, -1..1."""

Crops = tuple[tuple[float, float, float], ...]

_ARCFACE = np.array(
    ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)),
    np.float64,
)


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What a recogniser wants to see: R'G'B' chips of `side` pixels with the landmarks at `target` (5, 2).

    Pixels 0-255 become (value - mean) / scale. `crops` are slightly different cuts, (scale, shift down in pixels,
    roll in degrees), whose vectors are averaged with those of their mirror images. `width` is the vector's length.
    """

    side: int
    target: npt.NDArray[np.float64]
    width: int
    mean: float = 0.0
    scale: float = 1.0
    crops: Crops = ((1.0, 0.0, 0.0),)


DLIB = Form(SIDE, UPRIGHT, 128, crops=((1.0, -4.0, 0.0), (1.05, -3.0, 0.0)))
"""dlib's face ResNet: dnn_face_recognition_ex.cpp; the crops were chosen on LFW fold 1."""
SFACE = Form(112, _ARCFACE, 128)
"""Zhong et al. 2021, "SFace": opencv_zoo's file subtracts and scales by itself."""
ARCFACE = Form(112, _ARCFACE, 512, mean=127.5, scale=127.5)
"""Deng et al. 2019, "ArcFace": the alignment and the range of pixels that its descendants keep to."""


class Recogniser:
    """A recognition network with the form that it wants faces in."""

    def __init__(self, network: Network, form: Form) -> None:
        self._network, self._form = network, form
        self._targets = [
            target * form.side / SIDE for target in jittered(form.target * SIDE / form.side, form.crops)
        ]

    @property
    def model(self) -> Model:
        """The network that was loaded."""
        return self._network.model

    @property
    def width(self) -> int:
        """The length of a vector."""
        return self._form.width

    def embed(self, picture: Picture, faces: list[Face]) -> Vectors:
        """Embed faces with their mirror images: unit vectors (n, width)."""
        rows = [self._one(picture, face) for face in faces]
        return np.concatenate(rows) if rows else np.zeros((0, self.width), np.float32)

    def _one(self, picture: Picture, face: Face) -> Vectors:
        side = self._form.side
        cuts = [warp(picture, similarity(face.points, target), side) for target in self._targets]
        both = np.stack([*cuts, *(cut[:, ::-1] for cut in cuts)]).transpose(0, 3, 1, 2)
        pixels = (both.astype(np.float32) - self._form.mean) / self._form.scale
        return unit(self._checked(pixels).sum(0, keepdims=True))

    def _checked(self, pixels: Values) -> Values:
        raw = next(iter(self._network.run(pixels).values()))
        if raw.shape != (len(pixels), self.width) or not np.isfinite(raw).all():
            raise ModelMissing(f"{self.model.name} does not give vectors of {self.width} numbers")
        return raw


def unit(vectors: Vectors) -> Vectors:
    """Scale every row to length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)
