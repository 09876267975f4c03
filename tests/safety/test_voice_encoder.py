from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelMissing
from safety.voice import Voice, build
from safety.voice import encoder as encoders
from safety.voice.encoder import FILE, Encoder, weights

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


def test_build_is_repeatable_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = build(tmp_path / "a")
    assert build(tmp_path / "b") == first
    monkeypatch.setattr(encoders, "weights", lambda: pytest.fail("converted twice"))
    assert build(tmp_path / "a") == first


def test_missing_and_corrupt_models_are_said_to_be_missing(tmp_path: Path):
    with pytest.raises(ModelMissing):
        Voice.load(tmp_path)
    build(tmp_path)
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
    build(tmp_path)
    with pytest.raises(ModelMissing):
        Voice.load(tmp_path, tier="standard")
    assert Voice.load(tmp_path)


def test_import_is_cheap():
    heavy = "{'torch', 'onnxruntime', 'onnx', 'scipy', 'silero_vad', 'resemblyzer'}"
    code = f"import sys, safety.voice; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
