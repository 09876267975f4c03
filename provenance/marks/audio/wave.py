"""Sound at the border: checks, the working rate and back, and a residual that respects silence and full scale."""

from __future__ import annotations

from math import gcd

import numpy as np
from scipy import ndimage, signal

from core.errors import BadMedia
from core.media.clip import Sound
from provenance.marks.audio.tiles import RATE, Floats

MIN_SECONDS = 5.0
"""The shortest sound that can carry a mark: one period of the pattern."""
_RATES = (8_000, 192_000)
_SILENT = 1e-4  # -80 dBFS: quieter than this throughout is silence
_STILL = 1e-5  # -100 dBFS: stretches quieter than this stay as they are
_STILL_SECONDS = 0.008
_LIMIT_SECONDS = 0.01
_ROOMY = 0.5  # of the residual that limiting leaves


def checked(sound: Sound, rate: int) -> Sound:
    """Give the sound as float32 (n, channels). Raises BadMedia when its shape, rate or samples are not sound."""
    if sound.ndim != 2 or sound.shape[1] == 0:
        raise BadMedia(f"Sound must be of shape (n, channels), not {sound.shape}.")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise BadMedia(f"A sample rate of {rate} Hz is outside 8 to 192 kHz.")
    if not np.isfinite(sound).all():
        raise BadMedia("The sound has samples that are not numbers.")
    return sound.astype(np.float32, copy=False)


def check_markable(sound: Sound, rate: int) -> None:
    """Raise BadMedia when the sound is too short or too silent to carry a mark."""
    seconds = len(sound) / rate
    if seconds < MIN_SECONDS:
        raise BadMedia(f"too short to carry a mark: {seconds:.2f} s, at least {MIN_SECONDS:.0f} s are needed")
    if np.abs(sound).max() < _SILENT:
        raise BadMedia("silent throughout: there is nothing that could carry a mark")


def at_working_rate(samples: Floats, rate: int) -> Floats:
    """Resample (n,) or (n, channels) to RATE."""
    return _resampled(samples, rate, RATE)


def at_rate(samples: Floats, rate: int, length: int) -> Floats:
    """Resample from RATE back to `rate` and give `length` samples."""
    back = _resampled(samples, RATE, rate)[:length]
    return np.pad(back, (0, length - len(back)))


def _resampled(samples: Floats, old: int, new: int) -> Floats:
    if old == new:
        return samples
    common = gcd(old, new)
    return np.asarray(signal.resample_poly(samples, new // common, old // common, axis=0), np.float32)


def views(sound: Sound) -> list[Floats]:
    """Give the ways a listener may get a sound: the downmix, then its two loudest channels where they differ."""
    mix = sound.mean(axis=1, dtype=np.float32)
    loud = np.argsort(-np.square(sound).sum(axis=0), kind="stable")[:2]
    seen = [mix]
    for channel in loud:
        one = sound[:, channel]
        if not any(_alike(one, other) for other in seen):
            seen.append(one)
    return [view for view in seen if np.abs(view).max() >= _SILENT]


def _alike(one: Floats, other: Floats) -> bool:
    """Say whether two views are the same but for their level."""
    both = np.linalg.norm(one) * np.linalg.norm(other)
    return bool(np.abs(np.dot(one, other)) >= 0.999 * both)


def added(channel: Floats, residual: Floats, rate: int) -> Floats:
    """Add the residual where the channel sounds, and no further than full scale or the channel's own peaks."""
    loudness = ndimage.maximum_filter1d(np.abs(channel), 2 * int(_STILL_SECONDS * rate) + 1)
    residual = np.where(loudness > _STILL, residual, 0)
    marked = channel + residual
    ceiling = np.maximum(np.abs(channel), 1)
    if np.all(np.abs(marked) <= ceiling):
        return np.asarray(marked, np.float32)
    room = np.where(np.sign(residual) == np.sign(channel), ceiling - np.abs(channel), ceiling)
    share = np.minimum(room / (np.abs(residual) + 1e-12), 1)
    span = 2 * int(_LIMIT_SECONDS * rate) + 1
    # A running mean of a running minimum over the same span never exceeds what it smooths.
    gentle = ndimage.uniform_filter1d(ndimage.minimum_filter1d(share, span), span)
    # A sound that is clipped throughout has no room anywhere: there the mark is clipped as the sound is.
    limited = residual * gentle if gentle.mean() > _ROOMY else residual
    return np.asarray(np.clip(channel + limited, -ceiling, ceiling), np.float32)
