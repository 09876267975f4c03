"""How alike two voices are, and from where on that is a match.

A vector is centred on the mean of a cohort, whitened by how much one voice differs from itself when it is degraded
(within-class covariance normalisation, Hatch et al. 2006, over the conditions of `degrade`), and brought to unit
length. A person is known by one sub-model for each condition. The score of a sub-model is its cosine less that of
the cohort's mean sub-model of the same condition, so that noise does not match anybody's noisy sub-model. Sub-models
are pooled by the logarithm of their mean exponential, between the mean and the best of them: a stranger who comes near
in one condition alone counts for less than somebody who comes near in several.

Scores are taken over single windows (1.6 s) and over running means of 5, 9 and 22 (3.2, 4.8 and 10 s of speech).
Each length has its own scale, so a score is said as a *height*: standard deviations above the mean of the best
scores that absent voices reach in clips of 45 s.

Threshold: of those best heights the share q lies over u, and what lies over u falls off exponentially with the scale
b (peaks over threshold, Pickands 1975). With N enrolled voices and a clip of w windows there are N max(w, 28) / 112
such trials, and the accepted false alarms P per clip give the threshold u + b ln(q N max(w, 28) / (112 P)).
Under 28 windows (one stranger's turn) the chances of a false match no longer shrink with w, for the windows of one
voice move together.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from safety.gallery import Gallery, Segment, Template
from safety.voice.mel import Floats

LENGTHS = (1, 5, 9, 22)
FALSE_ALARMS = 0.01
SHARPNESS = 12.0
CLIP_WINDOWS = 112
TURN_WINDOWS = 28
_PEOPLE_AT_ONCE = 2048

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What an encoder's vectors (d,) mean.

    `mean` (d,) and `whiten` (d, d) make them comparable; `conditions` (k, d) are the cohort's mean sub-models;
    `strangers` (len(LENGTHS), 2) the mean and deviation of absent voices' best scores; `tail` (3,) u, q and b of
    their heights; `odds` (2,) slope and offset of the log odds of a match; `overlap` (d + 1,) weights and offset of
    the log odds that two people speak at once; `pairs` (2,) the mean and deviation of cosines of different people.
    """

    mean: Floats
    whiten: Floats
    conditions: Floats
    strangers: Doubles
    tail: Doubles
    odds: Doubles
    overlap: Doubles
    pairs: Doubles

    def project(self, vectors: Floats) -> Floats:
        """Centre and whiten vectors (n, d) and bring them to unit length."""
        return unit(np.asarray((vectors - self.mean) @ self.whiten.T, np.float32))

    def height(self, scores: Floats, length: int) -> Floats:
        """Put scores over LENGTHS[length] windows on the common scale."""
        mean, deviation = self.strangers[length]
        return np.asarray((scores - mean) / deviation, np.float32)

    def threshold(self, voices: int, windows: int, false_alarms: float = FALSE_ALARMS) -> float:
        """Return the height from which a match counts for so many enrolled `voices` and `windows` in the clip."""
        trials = max(voices, 1) * max(windows, TURN_WINDOWS) / CLIP_WINDOWS
        u, q, b = self.tail
        return float(u + b * np.log(max(q * trials / false_alarms, 1.0)))

    def probability(self, height: float) -> float:
        """Return the chance of a match if both were as likely before."""
        slope, offset = self.odds
        return float(1 / (1 + np.exp(-np.clip(slope * height + offset, -30, 30))))

    def overlapping(self, vectors: Floats) -> Floats:
        """Return the chance that two people speak at once in each of projected vectors (n, d): (n,)."""
        odds = vectors @ self.overlap[:-1] + self.overlap[-1]
        return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float32)

    def submodels(self, template: Template) -> Floats:
        """Return what projected vectors are compared with, (parts, d), one row for each condition enrolled."""
        return _submodels(self, Gallery((_one(template),)).segments[0])[0]

    def best(self, vectors: Floats, submodels: Floats) -> Floats:
        """Return the score of a person's sub-models for projected vectors (n, d): (n,)."""
        return pooled(vectors @ submodels.T)

    def save(self, path: Path) -> None:
        """Write to a file that `load` reads."""
        np.savez_compressed(path, **{part.name: getattr(self, part.name) for part in fields(self)})


