"""How alike is alike enough: the threshold from the size of the gallery and of the crowd in the clip.

Two faces of different people reach a cosine `t` with the false match rate of `_IMPOSTORS`, measured on
1.25 million pairs of strangers in LFW folds 1-2 (CenterFace landmarks, two refinements, mirrored average). On
fold 3, never used to tune, 1.2e-4 came where 1e-4 was aimed at, and true pairs matched at .82; with three
references per person 1.2e-4 at most, and .97. YuNet's landmarks give 1.4e-4.

A clip compares every track with every person, so the rate allowed to one comparison is

    min(1e-4, 0.01 / (people x tracks))

which holds the chance of a false alarm in a clip near 1 %; the views of one track are so alike that they
count as one. Below 1e-5 the data cannot tell the rate, so the threshold stays there: too large a gallery
means more alarms for the reviewer, never fewer.
The centroid of several references is more like everybody than one reference is; `_CENTROID` makes up for
it (measured: +.007 at three references).
"""

from __future__ import annotations

import numpy as np

CLIP_RATE = 0.01
MOST = 1e-4
LEAST = 1e-5

_IMPOSTORS = ((1e-5, 0.9523), (1e-4, 0.9421))
_CENTROID = 0.0105


def rate(*, people: int, tracks: int) -> float:
    """Give the false match rate that one comparison may have, before the floor at `LEAST`."""
    return min(MOST, CLIP_RATE / max(1, people * tracks))


def threshold(*, people: int, tracks: int, references: int) -> float:
    """Give the least cosine that counts as a match with a person enrolled from `references` pictures."""
    allowed = max(LEAST, rate(people=people, tracks=tracks))
    rates, cosines = zip(*_IMPOSTORS, strict=True)
    single = float(np.interp(np.log10(allowed), np.log10(rates), cosines))
    return single + _CENTROID * (1 - 1 / max(1, references))
