from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ModelMissing, Unavailable
from safety.gallery import Gallery, Segment, Template, gathered
from safety.likeness import cohort as cohorts
from safety.likeness.cohort import Cohort
from safety.likeness.recogniser import unit
from safety.likeness.search import near, neighbours


def crowd(seed: int, people: int, width: int, most: int) -> list[Template]:
    """People around a common direction, as faces are, with 1 to `most` references each."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(width)
    made = []
    for person in range(people):
        middle = common + 0.5 * rng.standard_normal(width)
        rows = middle + 0.1 * rng.standard_normal((int(rng.integers(1, most + 1)), width))
        made.append(Template(f"p{person}", rows.astype(np.float32)))
    return made


def by_hand(
    templates: list[Template], queries: np.ndarray, least: float, cohort: Cohort | None = None
) -> set[tuple[int, str]]:
    known, found = cohort or Cohort(), set()
    off = known.shift(queries)
    for template in templates:
        centroid = unit(unit(template.vectors).mean(0, keepdims=True))
        scores = queries @ centroid[0] - off - known.shift(centroid)
        found |= {(i, template.identity) for i, score in enumerate(scores) if score >= least}
    return found


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    people=st.integers(1, 60),
    width=st.sampled_from((8, 128)),
    least=st.floats(0.2, 0.99),
    queries=st.integers(1, 5),
    normalised=st.booleans(),
)
def test_the_search_finds_exactly_whom_a_plain_loop_finds(
    seed: int, people: int, width: int, least: float, queries: int, normalised: bool
) -> None:
    templates = crowd(seed, people, width, 3)
    others = np.concatenate([template.vectors[:1] for template in crowd(seed, 30, width, 1)])
    cohort = Cohort(unit(others)) if normalised else Cohort()
    asked = unit(np.concatenate([template.vectors[:1] for template in templates])[:queries] + np.float32(0.1))
    found = near(gathered(templates), asked, least, cohort)
    scores = {(one.query, one.identity): one.score for one in found}
    borderline = {
        key
        for lower in (-1e-5, 1e-5)
        for key in by_hand(templates, asked, least + lower, cohort) ^ set(scores)
    }
    assert all(abs(scores.get(key, least) - least) < 2e-5 for key in borderline)
    assert len(scores) == len(found)


def test_five_thousand_people_in_segments_with_the_dead_among_them() -> None:
    templates = crowd(3, 5000, 128, 2)
    gallery = gathered(templates[:4000])
    asked = unit(np.concatenate([templates[i].vectors[:1] for i in (7, 1234, 4500)]))
    near(gallery, asked, 0.9)
    (later,) = gathered(templates[4000:]).segments
    grown = gallery.changed(["p7"], later)
    found = {(one.query, one.identity) for one in near(grown, asked, 0.97)}
    assert found == by_hand([t for t in templates if t.identity != "p7"], asked, 0.97)
    assert (1, "p1234") in found
    assert (2, "p4500") in found
    assert not any(identity == "p7" for _, identity in found)
    assert (0, "p7") in by_hand(templates, asked, 0.97), "the control"
    named = neighbours(grown, asked[1:2], 3)
    assert named[0][0] == "p1234"
    assert [score for _, score in named] == sorted((score for _, score in named), reverse=True)


def test_templates_of_another_length_stop_the_search() -> None:
    gallery = gathered(crowd(1, 3, 64, 1))
    with pytest.raises(Unavailable):
        near(gallery, np.ones((1, 128), np.float32), 0.5)
    assert near(gallery, np.zeros((0, 128), np.float32), 0.5) == []
    assert near(Gallery(()), np.ones((1, 128), np.float32), 0.5) == []


def test_a_template_knows_its_own_threshold_and_its_references() -> None:
    template = Template("a", np.ones((3, 8), np.float32), None, 0.9)
    (found,) = near(gathered([template]), unit(np.ones((1, 8), np.float32)), 0.5)
    assert (found.references, found.own) == (3, pytest.approx(0.9))
    assert isinstance(gathered([template]).segments[0], Segment)


def test_the_cohort_takes_most_from_whoever_is_like_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = cohorts.embedded()
    assert known.vectors is not None
    everybody = unit(known.vectors.mean(0, keepdims=True))
    rng = np.random.default_rng(2)
    somebody = unit(everybody + 0.06 * rng.standard_normal((1, 128)).astype(np.float32))
    assert known.shift(everybody)[0] > known.shift(somebody)[0] + 0.002
    assert Cohort().shift(everybody).tolist() == [0]
    np.savez(tmp_path / "c.npz", vectors=known.vectors, recogniser=np.array("0" * 64))
    monkeypatch.setattr(cohorts, "FILE", tmp_path / "c.npz")
    with pytest.raises(ModelMissing, match="another recogniser"):
        cohorts.embedded()
    (tmp_path / "c.npz").write_bytes(b"cut short")
    with pytest.raises(ModelMissing):
        cohorts.embedded()
