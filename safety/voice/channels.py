"""The ways to listen to a sound track, so that no sum of its channels can cancel a voice out of what is heard."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from core.errors import BadMedia
from core.media.clip import Sound
from safety.voice.mel import Floats

MOST = 8
SILENT = 1e-8
"""A mean square of -80 dBFS; below it lies what rounding leaves of channels that cancel."""
REPEATED = 1e-4
"""The share of a view's power, -40 dB, that a scaled copy of another view may leave unexplained."""

Doubles = npt.NDArray[np.float64]


def views(sound: Sound) -> list[Floats]:
    """Turn samples (n, channels) into the waves (n,) to listen to, at least one.

    They are each channel, the mean of all, half the difference of every two, and the principal components, where
    something louder that was mixed into several channels cancels out of what it covers. Silent ones and scaled
    copies of earlier ones are left out, so that a voice in the middle, as most are, is heard once. Raises
    `BadMedia` for more than 8 channels.
    """
    if sound.shape[1] > MOST:
        raise BadMedia(f"The sound has {sound.shape[1]} channels; voices are looked for in at most {MOST}.")
    sound = np.nan_to_num(sound, nan=0.0, posinf=0.0, neginf=0.0)
    power = sound.T.astype(np.float64) @ sound / max(len(sound), 1)
    mixes = _mixes(power)
    chosen = _distinct(mixes @ power @ mixes.T)
    return [np.asarray(sound @ mixes[number], np.float32) for number in chosen or [0]]


def _mixes(power: Doubles) -> Doubles:
    """List the weights of the channels in every view, (views, channels)."""
    each = np.eye(len(power))
    pairs = [(one - other) / 2 for one, other in combinations(each, 2)]
    return np.stack([*each, each.mean(axis=0), *pairs, *np.linalg.eigh(power).eigenvectors.T[::-1]])


def _distinct(products: Doubles) -> list[int]:
    """Choose views by the mean products of every two of them, (views, views)."""
    chosen: list[int] = []
    for number, own in enumerate(np.diag(products)):
        known = (products[number, other] ** 2 / products[other, other] for other in chosen)
        if own > SILENT and all(own - explained > REPEATED * own for explained in known):
            chosen.append(number)
    return chosen
