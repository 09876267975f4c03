"""The diffusion engines on tiny checkpoints: the real pipelines, the real grids, no download."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import BadInput, Cancelled, ModelMissing, Unavailable
from core.media import read
from core.media.write import Mezzanine
from core.shot import Shot
from generation.engines import open_engine
from generation.engines.checkpoint import identity
from generation.engines.diffusion_audio import DiffusionAudio
from generation.engines.diffusion_video import DiffusionVideo
from generation.engines.reel import fitted
from generation.engines.tiny import build
from generation.grid import snap

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*")
FILM = Shot(prompt="a lighthouse", seconds=9 / 24, width=96, height=64)
TAPE = Shot(prompt="slow drums", seconds=1.5, picture=False)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    build(folder)
    return folder


@pytest.fixture(scope="module")
def video(checkpoints: Path) -> DiffusionVideo:
    return DiffusionVideo(str(checkpoints / "diffusion_video"), steps=2)


@pytest.fixture(scope="module")
def audio(checkpoints: Path) -> DiffusionAudio:
    return DiffusionAudio(str(checkpoints / "diffusion_audio"), steps=1)


def _stop_at(limit: float) -> Callable[[float], None]:
    def tick(fraction: float) -> None:
        if fraction > limit:
            raise Cancelled

    return tick


def _content(path: Path) -> bytes:
    pictures = b"".join(frame.rgb.tobytes() for frame in read.frames(path))
    return pictures + read.whole_sound(path).tobytes()


def test_building_twice_gives_the_same_checkpoint_and_keeps_what_stands(
    checkpoints: Path, tmp_path: Path
) -> None:
    before = (checkpoints / "diffusion_video" / "model_index.json").stat().st_mtime_ns
    build(checkpoints)
    assert (checkpoints / "diffusion_video" / "model_index.json").stat().st_mtime_ns == before
    build(tmp_path)
    for name in ("diffusion_video", "diffusion_audio"):
        assert identity(str(tmp_path / name)) == identity(str(checkpoints / name))


def test_the_identity_follows_every_byte(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(
        '{"_class_name": "LTX2Pipeline", "_diffusers_version": "0.42.1"}'
    )
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: a-licence\n---\n")
    (tmp_path / "weights.bin").write_bytes(b"\0")
    before = identity(str(tmp_path))
    (tmp_path / "weights.bin").write_bytes(b"\1")
    assert identity(str(tmp_path)).sha256 != before.sha256
    assert before.licence == "a-licence"


def test_joint_picture_and_sound_have_the_size_asked_for(video: DiffusionVideo, tmp_path: Path) -> None:
    shot = snap(replace(FILM, seconds=1.0, width=100, height=70), video.limits)
    seen: list[float] = []
    clip = video.render(shot, tmp_path / "a.mkv", seen.append)
    assert clip.video is not None
    assert clip.audio is not None
    assert (clip.video.width, clip.video.height, clip.video.frames) == (96, 64, 25)
    assert (clip.audio.rate, clip.audio.channels) == (48_000, 2)
    assert len(read.whole_sound(tmp_path / "a.mkv")) == 50_000
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    frame = next(read.frames(tmp_path / "a.mkv")).rgb
    assert frame.std() > 5
    assert np.abs(read.whole_sound(tmp_path / "a.mkv")).max() > 0.001


def test_the_seed_decides_and_a_cancelled_run_changes_nothing(video: DiffusionVideo, tmp_path: Path) -> None:
    video.render(FILM, tmp_path / "a.mkv", lambda _: None)
    for limit in (0.1, 0.4, 0.85):
        with pytest.raises(Cancelled):
            video.render(FILM, tmp_path / "cancelled.mkv", _stop_at(limit))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
    video.render(FILM, tmp_path / "b.mkv", lambda _: None)
    video.render(replace(FILM, seed=1), tmp_path / "c.mkv", lambda _: None)
    a, b, c = (_content(tmp_path / name) for name in ("a.mkv", "b.mkv", "c.mkv"))
    assert a == b
    assert a != c


def test_stable_audio_renders_the_length_asked_for_twice_alike(audio: DiffusionAudio, tmp_path: Path) -> None:
    clip = audio.render(TAPE, tmp_path / "a.mkv", lambda _: None)
    with pytest.raises(Cancelled):
        audio.render(TAPE, tmp_path / "cancelled.mkv", _stop_at(0.1))
    audio.render(TAPE, tmp_path / "b.mkv", lambda _: None)
    assert clip.video is None
    assert clip.audio is not None
    assert (clip.audio.rate, clip.audio.channels, clip.audio.samples) == (48_000, 2, 72_000)
    assert _content(tmp_path / "a.mkv") == _content(tmp_path / "b.mkv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mkv"]


def test_a_source_keeps_its_picture_and_gets_generated_sound(audio: DiffusionAudio, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 50, 70, 3), dtype=np.uint8)
    with Mezzanine(tmp_path / "source.mkv", width=70, height=50, fps=10) as film:
        for frame in frames:
            film.frame(frame)
    shot = Shot(prompt="rain", seconds=0.5, source=tmp_path / "source.mkv")
    clip = audio.render(shot, tmp_path / "a.mkv", lambda _: None)
    assert np.array_equal([frame.rgb for frame in read.frames(tmp_path / "a.mkv")], frames)
    assert clip.audio is not None
    assert clip.audio.samples == 24_000


def test_each_engine_refuses_what_it_cannot_make(
    video: DiffusionVideo, audio: DiffusionAudio, tmp_path: Path
) -> None:
    with pytest.raises(BadInput):
        video.render(TAPE, tmp_path / "a.mkv", lambda _: None)
    with pytest.raises(BadInput):
        audio.render(FILM, tmp_path / "a.mkv", lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_the_wrong_kind_is_unavailable(checkpoints: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not Stable Audio"):
        DiffusionAudio(str(checkpoints / "diffusion_video")).render(TAPE, tmp_path / "a.mkv", lambda _: None)


@pytest.mark.parametrize("name", ["diffusion_video:nobody/nothing", "diffusion_audio"])
def test_a_checkpoint_that_is_not_here_is_missing_and_not_fetched(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelMissing):
        open_engine(name, tmp_path).render(
            FILM if "video" in name else TAPE, tmp_path / "a.mkv", lambda _: None
        )


def test_engines_open_by_name(checkpoints: Path) -> None:
    assert len(open_engine("diffusion_video", checkpoints).identity().sha256) == 64
    assert open_engine("diffusion_audio:diffusion_audio", checkpoints).identity().licence == "Apache-2.0"


def test_sound_is_fitted_by_silence_or_by_cutting() -> None:
    from fractions import Fraction

    tone = np.full((24_000, 2), 0.5, np.float32)
    longer, shorter = fitted(tone, 48_000, Fraction(1)), fitted(tone, 48_000, Fraction(1, 4))
    assert longer.shape == (48_000, 2)
    assert not longer[24_000:].any()
    assert shorter.shape == (12_000, 2)
    assert fitted(tone[:, :1], 24_000, Fraction(1)).shape == (48_000, 2)
