from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import models
from core.errors import ModelMissing
from core.finding import Model
from safety.likeness.elf import constants
from safety.likeness.network import Network
from safety.likeness.yunet_weights import yunet_onnx


@pytest.fixture(scope="module")
def library() -> bytes:
    return models.wheel_file("yunet-bsd").read_bytes()


def opened(path: Path) -> Network:
    return Network(path, Model(path.name, "0" * 64), threads=1)


def test_the_wheels_weights_are_opencv_zoos_within_their_three_digits(
    library: bytes, shared_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "ours.onnx").write_bytes(yunet_onnx(library))
    ours = opened(tmp_path / "ours.onnx")
    theirs = opened(shared_data / "models" / "face_detection_yunet_2026may.onnx")
    pixels = np.random.default_rng(4).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)
    first, second = ours.run(pixels), theirs.run(pixels)
    assert first.keys() == second.keys()
    for name, value in second.items():
        assert first[name].shape == value.shape
        assert np.abs(first[name] - value).max() < 0.02 * max(1.0, np.abs(value).max()), name


def test_a_library_that_is_damaged_or_another_is_refused(library: bytes) -> None:
    renamed = library.replace(b"backbone__model3_dp1_pw_weight", b"backbone__model3_dp1_pw_height")
    for broken in (b"", b"\x7fELF\x02\x01", library[:5000], library[: len(library) // 2], renamed):
        with pytest.raises(ModelMissing):
            yunet_onnx(broken)
    assert len(constants(library)) > 100
