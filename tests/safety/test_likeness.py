from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import BadEnrolment, BadMedia, ModelMissing, Unavailable
from core.media.clip import Clip, Picture, VideoTrack
from core.media.probe import probe
from core.media.read import frames
from core.media.write import Mezzanine
from generation.engines.persona import Persona, portrait
from safety.likeness import Likeness, Template, build
from safety.likeness.sampling import sampled
from safety.likeness.tracks import Sighting, View

PROTECTED, STRANGER = Persona(11), Persona(3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build(folder)
    return folder


@pytest.fixture(scope="module")
def likeness(made: Path) -> Likeness:
    return Likeness.load(made, threads=1)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("album")

    def saved(name: str, picture: Picture) -> Path:
        path = folder / f"{name}.png"
        cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return path

    return saved


@pytest.fixture(scope="module")
def template(likeness: Likeness, album: Callable[..., Path]) -> Template:
    views = [album(f"view{yaw}", portrait(PROTECTED, size=256, yaw=yaw)) for yaw in (-15.0, 0.0, 15.0)]
    return Template("person-1", likeness.enrol(views).vectors)


def blank(height: int = 480, width: int = 704) -> Picture:
    noise = np.random.default_rng(5).integers(40, 200, (15, 22, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def pasted(face: Picture | None, x: int = 200, y: int = 120) -> Picture:
    scene = blank()
    if face is not None:
        scene[y : y + face.shape[0], x : x + face.shape[1]] = face
    return scene


def clip_of(path: Path, pictures: list[Picture], fps: int = 8) -> Clip:
    height, width = pictures[0].shape[:2]
    with Mezzanine(path, width=width, height=height, fps=fps) as clip:
        for picture in pictures:
            clip.frame(picture)
    return probe(path)


def test_a_protected_face_is_found_with_its_span_and_box(
    likeness: Likeness, template: Template, tmp_path: Path
) -> None:
    face = portrait(PROTECTED, size=256, yaw=8, light=(0.5, -0.4, 0.75))
    clip = clip_of(tmp_path / "a.mkv", [pasted(None)] * 16 + [pasted(face)] * 16 + [pasted(None)] * 8)
    screening = likeness.screen(clip, [template])
    (finding,) = screening.findings
    assert (finding.identity, finding.track, finding.kind) == ("person-1", "video", "likeness")
    assert finding.score >= finding.threshold
    assert finding.start == pytest.approx(2.0, abs=0.3)
    assert finding.end == pytest.approx(4.0, abs=0.3)
    assert finding.box is not None
    x, y, w, h = finding.box
    assert 200 < x < x + w < 456
    assert 120 < y < y + h < 376
    assert finding.frame is not None
    assert 16 <= finding.frame < 32
    assert (screening.tracks, screening.tier) == (1, "embedded")
    assert {len(model.sha256) for model in screening.models} == {64}


def test_another_face_is_no_finding(likeness: Likeness, template: Template, tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "b.mkv", [pasted(portrait(STRANGER, size=256))] * 12)
    screening = likeness.screen(clip, [template])
    assert screening.tracks == 1
    assert screening.findings == ()
    assert screening.unassessable == ()


def test_two_people_are_told_apart_in_one_clip(
    likeness: Likeness, template: Template, tmp_path: Path
) -> None:
    scene = pasted(portrait(PROTECTED, size=200), x=40)
    scene[120:320, 440:640] = portrait(STRANGER, size=200)
    screening = likeness.screen(clip_of(tmp_path / "c.mkv", [scene] * 8), [template])
    assert screening.tracks == 2
    (finding,) = screening.findings
    assert finding.box is not None
    assert finding.box[0] < 240


def test_one_who_takes_a_strangers_place_for_a_moment_is_found(
    likeness: Likeness, template: Template, tmp_path: Path
) -> None:
    theirs, own = (pasted(portrait(person, size=256)) for person in (STRANGER, PROTECTED))
    clip = clip_of(tmp_path / "l.mkv", [theirs] * 12 + [own] * 4 + [theirs] * 14)
    (finding,) = likeness.screen(clip, [template]).findings
    assert finding.start == pytest.approx(1.5, abs=0.3)
    assert finding.end == pytest.approx(2.0, abs=0.3)


def test_a_rolled_face_is_found(likeness: Likeness, template: Template, tmp_path: Path) -> None:
    upright = pasted(portrait(PROTECTED, size=256))
    turned = cv2.warpAffine(upright, cv2.getRotationMatrix2D((328, 248), 35, 1.0), (704, 480))
    screening = likeness.screen(clip_of(tmp_path / "d.mkv", [np.asarray(turned, np.uint8)] * 4), [template])
    assert [finding.identity for finding in screening.findings] == ["person-1"]


def test_a_face_too_small_to_tell_is_unassessable_not_nobody(
    likeness: Likeness, template: Template, tmp_path: Path
) -> None:
    small = np.asarray(
        cv2.resize(portrait(STRANGER, size=256), (64, 64), interpolation=cv2.INTER_AREA), np.uint8
    )
    screening = likeness.screen(clip_of(tmp_path / "e.mkv", [pasted(small)] * 8), [template])
    assert screening.findings == ()
    (doubt,) = screening.unassessable
    assert doubt.kind == "likeness"
    assert "px wide" in doubt.why


def test_a_blurred_face_is_unassessable(likeness: Likeness, template: Template, tmp_path: Path) -> None:
    face = np.asarray(cv2.GaussianBlur(portrait(STRANGER, size=256), (0, 0), 7), np.uint8)
    screening = likeness.screen(clip_of(tmp_path / "f.mkv", [pasted(face)] * 8), [template])
    assert screening.findings == ()
    assert [doubt.why for doubt in screening.unassessable] == ["the face is too blurred"]


def test_nobody_in_the_picture_and_nobody_in_the_gallery(
    likeness: Likeness, template: Template, tmp_path: Path
) -> None:
    empty = likeness.screen(clip_of(tmp_path / "g.mkv", [blank()] * 8), [template])
    assert (empty.tracks, empty.findings, empty.unassessable) == (0, (), ())
    face = clip_of(tmp_path / "h.mkv", [pasted(portrait(PROTECTED, size=256))] * 4)
    assert likeness.screen(face, []).findings == ()


def test_a_clip_that_ends_early_is_not_cleared(
    likeness: Likeness, template: Template, tmp_path: Path
) -> None:
    clip = clip_of(tmp_path / "i.mkv", [blank()] * 8)
    longer = VideoTrack(codec="ffv1", width=704, height=480, fps=Fraction(8), frames=80)
    with pytest.raises(BadMedia, match="ends early"):
        likeness.screen(Clip(path=clip.path, container=clip.container, video=longer, audio=None), [template])


@pytest.mark.parametrize(
    "vectors",
    [np.zeros((0, 128)), np.zeros((1, 64)), np.full((1, 128), np.nan)],
    ids=["none", "short", "nan"],
)
def test_an_unusable_template_stops_the_screening(
    likeness: Likeness, tmp_path: Path, vectors: np.ndarray
) -> None:
    clip = clip_of(tmp_path / "j.mkv", [blank()] * 2)
    with pytest.raises(Unavailable):
        likeness.screen(clip, [Template("person-1", vectors.astype(np.float32))])


def test_frames_are_sampled_four_a_second_with_both_ends() -> None:
    def track(frames: int, fps: int) -> VideoTrack:
        return VideoTrack(codec="ffv1", width=2, height=2, fps=Fraction(fps), frames=frames)

    chosen = sorted(sampled(track(384, 24)))
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 383, 65)
    assert max(np.diff(chosen)) == 6
    assert sampled(track(7, 30)) == frozenset(range(7))


def test_enrolment_takes_good_pictures_and_says_what_is_wrong_with_others(
    likeness: Likeness, album: Callable[..., Path], tmp_path: Path
) -> None:
    good = portrait(PROTECTED, size=256)
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\nnot a picture")
    tiny = pasted(np.asarray(cv2.resize(good, (96, 96), interpolation=cv2.INTER_AREA), np.uint8))
    enrolment = likeness.enrol(
        [
            album("good", good),
            album("empty", blank()),
            album("two", np.hstack((good, portrait(STRANGER, size=256)))),
            album("tiny", tiny),
            album("soft", np.asarray(cv2.GaussianBlur(good, (0, 0), 5), np.uint8)),
            torn,
        ]
    )
    assert enrolment.accepted == ("good.png",)
    assert enrolment.vectors.shape == (1, 128)
    assert np.linalg.norm(enrolment.vectors) == pytest.approx(1, abs=1e-5)
    why = dict(enrolment.refused)
    assert "no face" in why["empty.png"]
    assert "more than one person" in why["two.png"]
    assert "px wide" in why["tiny.png"]
    assert "blurred" in why["soft.png"]
    assert "torn.png" in why


def drawing() -> Picture:
    """A cartoon that the detector takes for a face."""
    paper = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(paper, (150, 150), 100, (255, 220, 180), -1)
    cv2.circle(paper, (150, 150), 100, (0, 0, 0), 3)
    for x in (115, 185):
        cv2.ellipse(paper, (x, 125), (14, 9), 0, 0, 360, (255, 255, 255), -1)
        cv2.circle(paper, (x, 125), 6, (40, 40, 90), -1)
        cv2.ellipse(paper, (x, 105), (18, 5), 0, 180, 360, (60, 30, 10), 4)
    cv2.line(paper, (150, 130), (143, 168), (150, 90, 60), 3)
    cv2.line(paper, (143, 168), (155, 170), (150, 90, 60), 3)
    cv2.ellipse(paper, (150, 195), (35, 15), 0, 0, 180, (180, 40, 40), 5)
    return paper


def test_drawings_hidden_faces_and_enormous_pictures_are_no_references(
    likeness: Likeness, album: Callable[..., Path], tmp_path: Path
) -> None:
    covered = portrait(PROTECTED, size=256).copy()
    covered[110:140, 70:190] = 20
    ten_pixels = pasted(np.asarray(cv2.resize(portrait(PROTECTED, size=256), (24, 24)), np.uint8))
    enormous = tmp_path / "enormous.png"
    cv2.imwrite(str(enormous), np.zeros((30_000, 30), np.uint8))
    claims = bytearray(enormous.read_bytes())
    claims[16:20] = (30_000).to_bytes(4, "big")
    claims[29:33] = zlib.crc32(claims[12:29]).to_bytes(4, "big")
    enormous.write_bytes(claims)
    files = [
        album("good", portrait(PROTECTED, size=256)),
        album("drawn", drawing()),
        album("covered", covered),
    ]
    enrolment = likeness.enrol([*files, album("ten", ten_pixels), enormous])
    assert enrolment.accepted == ("good.png",), "the control"
    why = dict(enrolment.refused)
    assert "drawing" in why["drawn.png"] or "no face" in why["drawn.png"]
    assert "hidden" in why["covered.png"]
    assert "px wide" in why["ten.png"] or "no face" in why["ten.png"]
    assert "too many pixels" in why["enormous.png"]


def test_enrolment_without_a_usable_picture_is_an_error(
    likeness: Likeness, album: Callable[..., Path]
) -> None:
    with pytest.raises(BadEnrolment, match="no face"):
        likeness.enrol([album("nobody", blank())])
    with pytest.raises(BadEnrolment):
        likeness.enrol([])


@pytest.mark.parametrize("name", ["yunet-bsd.onnx", "dlib-face-resnet.onnx"])
def test_a_missing_or_altered_model_stops_everything(tmp_path: Path, name: str) -> None:
    build(tmp_path)
    Likeness.load(tmp_path, threads=1)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelMissing):
        Likeness.load(tmp_path, threads=1)
    (tmp_path / name).unlink()
    with pytest.raises(ModelMissing):
        Likeness.load(tmp_path, threads=1)


def test_the_package_imports_without_the_heavy_libraries() -> None:
    heavy = ("torch", "onnx", "onnxruntime", "cv2", "av")
    code = f"import sys, safety.likeness; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("animal", ["cockatoo.mp4", "sam_01_dog.mp4"])
def test_animals_are_no_references(
    likeness: Likeness, album: Callable[..., Path], shared_data: Path, animal: str
) -> None:
    film = shared_data / "video" / animal
    shown = [frame.rgb for frame in frames(film, want=lambda index: index % 20 == 0)]
    assert shown
    files = [album(f"{animal}-{number}", picture) for number, picture in enumerate(shown)]
    with pytest.raises(BadEnrolment, match="None of the pictures"):
        likeness.enrol(files)


def test_a_crowd_of_two_hundred_is_followed_in_bounded_work(
    likeness: Likeness, template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every face is a track, the protected one is found among them, and none is embedded more than once."""
    scene = blank(1040, 1040 * 2)
    small = [
        np.asarray(cv2.resize(portrait(Persona(40 + n), size=128), (96, 96), interpolation=cv2.INTER_AREA))
        for n in range(4)
    ]
    own = np.asarray(cv2.resize(portrait(PROTECTED, size=128), (96, 96), interpolation=cv2.INTER_AREA))
    for number in range(200):
        row, column = divmod(number, 20)
        face = own if number == 77 else small[number % 4]
        scene[4 + 104 * row :, 4 + 104 * column :][:96, :96] = face
    known: list[View] = []
    view, asked = likeness._eye.view, 0

    def once(one: Sighting) -> View:
        """Embed each of the five people once, for time's sake."""
        nonlocal asked
        asked += 1
        same = [other for other in known if float(other.sighting.look @ one.look) > 0.97]
        if same:
            return replace(same[0], sighting=one)
        known.append(view(one))
        return known[-1]

    monkeypatch.setattr(likeness._eye, "view", once)
    screening = likeness.screen(clip_of(tmp_path / "crowd.mkv", [scene]), [template])
    assert 190 <= screening.tracks <= 210
    assert asked <= 200 + 12, "one view of each, and a few more of a near hit"
    assert len(known) < 30
    assert [finding.identity for finding in screening.findings] == ["person-1"]
