"""Each tier is loaded by the code that production runs; recognisers are tiny networks with the real interface."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import models
from core.errors import ModelMissing, Unavailable
from core.finding import Model
from core.media.clip import Picture
from generation.engines.persona import Persona, portrait
from safety.likeness import build, calibration, tiers
from safety.likeness.calibration import Calibration
from safety.likeness.graph import Graph
from safety.likeness.network import Network
from safety.likeness.recogniser import ARCFACE, SFACE, Form, Recogniser

YUNET = "face_detection_yunet_2026may.onnx"
SFACE_FILE = "face_recognition_sface_2021dec.onnx"
LOOSE = Calibration(impostors=((1e-5, 0.6), (1e-3, 0.4)), centroid=0.02, measured="a test")


def tiny_recogniser(width: int, *, side: int = 112) -> bytes:
    """A network with the interface of SFace or ArcFace: averages 16 x 16 areas, then projects to `width`."""
    rng = np.random.default_rng(width)
    graph = Graph()
    x = graph.node("AveragePool", "data", kernel_shape=[16, 16], strides=[16, 16])
    x = graph.node("Flatten", x)
    areas = 3 * (side // 16) ** 2
    weights = rng.standard_normal((areas, width)).astype(np.float32)
    graph.named(graph.node("MatMul", x, graph.constant(weights)), "fc1")
    return graph.content("tiny", {"data": ["n", 3, side, side]}, {"fc1": ["n", width]})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build(folder)
    return folder


def beside(made: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in made.iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def pinned(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Let the registry promise `content` as SFace, the only thing about it that is not real here."""
    entries = dict(models.registry())
    entries["sface"] = replace(entries["sface"], sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(models, "registry", lambda: entries)


def face() -> Picture:
    return portrait(Persona(11), size=256)


def test_the_standard_tier_loads_yunet_and_a_recogniser_of_sfaces_form(
    made: Path, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, content = beside(made, tmp_path / "models"), tiny_recogniser(128)
    (folder / YUNET).symlink_to(shared_data / "models" / YUNET)
    with pytest.raises(ModelMissing, match="sface"):
        tiers.load(folder, "standard", threads=1)
    (folder / SFACE_FILE).write_bytes(content)
    with pytest.raises(ModelMissing, match="digest"):
        tiers.load(folder, "standard", threads=1)
    pinned(monkeypatch, content)
    tools = tiers.load(folder, "standard", threads=1)
    assert (tools.tier, tools.detector.model.name, tools.recogniser.model.name) == (
        "standard",
        "yunet",
        "sface",
    )
    assert tools.calibration.provisional
    (found, *_) = tools.detector.find(face(), long_side=640)
    ours = tiers.load(folder, "embedded", threads=1).detector.find(face(), long_side=640)[0]
    assert np.abs(found.points - ours.points).max() < 2
    vectors = tools.recogniser.embed(face(), [found, found])
    assert vectors.shape == (2, 128)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_measured_calibration_replaces_the_provisional_one(
    made: Path, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, content = beside(made, tmp_path / "models"), tiny_recogniser(128)
    (folder / YUNET).symlink_to(shared_data / "models" / YUNET)
    (folder / SFACE_FILE).write_bytes(content)
    pinned(monkeypatch, content)
    file = tiers.calibration_file(folder, "standard")
    file.write_text(calibration.written(LOOSE, hashlib.sha256(content).hexdigest()))
    assert tiers.load(folder, "standard", threads=1).calibration == LOOSE
    file.write_text(calibration.written(LOOSE, "0" * 64))
    with pytest.raises(ModelMissing, match="another recogniser"):
        tiers.load(folder, "standard", threads=1)


def test_an_operators_own_recogniser_needs_its_own_calibration(made: Path, tmp_path: Path) -> None:
    folder, content = beside(made, tmp_path / "models"), tiny_recogniser(512)
    with pytest.raises(ModelMissing, match="operator"):
        tiers.load(folder, "own", threads=1)
    (folder / tiers.OWN).write_bytes(content)
    with pytest.raises(ModelMissing, match="calibration"):
        tiers.load(folder, "own", threads=1)
    sha256 = hashlib.sha256(content).hexdigest()
    tiers.calibration_file(folder, "own").write_text(calibration.written(LOOSE, sha256))
    tools = tiers.load(folder, "own", threads=1)
    assert (tools.recogniser.model, tools.calibration) == (Model(tiers.OWN, sha256), LOOSE)
    (found, *_) = tools.detector.find(face(), long_side=640)
    assert tools.recogniser.embed(face(), [found]).shape == (1, 512)


@pytest.mark.parametrize("content", [tiny_recogniser(128), tiny_recogniser(512, side=160), b"no network"])
def test_a_recogniser_of_another_form_fails_closed(tmp_path: Path, content: bytes, made: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    (found, *_) = tiers.load(made, "embedded", threads=1).detector.find(face(), long_side=640)

    def embedded(form: Form) -> tuple[int, ...]:
        net = Network(tmp_path / "net.onnx", Model("net", "0" * 64), threads=1)
        return Recogniser(net, form).embed(face(), [found]).shape

    with pytest.raises((ModelMissing, Unavailable)):
        embedded(ARCFACE)
    (tmp_path / "net.onnx").write_bytes(tiny_recogniser(128))
    assert embedded(SFACE) == (1, 128), "the control"


def test_there_is_no_other_tier(made: Path) -> None:
    with pytest.raises(ModelMissing, match="no tier"):
        tiers.load(made, "best", threads=1)
