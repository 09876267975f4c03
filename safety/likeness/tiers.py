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
from safety.likeness import calibration, cohort, convert
from safety.likeness.calibration import Calibration
from safety.likeness.cohort import Cohort
from safety.likeness.detectors import YuNet
from safety.likeness.faces import Detector
from safety.likeness.network import Network
from safety.likeness.recogniser import ARCFACE, DLIB, SFACE, Form, Recogniser

TIERS: tuple[Literal["embedded", "standard", "own"], ...] = ("embedded", "standard", "own")
OWN = "own-recogniser.onnx"

EMBEDDED_CALIBRATION = Calibration(
    impostors=((1e-5, 0.9536), (1e-4, 0.9442), (1e-3, 0.9313)),
    centroid=0.0100,
    measured="1.25 million pairs of strangers in LFW folds 1-2",
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
    cohort: Cohort


def load(models_dir: Path, tier: str, *, threads: int) -> Tools:
    """Load the models of a tier; `ModelMissing` when a file is missing or altered, or there is no such tier."""
    detector, recogniser = networks(models_dir, tier, threads=threads)
    sha256, file = recogniser.model.sha256, calibration_file(models_dir, tier)
    if tier == "embedded":
        return Tools(tier, detector, recogniser, EMBEDDED_CALIBRATION, cohort.embedded())
    if tier == "standard" and not file.exists():
        return Tools(tier, detector, recogniser, SFACE_PROVISIONAL, Cohort())
    return Tools(tier, detector, recogniser, calibration.read(file, sha256), Cohort())


def networks(models_dir: Path, tier: str, *, threads: int) -> tuple[Detector, Recogniser]:
    """Load the networks of a tier without the numbers that are measured with them."""
    path, model, form = _recogniser(models_dir, tier)
    recogniser = Recogniser(Network(path, model, threads=threads), form)
    pulled = tier == "standard" or (tier == "own" and _yunet_file(models_dir).is_file())
    path, model = (
        _downloaded("yunet", models_dir) if pulled else _converted("yunet-bsd", models_dir, convert.DETECTOR)
    )
    return YuNet(Network(path, model, threads=threads)), recogniser


def calibration_file(models_dir: Path, tier: str) -> Path:
    """Say where the calibration of a tier lies that was measured by the operator."""
    return models_dir / f"likeness-{tier}.calibration.json"


def _converted(name: str, models_dir: Path, file_name: str) -> tuple[Path, Model]:
    return models.converted(models_dir, file_name, models.registry()[name].sha256)


def _recogniser(models_dir: Path, tier: str) -> tuple[Path, Model, Form]:
    if tier == "embedded":
        return *_converted("dlib-face-resnet", models_dir, convert.RECOGNISER), DLIB
    if tier == "standard":
        return *_downloaded("sface", models_dir), SFACE
    if tier != "own":
        raise ModelMissing(f"There is no tier {tier!r} of face models; there are: {', '.join(TIERS)}.")
    path = models_dir / OWN
    if not path.is_file():
        raise ModelMissing(f"the operator's recogniser is missing at {path}")
    return path, Model(OWN, models.file_sha256(path)), ARCFACE


def _yunet_file(models_dir: Path) -> Path:
    return models_dir / Path(models.registry()["yunet"].url).name


def _downloaded(name: str, models_dir: Path) -> tuple[Path, Model]:
    return models.downloaded_file(name, models_dir), Model(name, models.registry()[name].sha256)
