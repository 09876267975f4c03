"""Voice conversion by signal processing: clones to set thresholds on, made of recordings that may be used for it.

Each frame of the source keeps its timing and its pulses; its pitch is moved to the target's, and its spectral
envelope becomes the mean of the four target frames whose envelopes are nearest once both speakers' means are taken
off (nearest-neighbour conversion, after Baas et al. 2023, arXiv:2305.18975, on cepstral envelopes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safety.voice.degrade import pitched
from safety.voice.mel import RATE, Floats

FFT = 512
HOP = 128
QUEFRENCIES = 30
NEAREST = 4
MOST_SEMITONES = 12.0

Doubles = npt.NDArray[np.float64]


def converted(source: Floats, target: Floats) -> Floats:
    """Say what `source` (n,) says with the voice of `target` (m,), both at 16 kHz: about (n,)."""
    semitones = 12 * np.log2(pitch(target) / pitch(source))
    source = pitched(source, float(np.clip(semitones, -MOST_SEMITONES, MOST_SEMITONES)))
    spectra, envelopes = _analysed(source)
    wanted = _nearest(envelopes, _analysed(target)[1])
    return _made(spectra * np.exp(_smooth(wanted - envelopes)), len(source))


def pitch(wave: Floats) -> float:
    """Return the median pitch in Hz, 60-400, by the autocorrelation of 40 ms frames; 150 where nothing is voiced."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, 640)[::320].astype(np.float64)
    frames = frames - frames.mean(axis=1, keepdims=True)
    spectra = np.abs(np.fft.rfft(frames, 2048)) ** 2
    alike = np.fft.irfft(spectra)[:, RATE // 400 : RATE // 60]
    energy = (frames**2).sum(axis=1) + 1e-12
    voiced = (alike.max(axis=1) > 0.5 * energy) & (energy > 0.1 * energy.mean())
    lags = alike.argmax(axis=1)[voiced] + RATE // 400
    return float(RATE / np.median(lags)) if len(lags) else 150.0


def _analysed(wave: Floats) -> tuple[npt.NDArray[np.complex128], Doubles]:
    """Return the spectra (frames, 257) and the cepstra of their envelopes (frames, 30)."""
    window = np.hanning(FFT + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (FFT, FFT)), FFT)[::HOP]
    spectra = np.fft.rfft(frames * window)
    cepstra = np.fft.irfft(np.log(np.abs(spectra) + 1e-6))
    return spectra, np.asarray(cepstra[:, :QUEFRENCIES])


def _smooth(cepstra: Doubles) -> Doubles:
    """Return the log envelopes (frames, 257) of cepstra; the level stays as it is."""
    full = np.zeros((len(cepstra), FFT))
    full[:, 1:QUEFRENCIES] = cepstra[:, 1:]
    full[:, -QUEFRENCIES + 1 :] = cepstra[:, :0:-1]
    return np.asarray(np.clip(np.fft.rfft(full).real, -4, 4))


def _nearest(source: Doubles, target: Doubles) -> Doubles:
    """Return the mean of the target's cepstra nearest to each of the source's."""
    loud = target[target[:, 0] > np.quantile(target[:, 0], 0.3)]
    spoken = source[source[:, 0] > np.quantile(source[:, 0], 0.3)]
    one = (source - spoken.mean(axis=0))[:, 1:] / spoken.std(axis=0)[1:]
    other = (loud - loud.mean(axis=0))[:, 1:] / loud.std(axis=0)[1:]
    apart = (other**2).sum(axis=1) - 2 * one @ other.T
    nearest = np.argpartition(apart, NEAREST, axis=1)[:, :NEAREST]
    return np.asarray(loud[nearest].mean(axis=1))


def _made(spectra: npt.NDArray[np.complex128], count: int) -> Floats:
    window = np.hanning(FFT + 1)[:-1]
    frames = np.fft.irfft(spectra) * window
    out = np.zeros(HOP * len(frames) + FFT)
    for number, frame in enumerate(frames):
        out[number * HOP : number * HOP + FFT] += frame
    return np.asarray(out[FFT : FFT + count] / 1.5, np.float32)
