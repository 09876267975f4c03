"""The sandbox engine: repeatable films in which the references, and no one else, appear."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import wavfile

from core.errors import BadInput, Cancelled
from core.media import read
from core.media.clip import Picture
from core.media.write import Mezzanine
from core.shot import Reference, Shot
from generation.engines import open_engine
from generation.engines.persona import Persona, portrait, speak
from generation.engines.sandbox import Sandbox
from generation.engines.scenery import kind_of, scene

SHOT = Shot(prompt="a ship at sea", seconds=1.0, width=96, height=64, fps=12)


def _ignore(fraction: float) -> None:
    assert 0 <= fraction <= 1


def _pictures(path: Path) -> list[Picture]:
    return [frame.rgb for frame in read.frames(path)]


def test_the_same_shot_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        Sandbox().render(SHOT, tmp_path / name, _ignore)
    Sandbox().render(replace(SHOT, seed=1), tmp_path / "c.mkv", _ignore)
    a, b, c = (_pictures(tmp_path / name) for name in ("a.mkv", "b.mkv", "c.mkv"))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert np.array_equal(read.whole_sound(tmp_path / "a.mkv"), read.whole_sound(tmp_path / "b.mkv"))


@pytest.mark.parametrize(
    ("fps", "seconds", "size"), [(24, 0.5, (96, 64)), (30, 0.7, (130, 74)), (8, 1.0, (64, 128))]
)
def test_length_size_and_rate_are_as_asked(
    tmp_path: Path, fps: int, seconds: float, size: tuple[int, int]
) -> None:
    shot = Shot(prompt="hills", seconds=seconds, width=size[0], height=size[1], fps=fps)
    clip = Sandbox().render(shot, tmp_path / "a.mkv", _ignore)
    assert clip.video is not None
    assert clip.audio is not None
    assert (clip.video.width, clip.video.height) == size
    assert clip.video.frames == round(seconds * fps)
    assert float(clip.video.fps) == fps
    assert (clip.audio.rate, clip.audio.channels) == (48_000, 2)
    assert clip.audio.seconds == pytest.approx(clip.video.seconds, abs=0.002)


def test_cancelling_leaves_no_file_and_the_next_run_is_whole(tmp_path: Path) -> None:
    calls: list[float] = []

    def stop(fraction: float) -> None:
        calls.append(fraction)
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        Sandbox().render(SHOT, tmp_path / "a.mkv", stop)
    assert list(tmp_path.iterdir()) == []
    assert 0 < max(calls) < 0.6
    Sandbox().render(SHOT, tmp_path / "a.mkv", _ignore)
    Sandbox().render(SHOT, tmp_path / "b.mkv", _ignore)
    assert np.array_equal(_pictures(tmp_path / "a.mkv"), _pictures(tmp_path / "b.mkv"))


def test_sound_alone_has_no_picture(tmp_path: Path) -> None:
    clip = Sandbox().render(replace(SHOT, picture=False, seconds=2.5), tmp_path / "a.mkv", _ignore)
    assert clip.video is None
    assert clip.audio is not None
    assert clip.audio.samples == 120_000


def test_picture_alone_has_no_sound(tmp_path: Path) -> None:
    assert Sandbox().render(replace(SHOT, sound=False), tmp_path / "a.mkv", _ignore).audio is None


@pytest.mark.parametrize("prompt", ["sea", "mountain", "city", "clouds", "abstract shapes"])
def test_every_scene_moves_is_textured_and_sounds_like_itself(prompt: str) -> None:
    frames = list(scene(prompt, 3, 160, 96, 13, 12))
    assert all(frame.shape == (96, 160, 3) and frame.dtype == np.uint8 for frame in frames)
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 3
    blocks = frames[0].astype(float).reshape(12, 8, 20, 8, 3).std(axis=(1, 3))
    assert np.median(blocks) > 1.5


def test_the_prompt_chooses_the_scene() -> None:
    assert kind_of("A ship in the harbour, at sea.", 0) == "sea"
    assert kind_of("traffic in the city", 0) == "city"
    assert {kind_of("xyzzy", seed) for seed in range(5)} == {"sea", "hills", "city", "sky", "abstract"}


def test_a_picture_reference_appears_large_in_the_middle_and_only_there(tmp_path: Path) -> None:
    face = portrait(Persona(3), size=96)
    reference = _saved(tmp_path / "face.png", face)
    shot = replace(SHOT, width=192, height=128, references=(reference,))
    Sandbox().render(shot, tmp_path / "with.mkv", _ignore)
    Sandbox().render(replace(shot, references=()), tmp_path / "without.mkv", _ignore)
    scores = [_best_match(f, face) for f in _pictures(tmp_path / "with.mkv")]
    control = [_best_match(f, face) for f in _pictures(tmp_path / "without.mkv")]
    assert min(scores[3:9]) > 0.9
    assert max(control) < 0.7
    assert scores[0] < 0.7
    assert scores[-1] < 0.7


def test_two_picture_references_take_turns(tmp_path: Path) -> None:
    faces = [portrait(Persona(seed), size=96) for seed in (2, 3)]
    references = tuple(_saved(tmp_path / f"{i}.png", face) for i, face in enumerate(faces))
    shot = replace(SHOT, width=192, height=128, references=references)
    Sandbox().render(shot, tmp_path / "a.mkv", _ignore)
    early, late = (_pictures(tmp_path / "a.mkv")[i] for i in (3, 8))
    assert _best_match(early, faces[0]) > 0.9 > _best_match(early, faces[1])
    assert _best_match(late, faces[1]) > 0.9 > _best_match(late, faces[0])


def test_a_voice_reference_is_heard_over_quieter_ambience(tmp_path: Path) -> None:
    said = speak(Persona(1), 5, 2.0)
    wavfile.write(tmp_path / "voice.wav", 16_000, said)
    reference = Reference("voice", tmp_path / "voice.wav", "")
    shot = replace(SHOT, picture=False, seconds=4.0, references=(reference,))
    Sandbox().render(shot, tmp_path / "with.mkv", _ignore)
    Sandbox().render(replace(shot, references=()), tmp_path / "without.mkv", _ignore)
    heard, control = (
        read.whole_sound(tmp_path / n, rate=16_000, mono=True)[16_000:48_000, 0]
        for n in ("with.mkv", "without.mkv")
    )
    assert _alike(heard, said[:, 0]) > 0.9
    assert abs(_alike(control, said[:, 0])) < 0.2
    untouched = read.whole_sound(tmp_path / "with.mkv")[:24_000]
    assert np.array_equal(untouched, read.whole_sound(tmp_path / "without.mkv")[:24_000])


def test_a_voice_longer_than_the_clip_is_cut_at_its_end(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "voice.wav", 16_000, speak(Persona(1), 5, 3.0))
    shot = replace(SHOT, references=(Reference("voice", tmp_path / "voice.wav", ""),))
    clip = Sandbox().render(shot, tmp_path / "a.mkv", _ignore)
    assert clip.audio is not None
    assert clip.audio.samples == 48_000


def test_a_source_keeps_its_picture_exactly_and_gets_new_sound(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 50, 70, 3), dtype=np.uint8)
    with Mezzanine(tmp_path / "source.mkv", width=70, height=50, fps=10) as film:
        for frame in frames:
            film.frame(frame)
    shot = replace(SHOT, source=tmp_path / "source.mkv", references=())
    clip = Sandbox().render(shot, tmp_path / "a.mkv", _ignore)
    assert np.array_equal(_pictures(tmp_path / "a.mkv"), frames)
    assert clip.audio is not None
    assert clip.audio.samples == 24_000
    assert np.abs(read.whole_sound(tmp_path / "a.mkv")).max() > 0.01


def test_the_identity_is_a_digest_and_does_not_change() -> None:
    identity = Sandbox().identity()
    assert identity == Sandbox().identity()
    assert len(identity.sha256) == 64


@pytest.mark.parametrize("name", ["", "magic", "sandbox:other", "../sandbox"])
def test_an_unknown_engine_is_bad_input(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        open_engine(name, tmp_path)


def test_the_sandbox_opens_by_name(tmp_path: Path) -> None:
    assert open_engine("sandbox", tmp_path).name == "sandbox"


def _saved(path: Path, picture: Picture) -> Reference:
    cv2.imwrite(str(path), picture[..., ::-1])
    return Reference("picture", path, "")


def _best_match(frame: Picture, picture: Picture) -> float:
    """Slide the picture over the frame at the sizes the engine uses; the best correlation."""
    best = 0.0
    for share in np.arange(0.59, 0.64, 0.005):
        side = round(frame.shape[0] * share)
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        best = max(best, float(cv2.matchTemplate(frame, small, cv2.TM_CCOEFF_NORMED).max()))
    return best


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])
