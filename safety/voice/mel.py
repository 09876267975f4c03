"""The published front end of the speaker encoder: 40 mel bands of power, every 10 ms at 16 kHz."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RATE = 16000
FFT = 400
HOP = 160
BANDS = 40
LEVEL_DB = -30.0
BLOCK = 6000


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Invert Slaney's mel scale: linear below 1 kHz (mel 15), logarithmic above."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@cache
def filterbank() -> Floats:
    """Return Slaney's triangular filters of unit area, (40, 201) (Auditory Toolbox, 1998; librosa's default)."""
    top = 15 + np.log(RATE / 2 / 1000) * 27 / np.log(6.4)
    edges = _hertz(np.linspace(0, top, BANDS + 2))
    bins = np.fft.rfftfreq(FFT, 1 / RATE)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def mel_power(wave: Floats) -> Floats:
    """Return the mel power spectrogram of 16 kHz samples (n,): (1 + n // 160, 40), centred frames, not logarithmic."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, FFT // 2), FFT)[::HOP]
    blocks = (frames[start : start + BLOCK] for start in range(0, len(frames), BLOCK))
    return np.concatenate([_mel_block(block) for block in blocks])


def _mel_block(frames: Floats) -> Floats:
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)).astype(np.float32)
    spectrum = np.fft.rfft(frames * window, axis=1)
    return np.asarray((spectrum.real**2 + spectrum.imag**2) @ filterbank().T, dtype=np.float32)


def frame_power(wave: Floats) -> Floats:
    """Return the mean square of the 10 ms around each mel frame of 16 kHz samples (n,): (1 + n // 160,)."""
    count = 1 + len(wave) // HOP
    padded = np.pad(wave, (HOP // 2, HOP))[: count * HOP]
    return np.asarray((padded.reshape(count, HOP) ** 2).mean(axis=1), dtype=np.float32)


def gain(power: float) -> float:
    """Return the power gain that lifts a mean square `power` to -30 dBFS; 1 for what is louder, and for silence."""
    wanted = 10.0 ** (LEVEL_DB / 10)
    return wanted / power if 1e-12 < power < wanted else 1.0
