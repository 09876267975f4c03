from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.media import read
from safety.likeness import build, recogniser, tiers
from safety.likeness.faces import distinct, overlap
from safety.likeness.geometry import refined, similarity

EQUAL_ERROR = 0.912
"""The cosine that separates LFW's pairs best (folds 1-2), only to check the chain with."""


def sample_pairs(faces: Path, each: int) -> list[tuple[bool, Path, Path]]:
    """Give the first pairs of LFW's fold 3, same and different people."""
    chosen: dict[bool, list[tuple[bool, Path, Path]]] = {True: [], False: []}
    for line in (faces / "lfw_pairs_folds_1_3.tsv").read_text().splitlines():
        fold, name, first, *rest = line.split("\t")
        other, second = (name, rest[0]) if len(rest) == 1 else (rest[0], rest[1])
        if fold == "3" and len(chosen[other == name]) < each:
            paths = [faces / "lfw" / n / f"{n}_{int(i):04d}.jpg" for n, i in ((name, first), (other, second))]
            chosen[other == name].append((other == name, paths[0], paths[1]))
    return chosen[True] + chosen[False]


def test_strangers_and_friends_are_told_apart_on_real_photographs(shared_data: Path, tmp_path: Path) -> None:
    build(tmp_path)
    tools = tiers.load(tmp_path, "embedded", threads=1)
    detector, net = tools.detector, tools.recogniser

    def vector(path: Path) -> recogniser.Vectors:
        photo = read.picture(path)
        middle = np.array(photo.shape[1::-1]) / 2
        faces = detector.find(photo, long_side=640)
        face = min(faces, key=lambda found: float(np.abs(found.points.mean(0) - middle).max()))
        return net.embed(photo, [refined(photo, face, detector).face])

    pairs = sample_pairs(shared_data / "faces", 30)
    assert len(pairs) == 60
    right = [(float((vector(a) @ vector(b).T)[0, 0]) > EQUAL_ERROR) == same for same, a, b in pairs]
    assert np.mean(right) >= 0.95


@given(
    angle=st.floats(-3.1, 3.1),
    scale=st.floats(0.1, 10),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_alignment_undoes_any_similarity(angle: float, scale: float, shift: tuple[float, float]) -> None:
    target = np.array(((48, 47), (100, 47), (74, 77), (52, 108), (96, 108)), np.float64)
    turn = scale * np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    moved = (target @ turn.T + shift).astype(np.float32)
    back = similarity(moved, target)
    assert np.abs(moved @ back[:, :2].T + back[:, 2] - target).max() < 0.1


sides = st.tuples(*[st.floats(-50, 50)] * 2, *[st.floats(1, 50)] * 2)


@given(a=sides, b=sides)
def test_overlap_is_a_symmetric_share(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    assert 0 <= overlap(a, b) <= 1 + 1e-9
    assert overlap(a, b) == pytest.approx(overlap(b, a))
    assert overlap(a, a) == pytest.approx(1)


@given(st.lists(sides, max_size=12))
def test_of_overlapping_faces_the_first_stays(boxes: list[tuple[float, float, float, float]]) -> None:
    kept = distinct(np.array(boxes, np.float32).reshape(-1, 4)).tolist()
    assert kept[:1] == list(range(len(boxes)))[:1]
    for number, box in enumerate(boxes):
        assert number in kept or any(overlap(box, boxes[i]) > 0.29 for i in kept if i < number)
    assert all(overlap(boxes[i], boxes[j]) <= 0.31 for n, i in enumerate(kept) for j in kept[:n])
