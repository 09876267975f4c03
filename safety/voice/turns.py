"""Who speaks when: windows cut where the voice changes, and the pieces gathered by voice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from core.finding import Turn
from safety.voice.listen import GAP_S, Heard
from safety.voice.mel import Floats
from safety.voice.score import Calibration, unit

APART = 4
"""Windows of 1.6 s every 0.4 s are apart after four."""
MOST_PIECES = 400
CHANGE = 3.0
SAME = 4.0
"""Deviations above the mean cosine of different people: two neighbours under the first are a change, two pieces over
the second are one voice."""


def turns(calibration: Calibration, heard: Heard) -> tuple[Turn, ...]:
    """Tell the turns of speech, in order; speakers are numbered from 0 as they come."""
    if not len(heard.vectors):
        return ()
    vectors = calibration.project(heard.vectors)
    cuts = _cuts(calibration, vectors, heard.spans)
    means = unit(np.stack([vectors[first:end].mean(axis=0) for first, end in cuts]))
    lengths = np.array([end - first for first, end in cuts])
    speakers = _gathered(means, lengths, _level(calibration, SAME))
    return _named(heard.spans, cuts, speakers)


def _level(calibration: Calibration, deviations: float) -> float:
    mean, deviation = calibration.pairs
    return float(mean + deviations * deviation)


def _cuts(calibration: Calibration, vectors: Floats, spans: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Cut where the voice before and after differs the most, or where nobody speaks: pieces (first, end)."""
    count = len(vectors)
    alike = np.ones(count + 1)
    for at in range(2, count - 1):
        before, after = vectors[max(at - APART, 0) : at - 1], vectors[at + 1 : at + APART]
        alike[at] = float(unit(before.mean(axis=0)) @ unit(after.mean(axis=0)))
    low = _level(calibration, CHANGE)
    marks = [
        at
        for at in range(1, count)
        if spans[at, 0] > spans[at - 1, 1] + GAP_S
        or (alike[at] < low and alike[at] == alike[max(at - APART, 0) : at + APART + 1].min())
    ]
    step = max(1, -(-len(marks) // MOST_PIECES))
    edges = [0, *marks[::step], count]
    return list(pairwise(edges))


def _gathered(means: Floats, lengths: npt.NDArray[np.int64], same: float) -> list[int]:
    """Join the two most alike groups, by mean cosine, until none are alike: the group of each piece."""
    sums = means * lengths[:, None]
    groups = [[number] for number in range(len(means))]
    while len(groups) > 1:
        centres = unit(sums)
        alike = centres @ centres.T - 2 * np.eye(len(groups))
        one, other = sorted(divmod(int(alike.argmax()), len(groups)))
        if alike[one, other] < same:
            break
        sums[one] += sums[other]
        sums = np.delete(sums, other, axis=0)
        groups[one] += groups.pop(other)
    speakers = [0] * len(means)
    for speaker, group in enumerate(sorted(groups, key=min)):
        for number in group:
            speakers[number] = speaker
    return speakers


def _named(
    spans: npt.NDArray[np.float64], cuts: list[tuple[int, int]], speakers: list[int]
) -> tuple[Turn, ...]:
    """Join neighbouring pieces of one speaker; where two windows overlap the change lies in the middle."""
    made: list[Turn] = []
    for (first, end), speaker in zip(cuts, speakers, strict=True):
        start, stop = float(spans[first, 0]), float(spans[end - 1, 1])
        if made and start < made[-1].end:
            middle = (start + made[-1].end) / 2
            made[-1] = Turn(made[-1].speaker, made[-1].start, middle)
            start = middle
        if made and made[-1].speaker == speaker and start - made[-1].end <= GAP_S:
            made[-1] = Turn(speaker, made[-1].start, stop)
        else:
            made.append(Turn(speaker, start, stop))
    return tuple(made)
