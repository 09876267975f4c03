"""Where in a sound a mark is, tile row by tile row, once its payload and its alignment are known.

Two sums are made of every row of tiles: its agreement with the code word and its power. Without the mark the
agreement strays around zero with the power as its variance, since the signs of the cells are fair tosses; with it
the mean is the power times an amplitude that the channel leaves. A hidden Markov model (Rabiner 1989) of three
states, without the mark, with half and with all of that amplitude, weighs each row with its neighbours; the
amplitude is learnt from the sound itself. Half of it is there because music and noise hide the mark unevenly: a gap
is only called one where even a weak mark would have shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby

import numpy as np
import numpy.typing as npt

from provenance.marks import Segment
from provenance.marks.audio.tiles import Doubles

Findings = npt.NDArray[np.int8]
"""For each row: PRESENT, ABSENT or UNREADABLE."""
PRESENT, UNREADABLE, ABSENT = 1, 0, -1

_LEAVE = 0.0025  # probability that the next row is in another state: about one change in 19 s
_SHARES = np.array([0.0, 0.5, 1.0])  # of the amplitude, in each state
_SURE = 0.05  # what may speak against a finding
_FAINTEST, _FIRST, _ROUNDS = 0.2, 0.4, 4  # amplitudes, and how often they are learnt anew
_SHOWS = 9.0  # squared deviations that a mark would show in a second for anything to be said about it
_SHORTEST = 0.25  # seconds of a run that is told apart from its surroundings


def findings(agreement: Doubles, power: Doubles, per_second: float) -> Findings:
    """Say for each row, (rows,), whether the mark is there, from its agreement and power and rows per second."""
    amplitude = _FIRST
    present = np.zeros(len(power))
    for _ in range(_ROUNDS if len(power) else 0):
        present = _present(agreement, power, amplitude)
        amplitude = max(float(present @ agreement / (present @ power + 1e-9)), _FAINTEST)
    near = np.convolve(power, np.ones(round(per_second) | 1), "same")[: len(power)] if len(power) else power
    found = np.where(present >= 1 - _SURE, PRESENT, np.where(present <= _SURE, ABSENT, UNREADABLE))
    return np.where(near * amplitude**2 >= _SHOWS, found, UNREADABLE).astype(np.int8)


def segments(found: Findings, starts: Doubles, seconds: float) -> tuple[Segment, ...]:
    """Give the spans of one finding each, in seconds, for rows that start at `starts`; together all of the sound.

    What lies before the first row and behind the last is told with them. A run too short to tell is told with
    what lies before it.
    """
    spans: list[tuple[float, int]] = []
    for finding, start, end in _runs(found, starts, seconds):
        if end - start >= _SHORTEST and (not spans or spans[-1][1] != finding):
            spans.append((start if spans else 0.0, finding))
    spans = spans or [(0.0, UNREADABLE)]
    ends = [start for start, _ in spans[1:]] + [seconds]
    return tuple(
        Segment(round(start, 3), round(end, 3), found=one == PRESENT, readable=one != UNREADABLE)
        for (start, one), end in zip(spans, ends, strict=True)
    )


def _runs(found: Findings, starts: Doubles, seconds: float) -> Iterator[tuple[int, float, float]]:
    """Give each run of equal findings with its start and end."""
    row = 0
    for finding, run in groupby(found.tolist()):
        first, row = row, row + len(list(run))
        yield finding, float(starts[first]), float(starts[row]) if row < len(starts) else seconds


def _present(agreement: Doubles, power: Doubles, amplitude: float) -> Doubles:
    """Give the probability of the mark in each row, from all rows."""
    mean = amplitude * _SHARES
    evidence = agreement[:, None] * mean - power[:, None] * mean**2 / 2
    likely = np.exp(evidence - evidence.max(axis=1, keepdims=True)) + 1e-12
    change = np.full((3, 3), _LEAVE / 2) + (1 - 1.5 * _LEAVE) * np.eye(3)
    steps = change * likely[:, None, :]
    ahead = _products(steps).sum(axis=1)
    behind = np.ones_like(ahead)
    behind[:-1] = _products(steps[:0:-1].transpose(0, 2, 1)).sum(axis=1)[::-1]
    state = ahead * behind
    return np.asarray(1 - state[:, 0] / state.sum(axis=1), np.float64)


def _products(steps: Doubles) -> Doubles:
    """Multiply matrices (n, 3, 3) with all those before them, each scaled to add up to one.

    By doubling (Hillis and Steele 1986), some ten multiplications of all rows at once.
    """
    for doubling in range(math.ceil(math.log2(max(len(steps), 1)))):
        reach = 1 << doubling
        longer = steps.copy()
        longer[reach:] = steps[:-reach] @ steps[reach:]
        steps = longer / longer.sum(axis=(1, 2), keepdims=True)
    return steps
