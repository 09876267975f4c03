"""How alike two voices are, and from where on that is a match.

Vectors are centred on the mean of a cohort of strangers before the cosine is taken (in our
measurements the largest single gain). Scores are taken over single windows (1.6 s)
and over running means of 5 and 9 windows (3.2 and 4.8 s of speech).

Threshold: the best score that an absent voice reaches in a 45 s clip (112 windows, about four strangers) is
nearly normal, with mean m and deviation s fitted for each length. With N enrolled voices and a clip of w windows
the union bound over N max(w, 28) / 112 such trials gives t = m + s z(1 - 112 P / (N max(w, 28))), where z is the
normal quantile and P the accepted false alarms per clip. Under 28 windows (one stranger's turn) the chances of a
false match no longer shrink with w, for the windows of one voice move together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from safety.voice.mel import Floats

LENGTHS = (1, 5, 9)
FALSE_ALARMS = 0.01
CLIP_WINDOWS = 112
TURN_WINDOWS = 28
CEILING = 0.9


@dataclass(frozen=True, slots=True)
class Cohort:
    """The cohort's mean vector (256,) and the mean and deviation of strangers' best scores, (len(LENGTHS), 2)."""

    mean: Floats
    strangers: npt.NDArray[np.float64]

    def centred(self, vectors: Floats) -> Floats:
        """Subtract the mean from vectors (n, 256) and bring them back to unit length."""
        return unit(vectors - self.mean)

    def threshold(self, view: int, voices: int, windows: int) -> float:
        """Return the threshold of LENGTHS[view] for so many enrolled `voices` and `windows` in the clip."""
        trials = max(voices, 1) * max(windows, TURN_WINDOWS) / CLIP_WINDOWS
        mean, deviation = self.strangers[view]
        return min(NormalDist(mean, deviation).inv_cdf(1 - min(FALSE_ALARMS / trials, 0.5)), CEILING)


@cache
def cohort() -> Cohort:
    """Load the cohort that ships with the project."""
    with np.load(Path(__file__).with_name("cohort.npz"), allow_pickle=False) as stored:
        return Cohort(stored["mean"], stored["strangers"])


def unit(vectors: Floats) -> Floats:
    """Scale vectors (..., 256) to unit length."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9), np.float32)


def centre(vectors: Floats) -> Floats:
    """Return the direction (256,) in the middle of centred vectors (n, 256)."""
    return unit(vectors.mean(axis=0))


def scores(vectors: Floats, voice: Floats, length: int) -> Floats:
    """Compare running means over `length` centred vectors (n, 256) with a voice (256,): (n - length + 1,)."""
    if len(vectors) < length:
        return np.zeros(0, np.float32)
    sums = np.lib.stride_tricks.sliding_window_view(vectors, length, axis=0).sum(axis=-1)
    return unit(sums) @ voice
