"""How alike is alike enough: the threshold from the size of the gallery and of the crowd in the clip.

A clip compares every track with every person, so the false match rate allowed to one comparison is

    min(1e-4, 0.01 / (people x tracks))

which holds the chance of a false alarm in a clip near 1 %; the views of one track are so alike that they count as
one. A calibration says which cosine two strangers reach at what rate. Below the rarest rate that was measured
nobody can tell, so the threshold stays there: too large a gallery means more alarms for the reviewer, never fewer.

The mean of several pictures is more like everybody than one picture is; `centroid` makes up for it, on either side.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ModelMissing

CLIP_RATE = 0.01
MOST = 1e-4
_NEARLY = 10.0
"""A near hit is one that ten times the allowed rate of false matches would let pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How often strangers reach which cosine with one recogniser: `impostors` pairs (rate, cosine), rarest first.

    `centroid` is what the threshold rises by for the mean of very many pictures. `measured` says on what.
    """

    impostors: tuple[tuple[float, float], ...]
    centroid: float
    measured: str
    provisional: bool = False

    @property
    def least(self) -> float:
        """The rarest rate that was measured."""
        return self.impostors[0][0]

    def threshold(self, *, people: int, tracks: int, references: int, views: int = 1) -> float:
        """Give the least cosine that counts as a match of the mean of `views` with that of `references`."""
        allowed = max(self.least, rate(people=people, tracks=tracks))
        return self._single(allowed) + self.centroid * (2 - 1 / max(1, references) - 1 / max(1, views))

    def watch(self, *, people: int, tracks: int) -> float:
        """Give the cosine from which a comparison is a near hit, for one view and one reference."""
        return self._single(_NEARLY * max(self.least, rate(people=people, tracks=tracks)))

    def expected_alarms(self, *, people: int, tracks: int) -> float:
        """Give the number of false alarms to expect in a clip, above `CLIP_RATE` only where data ends."""
        return people * tracks * max(self.least, rate(people=people, tracks=tracks))

    def _single(self, allowed: float) -> float:
        rates, cosines = zip(*self.impostors, strict=True)
        return float(np.interp(np.log10(allowed), np.log10(rates), cosines))


def rate(*, people: int, tracks: int) -> float:
    """Give the false match rate that one comparison may have, however rare."""
    return min(MOST, CLIP_RATE / max(1, people * tracks))


def written(calibration: Calibration, model_sha256: str) -> str:
    """Render a calibration file for the recogniser with this digest."""
    return json.dumps(asdict(calibration) | {"model_sha256": model_sha256}, indent=2) + "\n"


def read(path: Path, model_sha256: str) -> Calibration:
    """Read a calibration file; `ModelMissing` when it is absent, damaged, or another recogniser's."""
    try:
        value: dict[str, Any] = json.loads(path.read_text())
        if value.pop("model_sha256") != model_sha256:
            raise ModelMissing(f"the calibration {path.name} belongs to another recogniser")
        pairs = tuple(sorted((float(often), float(cosine)) for often, cosine in value.pop("impostors")))
        made = Calibration(impostors=pairs, **value)
        _check(made, path.name)
    except FileNotFoundError as error:
        raise ModelMissing(f"the calibration {path.name} is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelMissing(f"the calibration {path.name} cannot be read") from error
    return made


def _check(made: Calibration, name: str) -> None:
    rates, cosines = zip(*made.impostors, strict=True)
    falling = all(a >= b for a, b in pairwise(cosines))
    if not (
        len(rates) > 1 and falling and 0 < rates[0] < rates[-1] <= 1 and -1 < cosines[-1] <= cosines[0] <= 1
    ):
        raise ModelMissing(f"the calibration {name} makes no sense: cosines must fall as rates grow")
    if not 0 <= made.centroid <= 1:
        raise ModelMissing(f"the calibration {name} makes no sense: `centroid` is not within 0-1")
