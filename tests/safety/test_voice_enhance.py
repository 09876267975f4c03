from __future__ import annotations

import ctypes
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelMissing
from core.models import wheel_file
from generation.engines.persona import Persona, speak
from safety.voice import enhance
from safety.voice.degrade import mixed, music
from safety.voice.enhance import AHEAD, FINE, ORDER, Enhancer, build
from safety.voice.mel import RATE, Floats


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build(folder)
    return folder


@pytest.fixture(scope="module")
def enhancer(models_dir: Path) -> Enhancer:
    return Enhancer(models_dir)


@pytest.fixture(scope="module")
def said() -> Floats:
    return speak(Persona(3), 1, 4)[:, 0]


def _unlike(one: Floats, other: Floats) -> float:
    """The power of the difference, in dB above that of the second."""
    return float(10 * np.log10(np.sum((one - other) ** 2) / np.sum(other**2)))


def test_gains_and_filters_of_one_leave_sound_as_it_is(
    models_dir: Path, said: Floats, monkeypatch: pytest.MonkeyPatch
):
    enhancer = Enhancer(models_dir)

    def nothing(levels: Floats, fine: Floats, count: int) -> tuple[Floats, np.ndarray]:
        filters = np.zeros((count, FINE, ORDER), np.complex64)
        filters[:, :, AHEAD] = 1
        return np.ones((count, 161), np.float32), filters

    monkeypatch.setattr(enhancer, "_network", nothing)
    monkeypatch.setattr(enhance, "BLOCK", 77)
    assert enhancer(said) == pytest.approx(said, abs=1e-5)
    assert enhancer(said[:1234] * 50) == pytest.approx(said[:1234] * 50, abs=1e-3)


def test_speech_comes_nearer_to_itself_and_music_goes(enhancer: Enhancer, said: Floats):
    tune = music(np.random.default_rng(2), 4 * RATE)
    mixture = mixed(said, tune, 5)

    def left(wave: Floats) -> float:
        """The power that is not a scaled copy of what was said, in dB below what is."""
        return _unlike(wave * (said @ said) / (wave @ said), said)

    assert left(enhancer(mixture)) < left(mixture) - 2
    assert np.mean(enhancer(tune) ** 2) < 0.5 * np.mean(tune**2)
    assert enhancer.model.name == "deepfilternet3.onnx"


def test_it_does_what_the_authors_library_does(
    models_dir: Path, said: Floats, monkeypatch: pytest.MonkeyPatch
):
    path = wheel_file(enhance.NAME)
    library = path.parents[1] / "_native" / "libdeepfilter.so"
    try:
        native = ctypes.CDLL(str(library))
    except OSError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("the library of the wheel does not load on this machine")
    mixture = mixed(said, music(np.random.default_rng(2), 4 * RATE), 5)
    monkeypatch.setattr(enhance, "LEAST", 0.0)
    ours, theirs = Enhancer(models_dir)(mixture), _library(native, path, mixture)
    settled = slice(2 * RATE, 4 * RATE - 1600)
    assert _unlike(ours[settled], theirs[settled]) < -25
    assert _unlike(mixture[settled], theirs[settled]) > -15


def _library(native: ctypes.CDLL, model: Path, wave: Floats) -> Floats:
    """Clean with the C library at 48 kHz; it answers three frames of 10 ms late."""
    native.df_create.restype = ctypes.c_void_p
    native.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    native.df_process_frame.restype = ctypes.c_float
    native.df_process_frame.argtypes = [ctypes.c_void_p] * 3
    native.df_free.argtypes = [ctypes.c_void_p]
    spectrum = np.zeros(3 * len(wave) // 2 + 1, np.complex128)
    spectrum[: len(wave) // 2] = 3 * np.fft.rfft(wave)[:-1]
    frames = np.fft.irfft(spectrum, 3 * len(wave)).astype(np.float32).reshape(-1, 480)
    frames = np.concatenate([frames, np.zeros((3, 480), np.float32)])
    out = np.zeros_like(frames)
    state = native.df_create(str(model).encode(), 100.0, None)
    for frame, made in zip(frames, out, strict=True):
        native.df_process_frame(state, frame.ctypes.data, made.ctypes.data)
    native.df_free(state)
    spectrum = np.fft.rfft(out[3:].ravel())[: len(wave) // 2 + 1] / 3
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)


def test_blocks_change_little(enhancer: Enhancer, said: Floats, monkeypatch: pytest.MonkeyPatch):
    mixture = mixed(said, music(np.random.default_rng(2), 4 * RATE), 10)
    whole = enhancer(mixture)
    monkeypatch.setattr(enhance, "BLOCK", 150)
    assert _unlike(enhancer(mixture), whole) < -15
    monkeypatch.setattr(enhance, "RUN_IN", 1)
    assert _unlike(enhancer(mixture), whole) > -15


@pytest.mark.parametrize("count", [0, 1, 159, 160, 161, 5000])
def test_short_sounds_keep_their_length(enhancer: Enhancer, said: Floats, count: int):
    cleaned = enhancer(said[:count])
    assert len(cleaned) == count
    assert np.isfinite(cleaned).all()


def test_silence_loudness_and_what_is_no_number_do_no_harm(enhancer: Enhancer, said: Floats):
    assert not enhancer(np.zeros(200 * RATE, np.float32)).any()
    after = enhancer(np.concatenate([said, np.zeros(100 * RATE, np.float32), said]))
    assert np.isfinite(after).all()
    assert np.mean(after[-len(said) :] ** 2) > 0.2 * np.mean(said**2)
    strange = said.copy()
    strange[1000:1010] = [np.nan, np.inf, -np.inf, 1e30, -1e30, 0, 1, 2, 3, 4]
    assert np.isfinite(enhancer(strange)).all()


def test_a_cut_short_or_other_archive_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = wheel_file(enhance.NAME).read_bytes()
    for content in (whole[:100_000], b"", gzip.compress(b"nothing"), whole[:100] + bytes(2000)):
        path = tmp_path / "archive.tar.gz"
        path.write_bytes(content)
        monkeypatch.setattr(enhance, "wheel_file", lambda _, path=path: path)
        with pytest.raises(ModelMissing, match="deepfilternet3"):
            build(tmp_path / "models")


def test_a_broken_or_absent_graph_is_missing(models_dir: Path, tmp_path: Path):
    with pytest.raises(ModelMissing, match="models pull"):
        Enhancer(tmp_path)
    for name in (enhance.FILE, f"{enhance.FILE}.json"):
        (tmp_path / name).write_bytes((models_dir / name).read_bytes())
    (tmp_path / enhance.FILE).write_bytes(b"cut")
    with pytest.raises(ModelMissing, match="pull it again"):
        Enhancer(tmp_path)
