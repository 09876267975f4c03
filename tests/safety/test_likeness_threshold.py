from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from safety.likeness.threshold import LEAST, MOST, rate, threshold

counts = st.integers(1, 10**6)


@given(people=counts, tracks=counts)
def test_a_comparison_is_never_allowed_more_than_its_share(people: int, tracks: int) -> None:
    assert rate(people=people, tracks=tracks) * people * tracks <= max(0.01, MOST * people * tracks)
    assert rate(people=people, tracks=tracks) <= MOST


@given(people=counts, tracks=counts, references=st.integers(1, 20))
def test_more_comparisons_never_loosen_and_the_threshold_stays_where_data_ends(
    people: int, tracks: int, references: int
) -> None:
    here = threshold(people=people, tracks=tracks, references=references)
    assert here <= threshold(people=people + 1, tracks=tracks, references=references)
    assert here <= threshold(people=people, tracks=tracks, references=references + 1)
    ceiling = threshold(people=10**9, tracks=1, references=references)
    assert 0.94 < here <= ceiling < 0.97


def test_the_floor_is_where_a_thousand_people_are_screened() -> None:
    assert rate(people=1000, tracks=1) == LEAST
