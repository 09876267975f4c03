"""What is added stays below the sound in every 8 ms too, not only in every window of 32 ms.

Gains are applied in windows that are long enough to tell tones apart. Where a window holds an attack, what they add
to it also spreads over the quiet before, where nothing hides it (pre-echo; Johnston and Brandenburg 1992). Seen
through shorter windows it is held to a share of what sounds there itself. Tiles lose next to nothing by it: their
energy lies behind the attack.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from provenance.marks.audio.tiles import Floats, Spectra

_WINDOW, _HOP = 128, 32
_OVERLAP = _WINDOW // _HOP
_PAD = _WINDOW - _HOP
_HANN = np.sqrt(2 / 3) * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)
_SHARE = 0.5  # of the sound's amplitude, a change of 3.5 dB upwards


def held(mono: Floats, residual: Floats) -> Floats:
    """Give what is left of a residual (n,) when it stays within a share of `mono` (n,), both at RATE."""
    added = _spectra(residual)
    room = _power(_spectra(mono)) / (_power(added) + np.float32(1e-20))
    return _waveform(added * np.minimum(_SHARE * np.sqrt(room), 1), len(residual))


def _spectra(samples: Floats) -> Spectra:
    padded = np.pad(samples, (_PAD, _WINDOW + -len(samples) % _HOP))
    view = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    return np.asarray(fft.rfft(view * _HANN, axis=1), np.complex64)


def _power(frames: Spectra) -> Floats:
    """Give the power of every bin and its neighbours, added up anew each time: a running sum loses what is faint."""
    power = np.pad(frames.real * frames.real + frames.imag * frames.imag, ((0, 0), (1, 1)))
    return np.asarray(power[:, :-2] + power[:, 1:-1] + power[:, 2:], np.float32)


def _waveform(frames: Spectra, length: int) -> Floats:
    pieces = (fft.irfft(frames, _WINDOW, axis=1) * _HANN).reshape(len(frames), _OVERLAP, _HOP)
    blocks = np.zeros((len(frames) + _OVERLAP - 1, _HOP), np.float32)
    for part in range(_OVERLAP):
        blocks[part : part + len(frames)] += pieces[:, part]
    return blocks.ravel()[_PAD : _PAD + length]
