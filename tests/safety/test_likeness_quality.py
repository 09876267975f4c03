from __future__ import annotations

import cv2
import numpy as np
import pytest

from safety.likeness.faces import Face
from safety.likeness.quality import Quality, sharpness, turn


def test_blur_lowers_sharpness_and_contrast_does_not() -> None:
    chip = np.full((150, 150, 3), 60, np.uint8)
    chip[:, 75:] = 200
    blurred = [sharpness(np.asarray(cv2.GaussianBlur(chip, (0, 0), s), np.uint8)) for s in (1, 4, 9, 15)]
    assert sharpness(chip) > blurred[0] > blurred[1] > blurred[2] > blurred[3]
    assert sharpness((chip // 2).astype(np.uint8)) == pytest.approx(sharpness(chip), rel=0.05)
    assert sharpness(np.full((150, 150, 3), 90, np.uint8)) == 0


@pytest.mark.parametrize(("nose", "turned"), [((50.0, 70.0), 0.0), ((70.0, 70.0), 0.5), ((10.0, 60.0), 1.0)])
def test_turn_is_the_offset_of_the_nose(nose: tuple[float, float], turned: float) -> None:
    points = np.array(((30, 50), (70, 50), nose, (35, 90), (65, 90)), np.float32)
    assert turn(Face((0, 0, 100, 100), 1, points)) == pytest.approx(turned)


@pytest.mark.parametrize(
    ("quality", "why"),
    [
        (Quality(80, 0.3, 0.1), None),
        (Quality(31, 0.3, 0.1), "less than 32"),
        (Quality(80, 0.1, 0.1), "blurred"),
        (Quality(80, 0.3, 0.8), "turned"),
    ],
)
def test_what_is_lacking_is_said(quality: Quality, why: str | None) -> None:
    assert quality.lacking is None if why is None else why in (quality.lacking or "")
