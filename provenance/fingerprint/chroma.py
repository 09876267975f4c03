"""The Chromaprint algorithm: 32 bits of what notes are heard, about eight times a second.

After L. Lalinsky, "How does Chromaprint work?" (2011) and the settings "test2" of his library (MIT), the ones
of AcoustID and of `fpcalc`: mono at 11,025 Hz, Hamming frames of 4096 samples a third apart, energy in twelve
notes from 28 to 3520 Hz smoothed over five frames, sixteen comparisons of areas of two bits each.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

RATE = 11025
STEP = 4096 // 3
"""Samples from one word to the next."""
_FRAME = 4096
_NOTES = 12
_LOWEST, _HIGHEST = 28, 3520
_SMOOTH = (0.25, 0.75, 1.0, 0.75, 0.25)
_WIDE = 16
REACH = _FRAME + (len(_SMOOTH) - 1 + _WIDE - 1) * STEP
"""Samples under one word."""
SILENT = 0x256DF977
"""The word of silence, in which nothing can be recognised."""

# Form of the area, first note, notes, frames, and the three bounds of the four answers.
_COMPARISONS = (
    (0, 4, 3, 15, 1.98215, 2.35817, 2.63523),
    (4, 4, 6, 15, -1.03809, -0.651211, -0.282167),
    (1, 0, 4, 16, -0.298702, 0.119262, 0.558497),
    (3, 8, 2, 12, -0.105439, 0.0153946, 0.135898),
    (3, 4, 4, 8, -0.142891, 0.0258736, 0.200632),
    (4, 0, 3, 5, -0.826319, -0.590612, -0.368214),
    (1, 2, 2, 9, -0.557409, -0.233035, 0.0534525),
    (2, 7, 3, 4, -0.0646826, 0.00620476, 0.0784847),
    (2, 6, 2, 16, -0.192387, -0.029699, 0.215855),
    (2, 1, 3, 2, -0.0397818, -0.00568076, 0.0292026),
    (5, 10, 1, 15, -0.53823, -0.369934, -0.190235),
    (3, 6, 2, 10, -0.124877, 0.0296483, 0.139239),
    (2, 1, 1, 14, -0.101475, 0.0225617, 0.231971),
    (3, 5, 6, 4, -0.0799915, -0.00729616, 0.063262),
    (1, 9, 2, 12, -0.272556, 0.019424, 0.302559),
    (3, 4, 2, 14, -0.164292, -0.0321188, 0.0846339),
)
_GRAY = np.array([0, 1, 3, 2], np.uint32)

Box = tuple[int, int, int, int]
"""Left, bottom, right, top of an area: frames across, notes upwards."""
Sums = npt.NDArray[np.float64]
"""(frames + 1, 13): the integral of a chroma image, so that any area is four look-ups."""


def words(mono: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Compute the words of a recording, (n,) samples at 11,025 Hz within -1..1; none if it is under 2.6 s."""
    image = _image(mono)
    count = len(image) - _WIDE + 1
    if count < 1:
        return np.zeros(0, np.uint32)
    sums = np.zeros((len(image) + 1, _NOTES + 1))
    sums[1:, 1:] = image.cumsum(axis=0).cumsum(axis=1)
    found = np.zeros(count, np.uint32)
    for form, low, height, width, *bounds in _COMPARISONS:
        answer = np.searchsorted(
            bounds, _compared(sums, count, int(form), int(low), int(height), int(width)), "right"
        )
        found = (found << np.uint32(2)) | _GRAY[answer]
    return found


def _image(mono: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Give the chroma image, (frames, 12), smoothed in time and each frame of length 1."""
    if len(mono) < _FRAME:
        return np.zeros((0, _NOTES))
    frames = np.lib.stride_tricks.sliding_window_view(mono, _FRAME)[::STEP]
    energy = np.concatenate([_energy(frames[first : first + 64]) for first in range(0, len(frames), 64)])
    if len(energy) < len(_SMOOTH):
        return np.zeros((0, _NOTES))
    smooth = np.lib.stride_tricks.sliding_window_view(energy, len(_SMOOTH), axis=0) @ np.array(_SMOOTH)
    length = np.linalg.norm(smooth, axis=1, keepdims=True)
    return np.where(length < 0.01, 0.0, smooth / np.maximum(length, 0.01))


def _energy(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    spectrum = np.fft.rfft(frames * np.hamming(_FRAME))
    return np.asarray((np.abs(spectrum) ** 2) @ _notes())


@cache
def _notes() -> npt.NDArray[np.float64]:
    """Say which note each bin of the spectrum belongs to, (2049, 12) of zeros and ones."""
    bins = np.arange(round(_FRAME * _LOWEST / RATE), round(_FRAME * _HIGHEST / RATE))
    octaves = np.log2(bins * RATE / _FRAME / (440 / 16))
    table = np.zeros((_FRAME // 2 + 1, _NOTES))
    table[bins, (_NOTES * (octaves % 1)).astype(int)] = 1
    return table


def _compared(
    sums: Sums, count: int, form: int, low: int, height: int, width: int
) -> npt.NDArray[np.float64]:
    """Compare two parts of an area, for each of `count` places: the logarithm of one over the other."""

    def area(left: int, bottom: int, right: int, top: int) -> npt.NDArray[np.float64]:
        later, earlier = sums[right : right + count], sums[left : left + count]
        return (later[:, top] - later[:, bottom]) - (earlier[:, top] - earlier[:, bottom])

    this, that = (
        sum(area(left, low + bottom, right, low + top) for left, bottom, right, top in part)
        for part in _parts(form, height, width)
    )
    return np.asarray(np.log((1 + this) / (1 + that)))


def _parts(form: int, height: int, width: int) -> tuple[tuple[Box, ...], tuple[Box, ...]]:
    """Divide an area in one of six ways into the boxes that are compared."""
    half, middle = width // 2, height // 2
    across, up = width // 3, height // 3
    return (
        (((0, 0, width, height),), ()),
        (((0, middle, width, height),), ((0, 0, width, middle),)),
        (((half, 0, width, height),), ((0, 0, half, height),)),
        (
            ((0, middle, half, height), (half, 0, width, middle)),
            ((0, 0, half, middle), (half, middle, width, height)),
        ),
        (((0, up, width, 2 * up),), ((0, 0, width, up), (0, 2 * up, width, height))),
        (((across, 0, 2 * across, height),), ((0, 0, across, height), (2 * across, 0, width, height))),
    )[form]
