from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelMissing
from generation.engines.persona import Persona, speak
from safety.voice import Voice, build
from safety.voice.listen import Listener
from safety.voice.own import CALIBRATION, FILE, OWN, OwnEncoder, calibrated, fbank, note
from safety.voice.score import shipped

SAID = speak(Persona(3), 1, 4)[:, 0]
SIZE = 80


def own_encoder(folder: Path, bands: bool = True) -> Path:
    """Write an encoder that only averages, over bands or over the squares of 160 samples."""
    from onnx import TensorProto, helper, save

    if bands:
        shape, nodes = (
            ["n", "frames", SIZE],
            [helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=0)],
        )
    else:
        shape = ["n", "samples"]
        nodes = [
            helper.make_node("Mul", ["x", "x"], ["square"]),
            helper.make_node("Reshape", ["square", "into"], ["frames"]),
            helper.make_node("ReduceMean", ["frames"], ["y"], axes=[1], keepdims=0),
        ]
    into = helper.make_tensor("into", TensorProto.INT64, [3], [0, -1, SIZE])
    graph = helper.make_graph(
        nodes,
        "own",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", SIZE])],
        [] if bands else [into],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / FILE)
    return folder / FILE


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    build(tmp_path)
    own_encoder(tmp_path)
    made = shipped()
    small = replace(
        made,
        mean=np.zeros(SIZE, np.float32),
        whiten=np.eye(SIZE, dtype=np.float32),
        conditions=np.zeros((len(made.conditions), SIZE), np.float32),
        overlap=np.zeros(SIZE + 1),
    )
    note(tmp_path, OwnEncoder(tmp_path).model, small)
    return tmp_path


def test_the_tier_and_the_encoder_are_named(models_dir: Path):
    voice = Voice.load(models_dir, OWN)
    assert voice._listener.tier == OWN
    assert voice._listener.models[0].name == FILE
    assert len(voice._listener.models[0].sha256) == 64


@pytest.mark.parametrize("bands", [True, False])
def test_windows_become_vectors_of_unit_length(models_dir: Path, bands: bool):
    own_encoder(models_dir, bands=bands)
    heard = Listener(models_dir, OWN).hear(SAID)
    assert heard.vectors.shape == (len(heard.spans), SIZE)
    assert np.linalg.norm(heard.vectors, axis=1) == pytest.approx(np.ones(len(heard.spans)), abs=1e-5)


def test_without_encoder_or_calibration_or_with_another_ones_it_is_missing(models_dir: Path):
    other = own_encoder(models_dir, bands=False)
    with pytest.raises(ModelMissing, match="another encoder"):
        Voice.load(models_dir, OWN)
    (models_dir / f"{CALIBRATION}.json").unlink()
    with pytest.raises(ModelMissing, match="needs"):
        Voice.load(models_dir, OWN)
    other.write_bytes(other.read_bytes()[:40])
    with pytest.raises(ModelMissing):
        Voice.load(models_dir, OWN)
    other.unlink()
    with pytest.raises(ModelMissing, match=FILE):
        Voice.load(models_dir, OWN)


def test_a_calibration_that_is_cut_short_is_missing(models_dir: Path):
    path = models_dir / CALIBRATION
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelMissing, match="cannot be read"):
        calibrated(models_dir, OwnEncoder(models_dir).model)


def test_the_bands_are_kaldis():
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    filters = mel_filter_bank(
        257, 80, 20.0, 8000.0, 16000, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    wanted = spectrogram(
        SAID * 32768,
        window_function(400, "povey", periodic=False),
        400,
        160,
        fft_length=512,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=filters,
        log_mel="log",
        mel_floor=1.192092955078125e-07,
        remove_dc_offset=True,
    ).T
    assert fbank(SAID) == pytest.approx(wanted - wanted.mean(axis=0), abs=2e-3)
