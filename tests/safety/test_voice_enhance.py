from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generation.engines.persona import Persona, speak
from safety.voice.degrade import mixed, music
from safety.voice.encoder import Encoder, build
from safety.voice.enhance import Enhancer
from safety.voice.enhance import build as build_enhancer
from safety.voice.mel import BANDS, RATE
from safety.voice.train import train


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build(folder)
    build_enhancer(folder)
    return folder


def test_shares_of_one_leave_sound_as_it_is(models_dir: Path, monkeypatch: pytest.MonkeyPatch):
    enhancer = Enhancer(models_dir)
    monkeypatch.setattr(enhancer, "shares", lambda wave: np.ones((1 + len(wave) // 160, BANDS), np.float32))
    said = speak(Persona(3), 1, 2)[:, 0]
    assert enhancer(said) == pytest.approx(said, abs=1e-5)


def test_speech_comes_nearer_to_itself_and_music_goes(models_dir: Path):
    enhancer = Enhancer(models_dir)
    said, tune = speak(Persona(3), 1, 4)[:, 0], music(np.random.default_rng(2), 4 * RATE)
    mixture = mixed(said, tune, 5)

    def left(wave: np.ndarray) -> float:
        """The power that is not a scaled copy of what was said, in dB below what is."""
        copy = said * (wave @ said) / (said @ said)
        return float(10 * np.log10(np.sum((wave - copy) ** 2) / np.sum(copy**2)))

    assert left(enhancer(mixture)) < left(mixture) - 2
    assert np.mean(enhancer(tune) ** 2) < 0.5 * np.mean(tune**2)
    assert len(enhancer(said)) == len(said)
    assert enhancer.model.name == "voice-enhance.onnx"


def test_onnx_agrees_with_torch(models_dir: Path):
    """Weights trained for one step and laid out as ONNX give torch's answers; the same seed trains the same."""
    torch = pytest.importorskip("torch")
    from safety.voice import enhance
    from safety.voice.encoder import session

    waves = [speak(Persona(seed), 1, 3)[:, 0] for seed in (3, 14)]
    state = train(waves, steps=1, pieces=1)
    path = models_dir / "trained.onnx"
    path.write_bytes(enhance.to_onnx(state).SerializeToString())
    features = np.random.default_rng(0).normal(size=(50, 1, BANDS)).astype(np.float32)
    (shares,) = session(path, "trained").run(None, {"features": features})
    gru = torch.nn.GRU(enhance.UNITS, enhance.UNITS, 2)
    gru.load_state_dict(
        {name[2:]: torch.tensor(value) for name, value in state.items() if name.startswith("g.")}
    )
    weights = {name: torch.tensor(value) for name, value in state.items()}
    with torch.no_grad():
        hidden = torch.tanh(torch.tensor(features) @ weights["inp.weight"].T + weights["inp.bias"])
        wanted = torch.sigmoid(gru(hidden)[0] @ weights["out.weight"].T + weights["out.bias"])
    assert shares == pytest.approx(wanted.numpy(), abs=1e-4)
    assert Encoder(models_dir)