def load(path: Path) -> Calibration:
    """Read a calibration; raise `ModelMissing` if it is missing, cut short or of another form."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            made = Calibration(**{part.name: stored[part.name] for part in fields(Calibration)})
    except Exception as error:  # numpy raises zipfile's, zlib's and its own errors for broken files
        raise ModelMissing(f"The voice calibration {path.name} cannot be read.") from error
    size = len(made.mean)
    shapes: list[tuple[int, ...]] = [(size,), (size, size), (len(LENGTHS), 2), (3,), (2,), (size + 1,), (2,)]
    found: list[Floats | Doubles] = [
        made.mean,
        made.whiten,
        made.strangers,
        made.tail,
        made.odds,
        made.overlap,
        made.pairs,
    ]
    if [part.shape for part in found] != shapes or made.conditions.shape[1:] != (size,):
        raise ModelMissing(f"The voice calibration {path.name} is of another form.")
    return made


@cache
def shipped() -> Calibration:
    """Load the calibration of the encoder that ships with the project."""
    return load(Path(__file__).with_name("cohort.npz"))


def unit(vectors: Floats) -> Floats:
    """Scale vectors (..., d) to unit length."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9), np.float32)


def pooled(scores: Floats) -> Floats:
    """Pool the scores of a person's sub-models, (..., parts): (...)."""
    return np.asarray(np.log(np.exp(SHARPNESS * scores).mean(axis=-1)) / SHARPNESS, np.float32)


def running(vectors: Floats, length: int) -> Floats:
    """Return the directions of the means over `length` successive projected vectors (n, d): (n - length + 1, d)."""
    if len(vectors) < length:
        return np.zeros((0, vectors.shape[1]), np.float32)
    sums = np.cumsum(np.vstack([np.zeros((1, vectors.shape[1])), vectors]), axis=0)
    return unit(np.asarray(sums[length:] - sums[:-length], np.float32))


def heights(calibration: Calibration, gallery: Gallery, means: list[Floats]) -> dict[str, float]:
    """Return for everybody in a gallery the greatest height over the running means of each of LENGTHS.

    A person is compared only with their own sub-models; the gallery's segments are projected once.
    """
    found: dict[str, float] = {}
    for segment in gallery.segments:
        rows, starts = segment.derived("voice", lambda part: _submodels(calibration, part))
        best = np.full(len(segment), -np.inf, np.float32)
        for length, vectors in enumerate(means):
            if len(vectors):
                peaks = _peaks(rows, starts, vectors)
                best = np.maximum(best, calibration.height(peaks, length))
        living = np.flatnonzero(segment.alive).tolist()
        found |= {segment.identities[person]: float(best[person]) for person in living}
    return found


def _peaks(rows: Floats, starts: npt.NDArray[np.int64], vectors: Floats) -> Floats:
    """Return the best pooled score of each person's rows, `rows[starts[p]:starts[p + 1]]`, in bounded memory."""
    peaks = []
    for first in range(0, len(starts) - 1, _PEOPLE_AT_ONCE):
        part = starts[first : first + _PEOPLE_AT_ONCE + 1]
        scores = np.float32(SHARPNESS) * (rows[part[0] : part[-1]] @ vectors.T)
        sums = np.add.reduceat(np.exp(scores, out=scores), part[:-1] - part[0], axis=0).max(axis=1)
        peaks.append(np.log(sums / np.diff(part)) / np.float32(SHARPNESS))
    return np.concatenate(peaks)


def _submodels(calibration: Calibration, segment: Segment) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Average each person's vectors of each condition: rows (n, d) by person, and where each person starts."""
    people = np.repeat(np.arange(len(segment)), np.diff(segment.offsets))
    parts = np.minimum(segment.parts, len(calibration.conditions) - 1).astype(np.int64)
    keys, inverse = np.unique(people * 256 + parts, return_inverse=True)
    sums = np.zeros((len(keys), segment.vectors.shape[1]), np.float32)
    np.add.at(sums, inverse, calibration.project(segment.vectors))
    rows = unit(sums) - calibration.conditions[keys % 256]
    return np.asarray(rows, np.float32), np.searchsorted(keys // 256, np.arange(len(segment) + 1))


def _one(template: Template) -> Segment:
    parts = np.zeros(len(template.vectors), np.uint8) if template.parts is None else template.parts
    return Segment(
        identities=(template.identity,),
        vectors=template.vectors,
        parts=parts,
        offsets=np.array([0, len(template.vectors)], np.int64),
        thresholds=np.array([np.nan], np.float32),
        alive=np.ones(1, np.bool_),
    )
