from __future__ import annotations

import numpy as np
import pytest

from provenance.fingerprint import pdq


def picture(k: int) -> np.ndarray:
    y, x = np.mgrid[:64, :64]
    waves = 128 + 60 * np.sin(x / (5 + k)) + 50 * np.cos(y * (k + 2) / 17 + x / 11)
    return waves.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("k", "told"),
    [
        (0, "5d99aeab3ea16aabf681caabbf01aaabae21aaab4001a2ab0001aaabfffe5554"),
        (1, "eaabef819eabd821e8ab5881aaabc801aaab0001aaab0001aaabfffe5554fffe"),
        (2, "a021fbabea812faba8018bab2a01baab8001caab0001aaabfffef554fffe7554"),
    ],
)
def test_a_hash_is_the_one_of_the_reference_implementation(k: int, told: str) -> None:
    """Told by pdqhash 0.2.8, the reference implementation's own binding."""
    assert pdq.hashes(picture(k)).astype(">u8").tobytes().hex() == told
    assert pdq.quality(picture(k)) == 100


def test_many_are_hashed_as_one_is() -> None:
    many = np.stack([[picture(k) for k in range(3)]] * 2)
    found = pdq.hashes(many)
    assert found.shape == (2, 3, 4)
    assert all((found[:, k] == pdq.hashes(picture(k))).all() for k in range(3))
    assert pdq.quality(many).shape == (2, 3)


def test_a_flat_picture_has_nothing_to_see() -> None:
    assert pdq.quality(np.full((64, 64), 90, np.uint8)) == 0


def test_chance_differs_in_half_of_the_bits_and_noise_in_few() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 256, (2, 64, 64), np.uint8)
    noisy = (picture(0).astype(int) + rng.integers(-6, 7, (64, 64))).clip(0, 255).astype(np.uint8)
    assert 90 < int(pdq.distance(pdq.hashes(one), pdq.hashes(other))) < 166
    assert int(pdq.distance(pdq.hashes(picture(0)), pdq.hashes(noisy))) < 90
