from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core.errors import BadInput
from provenance.fingerprint import pdq, video
from provenance.fingerprint.video import Printer, VideoPrint, decode, encode, similarity

Change = Callable[[np.ndarray], np.ndarray]


def scene(seed: int, seconds: float = 8, *, fps: int = 12, start: float = 0) -> list[np.ndarray]:
    """Blobs of light that drift over a textured ground, (180, 320, 3)."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(
        rng.integers(20, 200, (9, 16, 3), np.uint8), (640, 360), interpolation=cv2.INTER_CUBIC
    )
    frames = []
    for index in range(round(seconds * fps)):
        t = start + index / fps
        x, y = round(160 + 140 * np.sin(t * 0.7)), round(90 + 80 * np.cos(t * 0.5))
        frame = ground[y : y + 180, x : x + 320].copy()
        cv2.circle(frame, (round(40 * t) % 320, 90 + round(50 * np.sin(t + seed))), 30, (250, 240, 90), -1)
        frames.append(frame)
    return frames


def print_of(frames: list[np.ndarray], fps: float = 12) -> VideoPrint:
    printer = Printer()
    for index, frame in enumerate(frames):
        printer.add(frame, index / fps)
    return printer.finish()


def cropped(share: float) -> Change:
    def cut(frame: np.ndarray) -> np.ndarray:
        top, left = round(share * frame.shape[0]), round(share * frame.shape[1])
        return frame[top : frame.shape[0] - top, left : frame.shape[1] - left]

    return cut


CHANGES: dict[str, Change] = {
    "nothing": lambda frame: frame,
    "half size": lambda frame: cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "letterboxed": lambda frame: cv2.copyMakeBorder(frame, 40, 40, 0, 0, cv2.BORDER_CONSTANT),
    "pillarboxed": lambda frame: cv2.copyMakeBorder(frame, 0, 0, 60, 60, cv2.BORDER_CONSTANT),
    "cropped by a twentieth": cropped(0.05),
    "cropped on the left": lambda rgb: rgb[:, 24:],
    "cropped at the bottom": lambda rgb: rgb[:-14],
    "cropped at two sides": lambda rgb: rgb[12:, :-20],
    "cropped by a tenth": cropped(0.1),
    "darker": lambda frame: cv2.convertScaleAbs(frame, alpha=0.8),
}


@pytest.fixture(scope="module")
def kept() -> VideoPrint:
    return print_of(scene(1)).stored()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_changed_clip_is_found(kept: VideoPrint, change: Change, mirrored: bool) -> None:
    frames = [np.ascontiguousarray(change(frame)[:, :: -1 if mirrored else 1]) for frame in scene(1)]
    found = similarity(print_of(frames), kept)
    assert found.found
    assert found.score > 0.55
    assert found.mirrored == mirrored
    assert found.offset == pytest.approx(0, abs=0.13)
    assert sum(span.end - span.start for span in found.spans) > 6


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_another_clip_is_not(kept: VideoPrint, seed: int) -> None:
    """The control."""
    found = similarity(print_of(scene(seed)), kept)
    assert (found.found, found.score < 0.35) == (False, True)


def test_a_part_is_found_at_its_place(kept: VideoPrint) -> None:
    found = similarity(print_of(scene(1, 3, start=2.6)), kept)
    assert found.found
    assert found.offset == pytest.approx(2.6, abs=0.13)


def test_a_splice_shows_where(kept: VideoPrint) -> None:
    found = similarity(print_of(scene(1, 4) + scene(7, 4)), kept)
    assert found.score == pytest.approx(0.5, abs=0.15)
    assert [(span.start, span.end) for span in found.spans] == [(0, pytest.approx(4, abs=0.3))]


def test_a_single_frame_must_agree_closer(kept: VideoPrint) -> None:
    rng = np.random.default_rng(8)
    still = print_of(scene(1)[:1])
    assert similarity(still, kept).found
    bits = np.unpackbits(still.words.view(np.uint8).reshape(-1, 32), axis=1)
    bits[:, rng.choice(256, 60, replace=False)] ^= 1
    worn = VideoPrint(still.times, np.packbits(bits, axis=1).view(np.uint64).reshape(-1, 1, 4), still.quality)
    assert not similarity(worn, kept).found
    assert not any(similarity(print_of(scene(seed)[:1]), kept).found for seed in range(2, 12))


def test_flat_frames_count_for_nothing(kept: VideoPrint) -> None:
    flat = print_of([np.full((90, 160, 3), 120, np.uint8)] * 48)
    for query, reference in ((flat, kept), (print_of(scene(1)), flat.stored()), (flat, flat.stored())):
        assert not similarity(query, reference).found


def test_what_is_stored_is_the_middle_twice_a_second(kept: VideoPrint) -> None:
    assert kept.words.shape == (1, 16, 4)
    assert kept.times.tolist() == [index / 2 for index in range(16)]


def test_black_and_empty_clips_are_no_error(kept: VideoPrint) -> None:
    assert not similarity(print_of([np.zeros((8, 8, 3), np.uint8)] * 12), kept).found
    nothing = Printer().finish()
    assert not similarity(nothing, kept).found
    assert decode(encode(nothing)).words.shape == (1, 0, 4)


def test_a_long_clip_costs_no_more_than_its_limit() -> None:
    printer = Printer()
    frame = np.zeros((4, 4, 3), np.uint8)
    for index in range(2000):
        printer.add(frame, index / 4)
    assert len(decode(encode(printer.finish())).times) == video.MAX_FRAMES
    printer = Printer()
    for index in range(400):
        printer.add(frame, index / 100)
    assert len(printer.finish().times) == 16


@st.composite
def fingerprints(draw: st.DrawFn) -> VideoPrint:
    views, frames = draw(st.integers(1, 6)), draw(st.integers(0, 9))
    times = sorted(draw(st.lists(st.integers(0, 120_000), min_size=frames, max_size=frames)))
    return VideoPrint(
        times=(np.array(times) / 1000).astype(np.float32),
        words=draw(hnp.arrays(np.uint64, (views, frames, 4))),
        quality=draw(hnp.arrays(np.uint8, frames)),
    )


@given(fingerprints())
def test_decode_reads_what_encode_wrote(fingerprint: VideoPrint) -> None:
    again = decode(encode(fingerprint))
    assert np.allclose(again.times, fingerprint.times, atol=1e-3)
    assert (again.words == fingerprint.words).all()
    assert (again.quality == fingerprint.quality).all()
    assert encode(again) == encode(fingerprint)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_decode_refuses_anything_else(junk: bytes, cut: int) -> None:
    whole = encode(print_of(scene(1, 1)).stored())
    for data in (junk, whole[: min(cut, len(whole) - 1)], whole + junk + b"x"):
        with pytest.raises(BadInput):
            decode(data)


def test_a_print_that_would_cost_too_much_to_compare_is_refused() -> None:
    one = print_of(scene(1, 1)).stored()
    late = VideoPrint(one.times + 1e5, one.words, one.quality)
    falling = VideoPrint(one.times[::-1], one.words, one.quality)
    many = VideoPrint(np.zeros(481, np.float32), np.zeros((1, 481, 4), np.uint64), np.zeros(481, np.uint8))
    for bad in (late, falling, many):
        with pytest.raises(BadInput):
            decode(encode(bad))


def test_a_hash_of_the_middle_ignores_the_margin() -> None:
    frame = scene(1, 0.1)[0]
    marked = frame.copy()
    marked[:18] = 255
    one, other = (print_of([picture]).stored() for picture in (frame, marked))
    assert int(pdq.distance(one.words, other.words)[0, 0]) == 0
    assert video.PER_SECOND == 2 * video.STORED_PER_SECOND
