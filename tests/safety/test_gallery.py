from __future__ import annotations

import numpy as np
import pytest

from core.errors import Unavailable
from safety.gallery import Gallery, Segment, Template, gathered, merged

RNG = np.random.default_rng(5)


def one(identity: str, rows: int = 2, width: int = 4) -> Template:
    return Template(identity, RNG.standard_normal((rows, width)).astype(np.float32))


def some(*templates: Template) -> Segment:
    (segment,) = gathered(templates).segments
    return segment


NOBODY = Segment((), *(np.zeros(0, kind) for kind in (np.float32, np.uint8, np.int64, np.float32, np.bool_)))


def names(gallery: Gallery) -> list[str]:
    return sorted(template.identity for template in gallery)


def test_a_gallery_is_the_sequence_of_its_templates() -> None:
    given = [one("a"), one("b", 3), one("c", 1)]
    gallery = gathered(given)
    assert len(gallery) == 3
    assert [template.identity for template in gallery] == ["a", "b", "c"]
    assert gallery[-1].identity == "c"
    assert [template.identity for template in gallery[:2]] == ["a", "b"]
    for put, got in zip(given, gallery, strict=True):
        assert np.array_equal(put.vectors, got.vectors)
        assert got.threshold is None
    with pytest.raises(IndexError):
        gallery[3]
    assert gathered(gallery) is gallery
    assert len(gathered([])) == 0


def test_a_change_keeps_the_large_segments_and_zeroes_who_is_gone() -> None:
    gallery = gathered([one(f"p{number}") for number in range(10)])
    (large,) = gallery.segments
    assert large.derived("sum", lambda segment: segment.vectors.sum()) != 0
    later = gallery.changed(["p3"], some(one("new"), one("p4", 1)))
    assert names(later) == sorted({"new", *(f"p{number}" for number in range(10))} - {"p3"})
    assert later.segments[0].vectors is large.vectors
    assert not large.vectors[6:10].any()
    # The control: the living keep their numbers.
    assert large.vectors[:6].any()
    assert len(next(one for one in later if one.identity == "p4").vectors) == 1


def test_what_is_derived_is_made_once_until_somebody_is_gone() -> None:
    made = []
    gallery = gathered([one("a"), one("b")])
    for _ in range(3):
        gallery.segments[0].derived("x", lambda segment: made.append(len(segment)) or len(made))
    later = gallery.changed([], some(one("c")))
    later.segments[0].derived("x", lambda segment: made.append(len(segment)) or len(made))
    assert made == [2]
    gone = later.changed(["a"], NOBODY)
    gone.segments[0].derived("x", lambda segment: made.append(len(segment)) or len(made))
    assert made == [2, 2]


def test_many_small_changes_become_one_segment() -> None:
    gallery = gathered([one("a")])
    for number in range(20):
        gallery = gallery.changed([], some(one(f"p{number}")))
    assert len(gallery.segments) <= 9
    assert len(gallery) == 21
    for number in range(20):
        gallery = gallery.changed([f"p{number}"], NOBODY)
    assert names(gallery) == ["a"]
    assert gallery.changed(["a"], NOBODY).segments == ()


@pytest.mark.parametrize(
    "bad",
    [
        Template("b", np.zeros((0, 4), np.float32)),
        Template("b", np.zeros((1, 5), np.float32)),
        Template("b", np.zeros(4, np.float32)),
        Template("b", np.full((1, 4), np.nan, np.float32)),
        Template("b", np.ones((2, 4), np.float32), np.zeros(1, np.uint8)),
    ],
)
def test_one_unusable_template_fails_the_gallery_by_name(bad: Template) -> None:
    with pytest.raises(Unavailable, match="The template of b"):
        gathered([one("a"), bad])


def test_somebody_who_was_enrolled_twice_is_one_template() -> None:
    first, second = one("a", 2), Template("a", one("a", 3).vectors, np.full(3, 7, np.uint8), 0.5)
    joined, other = merged([first, one("b"), second])
    assert (joined.identity, other.identity) == ("a", "b")
    assert len(joined.vectors) == 5
    assert joined.parts is not None
    assert joined.parts.tolist() == [0, 0, 7, 7, 7]
    assert joined.threshold == 0.5
