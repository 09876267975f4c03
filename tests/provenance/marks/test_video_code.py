from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadInput
from provenance.marks import MarkKey, polar
from provenance.marks.video import code, evidence, pattern

payloads = st.integers(0, 2**64 - 1)
seeds = st.integers(0, 2**32 - 1)
PINNED_BINS = [[-19, 5], [12, 2], [-6, 11]]
PINNED_ANGLES = [-0.0015, -1.57412, -1.23166]


def noisy(payload: int, sigma: float, seed: int) -> np.ndarray:
    sent = code.encode(payload).astype(float)
    received = sent + sigma * np.random.default_rng(seed).standard_normal(sent.size)
    return 2 * received / sigma**2


def test_a_payload_comes_back_through_noise_of_3_db_over_the_signal() -> None:
    # A rate, and so fixed draws: about one payload in 400 is lost at 3 dB, and never read wrongly.
    payloads = np.random.default_rng(5).integers(0, 2**64, 100, np.uint64).tolist()
    read = [code.decode(noisy(payload, 10 ** (3 / 20), seed)) for seed, payload in enumerate(payloads)]
    assert sum(found == sent for found, sent in zip(read, payloads, strict=True)) >= 98
    assert all(found in (sent, None) for found, sent in zip(read, payloads, strict=True))


@settings(max_examples=60)
@given(seeds)
def test_noise_alone_decodes_to_nothing(seed: int) -> None:
    assert code.decode(np.random.default_rng(seed).standard_normal(code.CODE_BITS)) is None


@settings(max_examples=20)
@given(payloads, st.integers(0, 63))
def test_a_payload_bit_changed_inside_a_codeword_fails_the_crc(payload: int, place: int) -> None:
    inputs = polar.decode(code.encode(payload).astype(float), 96)[0]
    inputs[place] ^= 1
    forged = 1.0 - 2.0 * polar.encode(inputs, code.CODE_BITS)
    assert np.array_equal(polar.decode(forged, 96)[0], inputs)
    # The true word may still stand further down the list, and then its CRC holds.
    assert code.decode(forged) in (None, payload)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1), min_size=96, max_size=96))
def test_the_polar_code_is_linear_and_keeps_its_distance(bits: list[int]) -> None:
    one = polar.encode(np.array(bits, np.uint8), 512)
    other = polar.encode(np.array(bits[::-1], np.uint8), 512)
    both = polar.encode(np.array(bits, np.uint8) ^ np.array(bits[::-1], np.uint8), 512)
    assert np.array_equal(one ^ other, both)
    assert not any(bits) or one.sum() >= 16


@pytest.mark.parametrize("payload", [-1, 2**64])
def test_a_payload_that_does_not_fit_is_refused(payload: int) -> None:
    with pytest.raises(BadInput, match="64-bit"):
        code.encode(payload)


@settings(max_examples=40)
@given(seeds, st.floats(0.0, 3.0))
def test_the_chernoff_bound_is_no_lower_than_what_coins_do(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    weights = np.exp(spread * rng.standard_normal(12))
    signs = 1.0 - 2.0 * ((np.arange(4096)[:, None] >> np.arange(12)) & 1)
    sums = signs @ weights
    for word in signs[rng.integers(0, 4096, 4)]:
        exact = np.mean(sums >= weights @ word - 1e-9)
        assert math.log(exact) <= evidence.chance(weights, word) + 1e-9


def test_pilots_speak_where_nobody_chose_by_them_and_only_for_the_mark() -> None:
    held = pattern.layout(MarkKey("a", bytes(32)), 360)
    rng = np.random.default_rng(5)
    noise = rng.standard_normal(1120) + 1j * rng.standard_normal(1120)
    marked = evidence.soften(held.wave * (0.7 * held.shape * pattern.symbols(9) + noise), held)
    assert evidence.p_false(marked, 9, given=True) < 1e-3 * evidence.p_false(marked, 9, given=False)
    # The control: pilots of another key do not help.
    strange = evidence.Soft(marked.data, marked.pilots, marked.coins * rng.choice([-1.0, 1.0], 96))
    assert evidence.p_false(strange, 9, given=True) > 0.1 * evidence.p_false(strange, 9, given=False)


def test_the_joint_bound_is_no_lower_than_what_coins_do() -> None:
    rng = np.random.default_rng(6)
    one, other = (
        np.array([evidence.chance(rng.standard_normal(64), np.ones(64)) for _ in range(4000)]) for _ in "ab"
    )
    both = one + other
    joint = np.exp(both) * (1.0 - both)
    for level in (0.3, 0.1, 0.01):
        assert np.mean(joint <= level) <= level + 3 * math.sqrt(level / 4000)


def test_silence_is_evidence_of_nothing() -> None:
    held = pattern.layout(MarkKey("a", bytes(32)), 360)
    soft = evidence.soften(np.zeros(1120, complex), held)
    assert not soft.data.any()
    assert evidence.p_false(soft, 1, given=False) == pytest.approx(2.0**-27)
    assert evidence.p_false(soft, 1, given=True) >= 2.0**-27
    assert evidence.agreement(soft.pilots) == 0.0
    assert evidence.chance(soft.data, np.ones(512)) == 0.0


def test_a_layout_is_pinned_so_that_old_clips_stay_readable() -> None:
    held = pattern.layout(MarkKey("a", bytes(range(32))), 360)
    assert len({tuple(row) for row in held.bins}) == 1120
    assert np.allclose(abs(held.wave), 1.0)
    assert held.bins[:3].tolist() == PINNED_BINS
    assert np.allclose(np.angle(held.wave[:3]), PINNED_ANGLES, atol=1e-4)


def test_the_grids_of_a_key_share_no_layout() -> None:
    one, other = (pattern.layout(MarkKey("a", bytes(32)), grid) for grid in (360, 180))
    assert abs(np.mean(one.wave * other.wave.conj())) < 0.2


def test_keys_share_no_layout() -> None:
    one = pattern.layout(MarkKey("a", bytes(32)), 360)
    other = pattern.layout(MarkKey("a", bytes(31) + b"\1"), 360)
    assert np.mean((one.bins == other.bins).all(axis=1)) < 0.02
    assert abs(np.mean(one.wave * other.wave.conj())) < 0.2


@pytest.mark.parametrize(("width", "height"), [(704, 480), (480, 853), (333, 241), (1280, 720)])
def test_the_pattern_measured_is_the_pattern_drawn(width: int, height: int) -> None:
    key, payload = MarkKey("a", bytes(range(32))), 0x0123456789ABCDEF
    drawn = pattern.draw(key, payload, width, height)
    assert abs(float(drawn.std()) - 1.0) < 0.02
    grid = pattern.grid_for(width, height)
    held = pattern.layout(key, grid)
    found = pattern.pick(pattern.transform(drawn, *pattern.span(width, height, grid)), held.bins)
    agree = np.sign((found * held.wave.conj()).real) == pattern.symbols(payload)
    assert agree.mean() > 0.97
