from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core import models
from core.errors import ModelMissing
from safety.likeness import build, dlib_weights
from safety.likeness.convert import RECOGNISER


@pytest.fixture(scope="module")
def data() -> bytes:
    return models.wheel_file("dlib-face-resnet").read_bytes()


def quantised(folder: Path) -> dict[str, np.ndarray]:
    """face-api's copy of the same network: name -> values, uint8 with scale and minimum or float32."""
    manifest = json.loads((folder / "face_recognition_model-weights_manifest.json").read_text())
    raw, at, values = (folder / "face_recognition_model.bin").read_bytes(), 0, {}
    for entry in manifest[0]["weights"]:
        count = int(np.prod(entry["shape"]))
        levels = entry.get("quantization")
        dtype = np.dtype(levels["dtype"] if levels else "<f4")
        value = np.frombuffer(raw, dtype, count, at).astype(np.float64)
        at += count * dtype.itemsize
        values[entry["name"]] = (value * levels["scale"] + levels["min"] if levels else value).reshape(
            entry["shape"]
        )
    return values


def test_the_weights_agree_with_an_independent_copy(data: bytes, shared_data: Path) -> None:
    """Every folded convolution and the projection, within the rounding of the copy's 8 bits."""
    copy = quantised(shared_data / "models")
    net = dlib_weights.read(data)
    names = list(dict.fromkeys(name.rsplit("/", 2)[0] for name in copy if name != "fc"))
    assert len(names) == len(net.convolutions) == 29
    for name, ours in zip(names, net.convolutions, strict=True):
        gain, shift = copy[f"{name}/scale/weights"], copy[f"{name}/scale/biases"]
        theirs = (copy[f"{name}/conv/filters"] * gain).transpose(3, 2, 0, 1)
        assert ours.weights.shape == theirs.shape
        assert np.corrcoef(ours.weights.ravel(), theirs.ravel())[0, 1] > 0.99
        assert np.abs(ours.weights - theirs).max() < 0.02 * np.abs(ours.weights).max()
        assert np.abs(ours.bias - (copy[f"{name}/conv/bias"] * gain + shift)).max() < 0.03
    assert np.corrcoef(net.projection.ravel(), copy["fc"].ravel())[0, 1] > 0.99


def test_a_damaged_file_is_refused(data: bytes) -> None:
    for broken in (b"", data[:1000], data[:-60000], data.replace(b"affine_", b"affino_")):
        with pytest.raises(ModelMissing):
            dlib_weights.read(broken)


def test_building_twice_does_the_work_once_and_mends_what_is_damaged(tmp_path: Path) -> None:
    first = build(tmp_path)
    stamp = (tmp_path / RECOGNISER).stat().st_mtime_ns
    assert build(tmp_path) == first
    assert (tmp_path / RECOGNISER).stat().st_mtime_ns == stamp
    (tmp_path / RECOGNISER).write_bytes(b"damaged")
    assert build(tmp_path) == first
    assert models.converted(tmp_path, RECOGNISER, models.registry()["dlib-face-resnet"].sha256)[1] == first[0]
