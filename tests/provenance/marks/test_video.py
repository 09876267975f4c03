from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import BadMedia
from core.media import read
from core.media.clip import Frame, Picture
from core.media.write import Delivery
from provenance.marks import MarkKey, MarkReading
from provenance.marks.video import detect, embedder, falsely_read, pattern
from provenance.marks.video.gather import Gathered, Slot

KEY = MarkKey("k1", bytes(range(32)))
OTHER = MarkKey("k2", bytes(range(32, 64)))
PAYLOAD = 0xFEDCBA9876543210
Scene = list[Picture]


def gradient(width: int, height: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Picture:
    y, x = np.mgrid[:height, :width]
    blend = (0.7 * y / height + 0.3 * x / width)[..., None]
    return (0.5 + (1 - blend) * np.array(top) + blend * np.array(bottom)).astype(np.uint8)


def cartoon(
    width: int = 480,
    height: int = 320,
    frames: int = 36,
    top: tuple[int, int, int] = (40, 90, 200),
    bottom: tuple[int, int, int] = (230, 200, 160),
) -> Scene:
    """Discs that drift over a smooth sky."""
    rng = np.random.default_rng(7)
    sky = gradient(width, height, top, bottom)
    discs = [
        (rng.uniform(0, width), rng.uniform(0, height), rng.integers(0, 255, 3).tolist()) for _ in range(5)
    ]
    scene = []
    for number in range(frames):
        picture = sky.copy()
        for x, y, colour in discs:
            centre = int(x + 1.5 * number) % width, int(y + 0.5 * number) % height
            cv2.circle(picture, centre, height // 8, colour, -1, cv2.LINE_AA)
        scene.append(picture)
    return scene


def grain() -> Scene:
    rng = np.random.default_rng(3)
    return [
        np.clip(picture + 8 * rng.standard_normal(picture.shape), 0, 255).astype(np.uint8)
        for picture in cartoon(frames=24)
    ]


SCENES: dict[str, Callable[[], Scene]] = {
    "cartoon": cartoon,
    "dark": lambda: cartoon(top=(8, 8, 20), bottom=(30, 24, 40)),
    "bright": lambda: cartoon(top=(250, 250, 250), bottom=(200, 220, 255)),
    "still": lambda: [gradient(480, 320, (90, 120, 180), (100, 130, 170))] * 24,
    "grain": grain,
    "small": lambda: cartoon(256, 256, 24),
    "portrait": lambda: cartoon(320, 568, 24),
}


def marked(scene: Scene, key: MarkKey = KEY, payload: int = PAYLOAD) -> Scene:
    height, width = scene[0].shape[:2]
    mark = embedder(key, payload, width=width, height=height)
    return [mark(picture) for picture in scene]


def timed(scene: Scene, fps: float = 24.0) -> Iterator[Frame]:
    return (Frame(number, number / fps, picture) for number, picture in enumerate(scene))


def coded(scene: Scene, folder: Path, crf: int, fps: int = 24) -> Scene:
    height, width = scene[0].shape[:2]
    path = folder / f"{crf}.mp4"
    with Delivery(path, width=width, height=height, fps=fps, crf=crf) as out:
        for picture in scene:
            out.frame(picture)
    return [frame.rgb for frame in read.frames(path)]


def delivered(scene: Scene, folder: Path, fps: int = 24) -> Scene:
    """What arrives after our delivery encode, stripping and somebody's H.264 CRF 28."""
    return coded(coded(scene, folder, 20, fps), folder, 28, fps)


def luma_psnr(scene: Scene, other: Scene) -> float:
    weights = np.array([0.299, 0.587, 0.114])
    errors = [np.mean(((a.astype(float) - b) @ weights) ** 2) for a, b in zip(scene, other, strict=True)]
    return float(np.mean(10 * np.log10(255**2 / np.array(errors))))


def says_nothing(reading: MarkReading) -> bool:
    return not reading.found and reading.payload is None and reading.p_false == 1.0 and reading.key_id is None


@pytest.mark.parametrize("name", SCENES)
def test_the_payload_survives_delivery_and_a_second_encode(name: str, tmp_path: Path) -> None:
    fresh = coded(marked(SCENES[name]()), tmp_path, 20)
    # Grain that is new in every frame takes the mark with it when it is compressed away.
    arrived = coded(fresh, tmp_path, 23 if name == "grain" else 28)
    reading = detect(timed(arrived), [OTHER, KEY], thorough=False)
    assert (reading.found, reading.payload, reading.key_id) == (True, PAYLOAD, "k1")
    assert reading.p_false < 1e-9
    assert reading.geometry == {"scale": 1.0, "rotation": 0.0, "flip": 0.0}
    assert [segment.found for segment in reading.segments] == [True]


@pytest.mark.parametrize(("name", "fps"), [("cog_1", 8), ("car", 12)])
def test_the_payload_survives_on_other_peoples_clips(
    name: str, fps: int, tmp_path: Path, shared_data: Path
) -> None:
    clip = shared_data / "video" / f"{name}.mp4"
    scene = [frame.rgb for frame, _ in zip(read.frames(clip), range(40), strict=False)]
    fresh = marked(scene)
    assert luma_psnr(scene, fresh) > 45.0
    arrived = delivered(fresh, tmp_path, fps)
    assert detect(timed(arrived, fps), [KEY], thorough=False).payload == PAYLOAD
    assert says_nothing(detect(timed(scene[:12], fps), [KEY], thorough=False))


@pytest.mark.parametrize("name", SCENES)
def test_the_mark_stays_above_46_db_and_touches_luma_alone(name: str) -> None:
    scene = SCENES[name]()[:16]
    fresh = marked(scene)
    # The first frames of a scene are marked more loudly, most so in fine texture.
    assert luma_psnr(scene[:1], fresh[:1]) > {"grain": 38.5, "small": 43.0}.get(name, 43.5)
    assert 46.0 < luma_psnr(scene, fresh) < 60.0
    change = fresh[0].astype(int) - scene[0]
    inside = ((scene[0] > 20) & (scene[0] < 235)).all(axis=2)
    assert (np.ptp(change[inside], axis=1) == 0).all()


def test_a_still_scene_gets_a_still_mark_and_a_cut_a_new_one() -> None:
    picture, other = cartoon(frames=1)[0], cartoon(frames=1, top=(120, 30, 30), bottom=(10, 60, 20))[0]
    fresh = marked([picture] * 12 + [other] * 4)
    assert np.array_equal(fresh[6], fresh[11])
    assert luma_psnr([other], fresh[12:13]) < luma_psnr([other], fresh[15:16])


def test_the_first_frame_of_a_slow_film_which_lasts_longer_is_fainter() -> None:
    noise = np.random.default_rng(5).standard_normal((240, 320, 1))
    picture = np.clip(
        cartoon(320, 240, 1)[0] + 20 * cv2.GaussianBlur(noise, (0, 0), 1)[..., None] * 2, 0, 255
    )
    picture = picture.astype(np.uint8)
    slow, fast = (
        embedder(KEY, PAYLOAD, width=320, height=240, fps=fps)(picture).astype(int) for fps in (8.0, 24.0)
    )
    assert 0.6 < np.std(slow - picture) / np.std(fast - picture) < 0.9


def test_marking_is_the_same_every_time_and_spares_its_input() -> None:
    scene = cartoon(frames=1)
    before = scene[0].copy()
    assert np.array_equal(marked(scene)[0], marked(scene)[0])
    assert np.array_equal(scene[0], before)
    assert not np.array_equal(marked(scene, payload=PAYLOAD ^ 1)[0], marked(scene)[0])


def test_marks_of_earlier_versions_stay_readable() -> None:
    # What reading rests on: where a key's waves are and what they say.
    seen = hashlib.sha256()
    for grid in pattern.GRIDS:
        held = pattern.layout(KEY, grid)
        seen.update(
            held.bins.astype("<i8").tobytes() + np.rint(np.angle(held.wave) * 1e6).astype("<i8").tobytes()
        )
    seen.update(pattern.symbols(PAYLOAD).astype("i1").tobytes())
    assert seen.hexdigest() == "e90d843b75f8cda6d176a1953fe59f7682a26ca325c2eed24e1a9c9ca76d8105"
    # A mark that no embedder weighed, as the first ones were.
    picture = cartoon(frames=1)[0]
    drawn = 1.5 * pattern.draw(KEY, PAYLOAD, picture.shape[1], picture.shape[0])
    fresh = np.clip(picture + drawn[..., None] + 0.5, 0, 255).astype(np.uint8)
    assert detect(timed([fresh]), [KEY], thorough=False).payload == PAYLOAD


def test_what_compression_left_of_a_smooth_picture_still_counts() -> None:
    plane = np.zeros((360, 480), np.float32)
    plane[:100] = np.random.default_rng(4).standard_normal((100, 480))
    plane[0, 0] = 50.0
    (view,) = Gathered((Slot(0.0, 0.0, plane, None),), 480.0, 360.0, 360).views()
    assert np.std(view[:100]) > 0.5
    assert view.max() < 2.0
    # The control: a picture with nothing left says nothing.
    (empty,) = Gathered((Slot(0.0, 0.0, 0 * plane, None),), 480.0, 360.0, 360).views()
    assert not empty.any()


def test_another_key_reads_nothing_and_so_does_an_unmarked_clip(tmp_path: Path) -> None:
    scene = cartoon(frames=12)
    fresh = coded(marked(scene), tmp_path, 20)
    assert says_nothing(detect(timed(fresh), [OTHER]))
    assert says_nothing(detect(timed(coded(scene, tmp_path, 20)), [KEY, OTHER], thorough=False))
    # The control: the right key does read it.
    assert detect(timed(fresh), [KEY]).payload == PAYLOAD


def test_a_hundred_wrong_keys_read_nothing() -> None:
    rng = np.random.default_rng(11)
    keys = [MarkKey(str(number), rng.bytes(32)) for number in range(100)]
    fresh = marked(cartoon(frames=6))
    assert falsely_read(timed(fresh), keys) == 0
    # The control: the right key among them is counted.
    assert falsely_read(timed(fresh), [*keys[:3], KEY]) == 1


BENT: dict[str, tuple[Callable[[Picture], Picture], dict[str, float]]] = {
    "mirrored": (lambda picture: picture[:, ::-1], {"scale": 1.0, "rotation": 0.0, "flip": 1.0}),
    "upside down": (lambda picture: np.rot90(picture, 2), {"scale": 1.0, "rotation": 180.0, "flip": 0.0}),
    "on its side": (np.rot90, {"scale": 1.0, "rotation": 270.0, "flip": 0.0}),
    "halved": (
        lambda picture: cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        {"scale": 1.0, "rotation": 0.0, "flip": 0.0},
    ),
    "cropped": (lambda picture: picture[50:410, 130:670], {"scale": 4 / 3, "rotation": 0.0, "flip": 0.0}),
    "squeezed": (
        lambda picture: cv2.resize(picture, (540, 480)),
        {"scale": 0.866, "rotation": 0.0, "flip": 0.0},
    ),
    "boxed": (
        lambda picture: cv2.copyMakeBorder(picture, 80, 80, 0, 0, cv2.BORDER_CONSTANT),
        {"scale": 0.75, "rotation": 0.0, "flip": 0.0},
    ),
    "tilted": (
        lambda picture: cv2.warpAffine(picture, cv2.getRotationMatrix2D((360, 240), -4, 1), (720, 480)),
        {"scale": 1.0, "rotation": 4.0, "flip": 0.0},
    ),
}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return coded(marked(cartoon(720, 480, 24)), tmp_path_factory.mktemp("straight"), 20)


@pytest.mark.parametrize("name", BENT)
def test_the_payload_is_found_however_the_picture_was_bent(
    name: str, straight: Scene, tmp_path: Path
) -> None:
    bend, geometry = BENT[name]
    crf = 23 if name == "halved" else 28  # a smooth drawing of 360x240 keeps too little at 28
    arrived = coded([np.ascontiguousarray(bend(picture)) for picture in straight], tmp_path, crf)
    reading = detect(timed(arrived), [OTHER, KEY])
    assert (reading.payload, reading.key_id) == (PAYLOAD, "k1")
    assert reading.p_false < 1e-9
    assert reading.geometry is not None
    assert reading.geometry["flip"] == geometry["flip"]
    assert reading.geometry["scale"] == pytest.approx(geometry["scale"], rel=0.01)
    assert abs((reading.geometry["rotation"] - geometry["rotation"] + 180) % 360 - 180) < 0.5


def test_a_bent_picture_is_not_searched_for_unless_asked(straight: Scene) -> None:
    cropped = [picture[50:410, 130:670] for picture in straight]
    assert says_nothing(detect(timed(cropped), [KEY], thorough=False))


def test_segments_tell_the_marked_half_of_a_splice(tmp_path: Path) -> None:
    # Another scene, because an encoder lets the mark live on in what stays the same after the cut.
    other = cartoon(frames=48, top=(120, 30, 30), bottom=(10, 60, 20))
    spliced = coded([*marked(cartoon(frames=48)), *other], tmp_path, 23)
    reading = detect(timed(spliced), [KEY])
    assert reading.payload == PAYLOAD
    assert [segment.found for segment in reading.segments] == [True, False]
    assert reading.segments[0].end == pytest.approx(2.0, abs=0.1)
    assert reading.segments[1].end == pytest.approx(95 / 24)


def test_a_long_clip_is_held_in_few_slots() -> None:
    picture = marked(cartoon(128, 128, 1))[0]
    frames = (Frame(number, float(number), picture) for number in range(80))
    reading = detect(frames, [KEY], thorough=False)
    assert reading.segments[-1].end == 79.0


@pytest.mark.parametrize(("width", "height"), [(64, 64), (65, 97), (4000, 64), (333, 241), (1921, 1081)])
def test_any_size_can_be_marked(width: int, height: int) -> None:
    picture = cartoon(width, height, 1)[0]
    fresh = marked([picture])[0]
    assert fresh.shape == picture.shape
    assert fresh.dtype == np.uint8
    assert luma_psnr([picture], [fresh]) > 41.0
    assert detect(timed([fresh]), [KEY]).payload in {None, PAYLOAD}


def test_a_frame_of_another_size_is_refused() -> None:
    mark = embedder(KEY, PAYLOAD, width=128, height=96)
    with pytest.raises(BadMedia, match="128x96"):
        mark(cartoon(96, 128, 1)[0])


def test_an_odd_size_survives_being_made_even_by_the_encoder(tmp_path: Path) -> None:
    arrived = delivered(marked(cartoon(481, 321, 24)), tmp_path)
    assert detect(timed(arrived), [KEY], thorough=False).payload == PAYLOAD


def test_one_frame_is_enough_to_read() -> None:
    reading = detect(timed(marked(cartoon(frames=1))), [KEY])
    assert reading.payload == PAYLOAD


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_picture_says_nothing(level: int) -> None:
    scene = [np.full((128, 128, 3), level, np.uint8)] * 3
    assert says_nothing(detect(timed(scene), [KEY], thorough=level == 0))
    assert np.isfinite(detect(timed(marked(scene)), [KEY], thorough=False).p_false)


def test_no_frames_and_no_keys_say_nothing() -> None:
    assert says_nothing(detect(iter(()), [KEY]))
    assert says_nothing(detect(timed(cartoon(frames=1)), []))
