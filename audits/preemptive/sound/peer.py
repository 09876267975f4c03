"""Another open audio watermark, side by side: resemble-perth (MIT), which tells that its mark is there and no more.

The package is optional. Of what it imports, two packages do not load beside ours; the few functions it uses of them
are stood in for here, by SciPy and PyTorch, while it is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from math import gcd
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from scipy import signal

from core.media.clip import Sound

PACKAGE = "perth"
_THERE = 0.5  # of its score: it gives about 1 for marked and 0 for other sound


def installed() -> bool:
    """Say whether the package is there."""
    return find_spec(PACKAGE) is not None


def embed(sound: Sound, rate: int) -> Sound:
    """Give the mix of a sound, (n, 1), with the other's mark in it."""
    marked = _watermarker().apply_watermark(sound.mean(axis=1), rate)[: len(sound)]
    return np.asarray(np.pad(marked, (0, len(sound) - len(marked)))[:, None], np.float32)


def found(sound: Sound, rate: int) -> bool:
    """Say whether the other finds its mark."""
    score = _watermarker().get_watermark(sound.mean(axis=1), rate, round=False)
    return bool(np.mean(score) >= _THERE)


@cache
def _watermarker() -> Any:
    with _stand_ins(), redirect_stdout(sys.stderr):  # it says on import what it loads
        return import_module(f"{PACKAGE}.perth_net").PerthImplicitWatermarker()


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Let modules stand in for those that are missing, and take them away again."""
    made = {
        "librosa": _module("librosa", resample=_resample),
        "torchaudio": _module("torchaudio"),
        "torchaudio.transforms": _module(
            "torchaudio.transforms",
            Spectrogram=_transform(inverse=False),
            InverseSpectrogram=_transform(inverse=True),
            TimeStretch=_unused(),
        ),
        "pkg_resources": _module("pkg_resources", resource_filename=_resource),
    }
    before = {name: sys.modules.get(name) for name in made}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _module(name: str, **contents: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


def _resource(package: str, name: str) -> str:
    return str(Path(str(sys.modules[package].__file__)).parent / name)


def _resample(wave: Any, *, orig_sr: int, target_sr: int, **_: Any) -> Any:
    common = gcd(orig_sr, target_sr)
    return np.asarray(signal.resample_poly(wave, target_sr // common, orig_sr // common), np.float32)


def _transform(*, inverse: bool) -> type:
    """Make the short-time Fourier transform, or its inverse, as a module that is set up by keywords."""
    import torch

    class Transform(torch.nn.Module):
        window: torch.Tensor

        def __init__(self, *, n_fft: int, win_length: int, hop_length: int, window_fn: Any, **_: Any) -> None:
            super().__init__()
            self.sizes = (n_fft, hop_length, win_length)
            self.register_buffer("window", window_fn(win_length))

        def forward(self, given: Any) -> Any:
            if inverse:
                return torch.istft(given, *self.sizes, window=self.window)
            return torch.stft(given, *self.sizes, window=self.window, return_complex=True)

    return Transform


def _unused() -> type:
    """Make what is part of the other's weights, though it is not used."""
    import torch

    class Unused(torch.nn.Module):
        def __init__(self, *, n_freq: int, **_: Any) -> None:
            super().__init__()
            self.register_buffer("phase_advance", torch.zeros(n_freq, 1))

    return Unused
