"""The tiers of face models: which detector and recogniser, and how alike is alike enough with them.

embedded: everything comes in wheels. standard: YuNet and SFace, downloaded once and pinned by digest. own: the
operator's recogniser, an ArcFace-style ONNX network (112x112 R'G'B', 512 numbers), beside the standard detector or,
where that was not downloaded, the embedded one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core import models
from core.errors import ModelMissing
from core.finding import Model
from safety.likeness import calibration, convert
from safety.likeness.calibration import Calibration
from safety.likeness.detectors import YuNet
from safety.likeness.faces import Detector
from safety.likeness.network import Network
from safety.likeness.recogniser import ARCFACE, DLIB, SFACE, Recogniser

TIERS: tuple[Literal["embedded", "standard", "own"], ...] = ("embedded", "standard", "own")
OWN = "own-recogniser.onnx"

EMBEDDED_CALIBRATION = Calibration(
    impostors=((1e-5, 0.9523), (1e-4, 0.9421), (1e-3, 0.9290)),
    centroid=0.0105,
    measured="LFW folds 1-2",
)
SFACE_PROVISIONAL = Calibration(
    impostors=((1e-6, 0.56), (1e-5, 0.50), (1e-4, 0.44), (1e-3, 0.37)),
    centroid=0.05,
    measured="not measured here: after published thresholds of networks of its kind",
    provisional=True,
)


@dataclass(frozen=True, slots=True, eq=False)
class Tools:
    """The models of one tier, loaded."""

    tier: str
    detector: Detector
    recogniser: Recogniser
    calibration: Calibration


def load(models_dir: Path, tier: str, *, threads: int) -> Tools:
    """Load the models of a tier; `ModelMissing` when a file is missing or altered, or there is no such tier."""
    if tier == "embedded":
        path, model = models.converted(models_dir, convert.RECOGNISER)
        recogniser = Recogniser(Network(path, model, threads=threads), DLIB)
        return Tools(tier, _embedded_detector(models_dir, threads), recogniser, EMBEDDED_CALIBRATION)
    if tier == "standard":
        return _standard(models_dir, threads)
    if tier == "own":
        return _own(models_dir, threads)
    raise ModelMissing(f"There is no tier {tier!r} of face models; there are: {', '.join(TIERS)}.")


def calibration_file(models_dir: Path, tier: str) -> Path:
    """Say where the calibration of a tier lies that was measured by the operator."""
    return models_dir / f"likeness-{tier}.calibration.json"


def _standard(models_dir: Path, threads: int) -> Tools:
    path, model = _downloaded("sface", models_dir)
    recogniser = Recogniser(Network(path, model, threads=threads), SFACE)
    file = calibration_file(models_dir, "standard")
    measured = calibration.read(file, model.sha256) if file.exists() else SFACE_PROVISIONAL
    return Tools("standard", _standard_detector(models_dir, threads), recogniser, measured)


def _own(models_dir: Path, threads: int) -> Tools:
    path = models_dir / OWN
    if not path.is_file():
        raise ModelMissing(f"the operator's recogniser is missing at {path}")
    model = Model(OWN, models.file_sha256(path))
    measured = calibration.read(calibration_file(models_dir, "own"), model.sha256)
    pulled = (models_dir / Path(models.registry()["yunet"].url).name).is_file()
    detector = (_standard_detector if pulled else _embedded_detector)(models_dir, threads)
    return Tools("own", detector, Recogniser(Network(path, model, threads=threads), ARCFACE), measured)


def _embedded_detector(models_dir: Path, threads: int) -> Detector:
    path, model = models.converted(models_dir, convert.DETECTOR)
    return YuNet(Network(path, model, threads=threads))


def _standard_detector(models_dir: Path, threads: int) -> Detector:
    path, model = _downloaded("yunet", models_dir)
    return YuNet(Network(path, model, threads=threads))


def _downloaded(name: str, models_dir: Path) -> tuple[Path, Model]:
    return models.downloaded_file(name, models_dir), Model(name, models.registry()[name].sha256)
