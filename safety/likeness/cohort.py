"""Normalise scores on a cohort: some faces are like everybody, and must be more alike to count.

Adaptive symmetric normalisation (Matejka et al. 2017, "Analysis of Score Normalization in Multilingual Speaker
Recognition"), reduced to its shift: from a cosine is taken a part of how alike both sides are to those of the cohort
that are most like them. The cohort are 100 synthetic people (`python -m pipeline.face_cohort` makes it), nobody
real. What it takes off a person's side is that person's own threshold: whoever is like everybody must be matched more
closely. The weight was chosen on LFW folds 1-2: true matches at a false match rate of 1e-4 go from .800 without to
.807, and from .15 on they fall and people are identified less often. A cohort of real people would do more (.02 to
.05), and is not ours; nor do the others of a gallery do instead: with 67 to 221 of them people were identified as often
or less.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import models
from core.errors import ModelMissing
from safety.likeness.recogniser import Vectors, unit

FILE = Path(__file__).with_name("cohort.npz")
_NEAREST = 10
_WEIGHT = 0.06
_MIDDLE = 0.9
"""About the mean of what `nearest` gives, so that scores stay where cosines are."""


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Unit vectors of people whom nobody looks for, (n, d); none at all leaves scores as they are."""

    vectors: Vectors | None = None

    def shift(self, vectors: Vectors) -> Vectors:
        """Say how much less a cosine of each of these unit vectors (m, d) counts, on this side: (m,)."""
        if self.vectors is None:
            return np.zeros(len(vectors), np.float32)
        nearest = np.partition(vectors @ self.vectors.T, -_NEAREST, axis=1)[:, -_NEAREST:]
        return np.asarray(_WEIGHT * (nearest.mean(1) - _MIDDLE), np.float32)


def embedded() -> Cohort:
    """Load the cohort of the embedded tier; `ModelMissing` when it was made with another recogniser."""
    try:
        with np.load(FILE, allow_pickle=False) as kept:
            vectors, made_with = kept["vectors"].astype(np.float32), str(kept["recogniser"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelMissing("the cohort of faces cannot be read") from error
    if made_with != models.registry()["dlib-face-resnet"].sha256:
        raise ModelMissing("the cohort of faces was made with another recogniser")
    return Cohort(unit(vectors))
