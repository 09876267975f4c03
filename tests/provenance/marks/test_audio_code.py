from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.marks import MarkKey
from provenance.marks.audio import code
from provenance.marks.audio.pattern import FIRST_PILOT, GROUPS, pattern

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
@settings(max_examples=40, deadline=None)
def test_code_corrects_noise_of_three_decibels(payload: int, seed: int) -> None:
    signs = code.encode(code.message(payload))
    noise = np.random.default_rng(seed).normal(scale=0.8, size=signs.shape)
    assert code.payload(code.decode((signs + noise).astype(np.float32))) == payload


def test_code_is_tail_biting() -> None:
    bits = code.message(0x0123456789ABCDEF)
    turned = code.encode(np.roll(bits, 5))
    assert np.array_equal(turned, np.roll(code.encode(bits), 5 * 4))


@pytest.mark.parametrize("payload", [-1, 1 << 64])
def test_payloads_outside_64_bits_are_refused(payload: int) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        code.message(payload)


def test_pattern_is_fixed_by_the_secret_alone() -> None:
    one, same = pattern(MarkKey("a", b"\1" * 32)), pattern(MarkKey("b", b"\1" * 32))
    other = pattern(MarkKey("a", b"\2" * 32))
    assert np.array_equal(one.groups, same.groups)
    assert np.array_equal(one.whitening, same.whitening)
    assert not np.array_equal(one.groups, other.groups)
    # Golden: marks in the world must stay readable.
    assert one.groups[0, :8].tolist() == [19, 119, 258, 77, 144, 277, 182, 59]


def test_every_code_bit_and_pilot_group_has_its_share() -> None:
    counts = np.bincount(pattern(MarkKey("a", b"\3" * 32)).groups.ravel(), minlength=GROUPS)
    assert counts[:FIRST_PILOT].min() >= 8
    assert counts[:FIRST_PILOT].max() - counts[:FIRST_PILOT].min() <= 1
    assert set(counts[FIRST_PILOT:].tolist()) == {7}
