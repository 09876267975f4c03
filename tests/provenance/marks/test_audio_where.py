from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.marks.audio import where
from provenance.marks.audio.tiles import Doubles

ROWS_PER_SECOND = 20.8


def rows(dice: np.random.Generator, amplitudes: list[float], power: float = 3.0) -> tuple[Doubles, Doubles]:
    """Draw ten seconds for each amplitude: agreement and power of each row, as a channel would leave them."""
    amplitude = np.repeat(amplitudes, 208)
    powers = power * dice.uniform(0.5, 1.5, len(amplitude))
    return amplitude * powers + np.sqrt(powers) * dice.standard_normal(len(amplitude)), powers


@pytest.mark.parametrize("amplitude", [0.6, 1.0, 1.6])
def test_rates_of_false_marks_and_false_gaps(amplitude: float) -> None:
    dice = np.random.default_rng(1)
    marked, unmarked = [], []
    for _ in range(40):
        found = where.findings(*rows(dice, [amplitude, 0.0, amplitude]), ROWS_PER_SECOND)
        marked += [found[:200], found[424:]]
        unmarked.append(found[216:408])
    assert (np.concatenate(marked) == where.ABSENT).mean() < 0.005
    assert (np.concatenate(marked) == where.PRESENT).mean() > 0.97
    assert (np.concatenate(unmarked) == where.PRESENT).mean() < 0.005
    assert (np.concatenate(unmarked) == where.ABSENT).mean() > 0.9


def test_nothing_is_said_where_nothing_could_show() -> None:
    agreement, power = rows(np.random.default_rng(2), [1.2, 0.0, 1.2])
    power[208:416] = 1e-3
    agreement[208:416] = 0
    found = where.findings(agreement, power, ROWS_PER_SECOND)
    assert (found[220:404] == where.UNREADABLE).all()
    assert (found[:200] == where.PRESENT).mean() > 0.97


def test_control_half_the_mark_is_no_gap() -> None:
    """A span that hides half of the mark is not called a gap; without the middle state it often would be."""
    found = where.findings(*rows(np.random.default_rng(3), [1.2, 0.6, 1.2]), ROWS_PER_SECOND)
    assert not (found == where.ABSENT).any()


@given(st.lists(st.sampled_from([-1, 0, 1]), max_size=80), st.floats(0.1, 60))
@settings(max_examples=60)
def test_segments_cover_the_sound_once_and_change_at_every_border(
    findings: list[int], seconds: float
) -> None:
    starts = np.arange(len(findings)) * seconds / max(len(findings), 1)
    spans = where.segments(np.array(findings, np.int8), starts, seconds)
    assert spans[0].start == 0
    assert spans[-1].end == pytest.approx(seconds, abs=1e-3)
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert all((a.found, a.readable) != (b.found, b.readable) for a, b in pairwise(spans))
    assert all(one.readable or not one.found for one in spans)


def test_a_sound_without_rows_is_unreadable() -> None:
    nothing = np.zeros(0)
    assert where.findings(nothing, nothing, ROWS_PER_SECOND).size == 0
    (span,) = where.segments(np.zeros(0, np.int8), nothing, 2.0)
    assert (span.start, span.end, span.found, span.readable) == (0.0, 2.0, False, False)
