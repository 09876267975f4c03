"""What the detectors of faces and of voices share: who is looked for, and what an enrolment took."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.finding import Model

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A protected person in the clear: `vectors` as `Enrolment` gave them, (n, d) float32, n at least 1."""

    identity: str
    vectors: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Enrolment:
    """What enrolment took: one row of `vectors`, (n, d) float32, for each accepted reference.

    `accepted` names files, `refused` pairs a file with the reason.
    """

    vectors: Vectors
    accepted: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    models: tuple[Model, ...] = ()
