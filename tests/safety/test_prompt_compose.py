from __future__ import annotations

from typing import Any

from core.decision import CATEGORIES
from safety.prompt import compose

CALM = dict.fromkeys(CATEGORIES, 0.0)


def hit(category: str, intent: str = "", span: tuple[int, int] = (0, 5)) -> dict[str, Any]:
    return {"category": category, "intent": intent, "term": "x", "span": list(span), "view": "text"}


def entity(**fields: Any) -> dict[str, Any]:
    known = {
        "kind": "public_figure",
        "office": "performer",
        "match": "exact",
        "start": 6,
        "end": 9,
        "asked": [],
    }
    return known | fields


def test_a_minor_with_sexual_content_is_a_hit_of_the_gravest_kind() -> None:
    (composed,) = compose.minor_with_sexual([hit("minor", "subject", (3, 8)), hit("sexual", "nudity")], CALM)
    assert (composed["category"], composed["intent"], composed["span"]) == (
        "minors_sexual",
        "composed",
        [3, 8],
    )
    assert compose.minor_with_sexual([hit("minor")], CALM | {"sexual": 0.75})
    assert compose.minor_with_sexual([hit("minor"), hit("ncii")], CALM)
    assert compose.minor_with_sexual([hit("minor")], CALM, "a minor in a sexual situation")


def test_a_minor_alone_and_sexual_content_alone_are_not() -> None:
    assert not compose.minor_with_sexual([hit("minor"), hit("violence_gore")], CALM | {"sexual": 0.5})
    assert not compose.minor_with_sexual([hit("sexual")], CALM | {"sexual": 1.0})
    assert not compose.minor_with_sexual([hit("minor")], CALM, "sexual education for teenagers")


def asked(text: str, name: str, *hits: dict[str, Any], **scores: float) -> list[str]:
    start = text.index(name)
    one = entity(start=start, end=start + len(name))
    return compose.asked_of(one, text, list(hits), CALM | scores)


def test_what_is_asked_of_a_person() -> None:
    assert asked("Ann Lee eats soup", "Ann Lee") == []
    assert asked("Ann Lee eats soup", "Ann Lee", sexual=0.9) == ["sexual"]
    assert asked("Ann Lee confesses to a bribe", "Ann Lee") == ["political"]
    assert asked("A deepfake of Ann Lee", "Ann Lee") == ["deception"]
    assert asked("in the voice of Ann Lee", "Ann Lee", hit("voice_imitation", span=(0, 23))) == ["voice"]
    assert asked("in the voice of Bo. Ann Lee eats", "Ann Lee", hit("voice_imitation", span=(0, 18))) == []
    assert asked("in the style of Ann Lee", "Ann Lee", hit("artist_style", span=(0, 23))) == ["style"]
    assert asked("The election is near. A lake. Ann Lee eats soup.", "Ann Lee") == []


def test_scores_are_raised_to_what_names_and_words_show() -> None:
    figure = compose.fused(CALM, [], [entity()])
    assert (figure["public_figure"], figure["political_deception"]) == (0.95, 0.0)
    minister = entity(office="politician", asked=["political"])
    assert compose.fused(CALM, [], [minister])["political_deception"] == 0.9
    assert compose.fused(CALM, [], [entity(asked=["sexual"])])["ncii"] == 0.95
    assert compose.fused(CALM, [], [entity(match="fuzzy")])["public_figure"] < 0.95
    assert compose.fused(CALM, [], [entity(kind="franchise")])["ip_character"] == 0.95
    assert compose.fused(CALM, [hit("hate", "slur")], [])["hate"] == 0.7
    assert compose.fused(CALM | {"hate": 0.99}, [hit("hate", "promote")], [])["hate"] == 0.99
    assert compose.fused(CALM, [hit("minor", "subject")], []) == CALM


def test_what_needs_a_name_is_held_back_without_one() -> None:
    sure = CALM | {"voice_imitation": 0.99, "hate": 0.99}
    held = compose.named(sure, "A story told in the voice of an old sailor", [], [])
    assert (held["voice_imitation"], held["hate"]) == (0.45, 0.99)
    assert compose.named(sure, "A story told in the voice of Ann", [], []) == sure
    assert compose.named(sure, "a story", [hit("voice_imitation")], []) == sure
    assert compose.named(sure, "a story", [], [entity()]) == sure


def test_only_lists_know_who_is_famous() -> None:
    sure = CALM | {"public_figure": 0.99, "ip_character": 0.99, "artist_style": 0.99}
    held = compose.named(sure, "A portrait of Ann Lee in the style of Bo Ek", [], [])
    assert (held["public_figure"], held["ip_character"], held["artist_style"]) == (0.45, 0.45, 0.99)
    assert compose.fused(held, [], [entity()])["public_figure"] == 0.95


def test_a_voice_is_asked_for_by_words_not_by_singing() -> None:
    scores = dict.fromkeys(CATEGORIES, 0.0) | {"voice_imitation": 0.99}
    for text, score in (
        ("Tonight Maren Holt sings in a small club", 0.45),
        ("A song that sounds like Maren Holt", 0.99),
        ("Tonight the voice of Maren Holt", 0.99),
    ):
        assert compose.named(scores, text, [], [])["voice_imitation"] == score
