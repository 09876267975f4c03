from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from core.clock import SystemClock
from core.media.write import Delivery
from provenance.keys import SigningKeys, dev_keys
from provenance.manifest import Claim


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    return dev_keys(tmp_path_factory.mktemp("keys"), SystemClock())


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    return dev_keys(tmp_path_factory.mktemp("stranger"), SystemClock())


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of moving blocks with noise for sound, unsigned."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    rng = np.random.default_rng(7)
    blocks = np.kron(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
    with Delivery(path, width=128, height=128, fps=Fraction(12), rate=16000, channels=1) as out:
        for index in range(12):
            out.frame(np.roll(blocks, 2 * index, axis=1))
        out.sound((0.1 * rng.standard_normal((16000, 1))).astype(np.float32))
    return path


@pytest.fixture(scope="session")
def claim() -> Claim:
    return Claim(
        title="clip.mp4",
        mime="video/mp4",
        engine="sandbox",
        engine_version="1",
        source="created",
        payload=0x0123456789ABCDEF,
        duration_ms=1000,
        record="rec_1",
        when="2026-11-23T12:00:00Z",
        generator_version="0.1.0",
        video=True,
        audio=True,
    )
