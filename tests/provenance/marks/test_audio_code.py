from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.marks import MarkKey
from provenance.marks.audio import code, detector
from provenance.marks.audio.pattern import CELLS_PER_BIT, FIRST_PILOT, GROUPS, PILOTS_PER_GROUP, pattern
from provenance.marks.audio.tiles import BANDS

payloads = st.integers(0, 2**64 - 1)


@given(payloads)
def test_message_round_trip(payload: int) -> None:
    assert code.payload(code.message(payload)) == payload


@given(payloads, st.sets(st.integers(0, code.MESSAGE_BITS - 1), min_size=1, max_size=3))
def test_a_few_flipped_bits_never_pass_the_crc(payload: int, flips: set[int]) -> None:
    bits = code.message(payload)
    bits[list(flips)] ^= 1
    assert code.payload(bits) is None


@given(payloads, st.integers(0, 2**32))
@settings(max_examples=40)
def test_code_corrects_noise_far_above_the_signal(payload: int, seed: int) -> None:
    signs = code.encode(code.message(payload))
    noise = np.random.default_rng(seed).normal(scale=1.25, size=signs.shape)
    assert code.decode((signs + noise).astype(np.float32)) == payload


@given(st.integers(0, 2**32))
@settings(max_examples=40)
def test_noise_alone_is_no_message(seed: int) -> None:
    assert code.decode(np.random.default_rng(seed).normal(size=code.CODE_BITS).astype(np.float32)) is None


@pytest.mark.parametrize("payload", [-1, 1 << 64])
def test_payloads_outside_64_bits_are_refused(payload: int) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        code.message(payload)


def test_pattern_is_fixed_by_the_secret_alone() -> None:
    one, same = pattern(MarkKey("a", b"\1" * 32)), pattern(MarkKey("b", b"\1" * 32))
    other = pattern(MarkKey("a", b"\2" * 32))
    assert np.array_equal(one.groups, same.groups)
    assert np.array_equal(one.signs, same.signs)
    assert not np.array_equal(one.groups, other.groups)
    # Golden: marks in the world must stay readable.
    assert one.groups[0, :8].tolist() == [174, 480, 335, 7, 356, 222, 290, 178]


def test_every_code_bit_has_its_share_in_every_part_of_the_spectrum() -> None:
    groups = pattern(MarkKey("a", b"\3" * 32)).groups
    counts = np.bincount(groups.ravel(), minlength=GROUPS)
    assert set(counts[:FIRST_PILOT].tolist()) == {CELLS_PER_BIT}
    assert set(counts[FIRST_PILOT:].tolist()) == {PILOTS_PER_GROUP}
    low = np.bincount(groups[:, : BANDS // 2].ravel(), minlength=GROUPS)[:FIRST_PILOT]
    assert set(low.tolist()) <= {3, 4}


def test_chance_counts_words_and_alignments() -> None:
    assert detector.chance(0.0, 1) == 1.0
    assert detector.chance(12.0, 1000) == pytest.approx(1000 * 2.0**64 * np.exp(-72))
    assert detector.chance(12.0, 2000) == pytest.approx(2 * detector.chance(12.0, 1000))
