from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from provenance.labels import NO_LABELS, Occasion, packs, plan

CODES = sorted({code for pack in packs() for code in pack.covers})


def occasion(**changes: Any) -> Occasion:
    given_by_default: dict[str, Any] = {
        "territory": "EU",
        "purpose": "advertising",
        "draft": False,
        "source": "created",
        "picture": True,
        "sound": True,
        "provider": "Studio gate",
        "content_id": "clip_1",
    }
    return Occasion(**(given_by_default | changes))


occasions = st.builds(
    occasion,
    territory=st.sampled_from(["", *CODES]),
    purpose=st.sampled_from(["advertising", "expressive", "other"]),
    draft=st.booleans(),
    source=st.sampled_from(["created", "composite"]),
    picture=st.booleans(),
)


@given(occasions)
def test_every_duty_is_accounted_for_and_only_what_is_due_is_done(given_one: Occasion) -> None:
    planned = plan(given_one)
    covered = [pack for pack in packs() if given_one.territory in pack.covers]
    assert len(planned.entries) == sum(len(pack.duties) for pack in covered)
    due = [entry.duty for entry in planned.entries if entry.status == "due"]
    assert bool(planned.badges) == any(duty.kind == "badge" for duty in due)
    assert bool(planned.notices) == any(duty.kind == "notice" for duty in due)
    assert set(planned.tags) == {duty.key for duty in due if duty.kind == "metadata"}
    assert not (planned.badges and planned.notices)
    assert all(entry.why for entry in planned.entries if entry.status != "due")


@given(occasions)
def test_a_draft_defers_only_where_the_pack_lets_it_and_never_what_machines_read(given_one: Occasion) -> None:
    drafts = {pack.id: pack.drafts for pack in packs()}
    for entry in plan(given_one).entries:
        if entry.status == "deferred":
            assert given_one.draft
            assert drafts[entry.pack]
            assert entry.duty.kind in ("badge", "notice")


def test_without_a_territory_nothing_is_done() -> None:
    assert plan(occasion(territory="")) == NO_LABELS


@pytest.mark.parametrize("territory", ["IN", "KR"])
def test_where_labels_may_not_be_suppressed_a_draft_is_labelled_too(territory: str) -> None:
    assert plan(occasion(territory=territory, draft=True)) == plan(occasion(territory=territory))


def test_new_york_must_know_the_purpose() -> None:
    for territory in ("US-NY", "US"):
        with pytest.raises(BadInput, match="New York must say its purpose"):
            plan(occasion(territory=territory, purpose=""))
    assert plan(occasion(territory="US-CA", purpose="")).badges, "the control: California does not ask"


def test_new_york_labels_advertisements_with_generated_performers_only() -> None:
    assert [badge.text for badge in plan(occasion(territory="US-NY")).badges] == ["performers_are_synthetic"]
    for changes in ({"purpose": "expressive"}, {"source": "composite"}, {"picture": False}):
        assert plan(occasion(territory="US-NY", **changes)).badges == ()
    assert len(plan(occasion(territory="US")).badges) == 2


@pytest.mark.parametrize(
    ("territory", "notice"),
    [
        ("DE", "de"),
        ("FI", "en"),
        ("FR", "fr"),
        ("IN", "en_in"),
        ("KR", "ko"),
        ("CN", "rhythm"),
        ("US-CA", "en"),
    ],
)
def test_sound_alone_is_announced_in_the_language_of_the_place(territory: str, notice: str) -> None:
    assert plan(occasion(territory=territory, picture=False)).notices == (notice,)


def test_a_filmed_scene_is_not_called_generated() -> None:
    assert [badge.text for badge in plan(occasion(source="composite")).badges] == ["ai_modified"]


def test_china_gets_its_metadata_on_drafts_too() -> None:
    for draft in (False, True):
        fields = json.loads(plan(occasion(territory="CN", draft=draft)).tags["AIGC"])
        assert list(fields) == [
            "Label",
            "ContentProducer",
            "ProduceID",
            "ReservedCode1",
            "ContentPropagator",
            "PropagateID",
            "ReservedCode2",
        ]
        assert (fields["Label"], fields["ContentProducer"], fields["ProduceID"]) == (
            "1",
            "Studio gate",
            "clip_1",
        )
