from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.errors import ModelMissing
from generation.engines.persona import Persona, speak
from safety import voice
from safety.voice import Voice
from safety.voice import encoder as encoders
from safety.voice.encoder import FILE, Encoder, build, weights
from safety.voice.listen import WINDOW
from safety.voice.mel import HOP, mel_power
from safety.voice.score import unit

torch = pytest.importorskip("torch")


def test_onnx_agrees_with_torch(tmp_path: Path):
    build(tmp_path)
    state = {name: torch.tensor(tensor) for name, tensor in weights().items()}
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    lstm.load_state_dict({name[5:]: tensor for name, tensor in state.items() if name.startswith("lstm.")})
    linear.load_state_dict({name[7:]: tensor for name, tensor in state.items() if name.startswith("linear.")})
    mels = np.random.default_rng(0).gamma(0.3, 0.01, (35, 160, 40)).astype(np.float32)
    with torch.no_grad():
        _, (hidden, _) = lstm(torch.tensor(mels))
        wanted = torch.nn.functional.normalize(torch.relu(linear(hidden[-1]))).numpy()
    assert np.abs(Encoder(tmp_path)(mels) - wanted).max() <= 1e-4


def _original(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's own encoder; what it imports and cannot be had here is stood in for by what is equal to it.

    Its speech detector is not called, and librosa's mel spectrogram comes from transformers, which tests itself
    against librosa.
    """
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    def melspectrogram(*, y: np.ndarray, sr: int, n_fft: int, hop_length: int, n_mels: int) -> np.ndarray:
        filters = mel_filter_bank(n_fft // 2 + 1, n_mels, 0.0, sr / 2, sr, norm="slaney", mel_scale="slaney")
        window = window_function(n_fft, "hann")
        made: np.ndarray = spectrogram(
            y, window, n_fft, hop_length, power=2.0, mel_filters=filters, mel_floor=0.0, pad_mode="constant"
        )
        return made

    feature = SimpleNamespace(melspectrogram=melspectrogram)
    stands_in = {
        "webrtcvad": SimpleNamespace(),
        "librosa": SimpleNamespace(feature=feature),
        "scipy.ndimage.morphology": SimpleNamespace(binary_dilation=None),
    }
    for name, module in stands_in.items():
        monkeypatch.setitem(sys.modules, name, module)
    return pytest.importorskip("resemblyzer.voice_encoder").VoiceEncoder("cpu", verbose=False)


def test_the_embedding_of_a_recording_agrees_with_the_original_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Front end, windows, network and mean together, to 1e-4 in every element."""
    build(tmp_path)
    said = speak(Persona(3), "The boat comes home before the storm.", 5)[:, 0]
    said *= np.float32(
        np.sqrt(1e-3 / np.mean(said**2))
    )  # -30 dBFS, the level that the package brings quiet speech to
    wanted, partials, slices = _original(monkeypatch).embed_utterance(said, return_partials=True, rate=2.5)
    mels = mel_power(np.pad(said, (0, max(slices[-1].stop - len(said), 0))))
    starts = [part.start // HOP for part in slices]
    vectors = Encoder(tmp_path)(np.stack([mels[start : start + WINDOW] for start in starts]))
    assert np.abs(vectors - partials).max() <= 1e-4
    assert np.abs(unit(vectors.mean(axis=0)) - wanted).max() <= 1e-4


def test_build_is_repeatable_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = build(tmp_path / "a")
    assert build(tmp_path / "b") == first
    monkeypatch.setattr(encoders, "weights", lambda: pytest.fail("converted twice"))
    assert build(tmp_path / "a") == first


def test_missing_and_corrupt_models_are_said_to_be_missing(tmp_path: Path):
    with pytest.raises(ModelMissing):
        Voice.load(tmp_path)
    voice.build(tmp_path)
    assert Voice.load(tmp_path)
    with (tmp_path / FILE).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelMissing):
        Voice.load(tmp_path)


def test_a_model_that_does_not_parse_is_said_to_be_missing(tmp_path: Path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(ModelMissing):
        encoders.session(broken, "broken")


def test_an_unknown_tier_is_missing(tmp_path: Path):
    with pytest.raises(ModelMissing, match="no voice tier"):
        Voice.load(tmp_path, tier="standard")


def test_import_is_cheap():
    heavy = "{'torch', 'onnxruntime', 'onnx', 'scipy', 'silero_vad', 'resemblyzer'}"
    code = f"import sys, safety.voice; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
