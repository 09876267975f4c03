"""Invented people: repeatable, varied, and taken for people by detectors that only know real ones."""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from core.media.clip import Picture, Sound
from core.models import wheel_file
from generation.engines.persona import Persona, portrait, speak


def test_a_persona_is_the_same_every_time() -> None:
    assert np.array_equal(portrait(Persona(3), size=96), portrait(Persona(3), size=96))
    assert np.array_equal(speak(Persona(3), "good morning", 0.5), speak(Persona(3), "good morning", 0.5))


def test_neighbouring_seeds_are_different_people() -> None:
    faces = [portrait(Persona(seed), size=96).astype(float) for seed in range(4)]
    voices = {Persona(seed).voice for seed in range(20)}
    distances = [np.abs(a - b).mean() for i, a in enumerate(faces) for b in faces[:i]]
    assert min(distances) > 10
    assert len(voices) == 20


def test_turn_light_and_expression_change_the_picture_and_not_its_size() -> None:
    plain = portrait(Persona(1), size=80)
    others = [
        portrait(Persona(1), size=80, yaw=25),
        portrait(Persona(1), size=80, light=(0.7, -0.2, 0.6)),
        portrait(Persona(1), size=80, expression="talk"),
    ]
    assert all(o.shape == (80, 80, 3) and not np.array_equal(o, plain) for o in others)


@pytest.mark.parametrize("seed", range(5))
def test_a_face_detector_sees_the_face_where_it_is(shared_data: Path, seed: int) -> None:
    picture = portrait(Persona(seed), yaw=(seed - 2) * 10.0)
    faces = _faces(picture, shared_data)
    assert len(faces) == 1
    x, y, w, h, *_, score = faces[0]
    assert score > 0.8
    assert abs(x + w / 2 - 128) < 30
    assert 80 < h < 220
    assert 40 < y + h / 2 < 180


def test_without_a_face_the_detector_sees_none(shared_data: Path) -> None:
    wall = np.broadcast_to(portrait(Persona(0))[:4, :4].mean((0, 1)).astype(np.uint8), (256, 256, 3)).copy()
    assert len(_faces(wall, shared_data)) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_voice_detector_hears_speech(seed: int) -> None:
    assert _share_of_speech(speak(Persona(seed), seed, 4.0)) > 0.6


def test_noise_of_the_same_loudness_is_not_speech() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (64_000, 1)).astype(np.float32)
    assert _share_of_speech(noise) < 0.1


def test_speech_has_the_length_rate_and_level_asked_for() -> None:
    sound = speak(Persona(2), "the lamps are burning", 1.25, rate=48_000)
    assert sound.shape == (60_000, 1)
    assert sound.dtype == np.float32
    assert 0.05 < float(np.sqrt(np.mean(np.square(sound)))) < 0.2
    assert float(np.abs(sound).max()) <= 1.0


def _faces(picture: Picture, shared_data: Path) -> list[list[float]]:
    model = shared_data / "models" / "face_detection_yunet_2026may.onnx"
    found = cv2.FaceDetectorYN.create(str(model), "", picture.shape[1::-1], 0.6).detect(
        picture[..., ::-1].copy()
    )[1]
    return [] if found is None else found.tolist()


def _share_of_speech(sound: Sound) -> float:
    """Run silero-vad over 512-sample steps at 16 kHz: the share of steps it takes for speech."""
    session = onnxruntime.InferenceSession(str(wheel_file("silero-vad")), providers=["CPUExecutionProvider"])
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32)
    hits = []
    for start in range(0, len(sound) - 511, 512):
        block = np.concatenate([context, sound[start : start + 512].T], axis=1)
        inputs = {"input": block, "state": state, "sr": np.array(16_000, np.int64)}
        probability, state = session.run(None, inputs)
        context = block[:, -64:]
        hits.append(probability.item() > 0.5)
    return float(np.mean(hits))
