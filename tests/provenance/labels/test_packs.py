from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from core.errors import BadInput
from provenance.labels import covering, packs
from provenance.labels._badge import _asset
from provenance.labels._notice import spoken
from provenance.labels._packs import HOME, Duty, Pack

ASSETS = yaml.safe_load((HOME / "assets.yaml").read_text())


def test_the_six_territories_are_there_and_name_their_law() -> None:
    assert [pack.id for pack in packs()] == ["cn", "eu", "in", "kr", "us_ca", "us_ny"]
    for pack in packs():
        assert pack.law
        assert pack.drafts_why
        assert all(duty.source and duty.about and duty.id.startswith(f"{pack.id}.") for duty in pack.duties)
    ids = [duty.id for pack in packs() for duty in pack.duties]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("", []),
        ("EU", ["eu"]),
        ("de", ["eu"]),
        ("CN", ["cn"]),
        ("US", ["us_ca", "us_ny"]),
        ("US-NY", ["us_ny"]),
    ],
)
def test_a_code_finds_its_packs(code: str, found: list[str]) -> None:
    assert [pack.id for pack in covering(code)] == found


@pytest.mark.parametrize("code", ["XX", "E", "China", "US-", "\x00"])
def test_an_unknown_territory_is_a_clear_error(code: str) -> None:
    with pytest.raises(BadInput, match=r"no labelling rules .* known are AT, .*US-NY"):
        covering(code)


def test_everything_that_a_pack_shows_or_says_is_shipped_and_nothing_else() -> None:
    duties = [duty for pack in packs() for duty in pack.duties]
    texts = {text for duty in duties for text in duty.text.values()}
    speeches = {name for duty in duties for name in (*duty.speech.values(), duty.speech_else) if name}
    assert texts == set(ASSETS["texts"])
    assert speeches == set(ASSETS["speeches"])
    shipped = {path.name for path in Path(HOME / "assets").iterdir()}
    assert shipped == {f"{text}.png" for text in texts} | {f"{name}.m4a" for name in speeches} | {
        "NOTICE.txt"
    }
    assert all(_asset(text).max() == 255 for text in texts)
    assert all(3 < len(spoken(name, 16_000)) / 16_000 < 6 for name in speeches)


def test_china_is_told_in_the_words_of_its_standard() -> None:
    for text in ("cn_generated", "cn_composed"):
        words = ASSETS["texts"][text]["words"]
        assert "AI" in words
        assert "生成" in words or "合成" in words


DUTY = {"id": "x", "kind": "badge", "when": "picture", "about": "a", "source": "s"}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"text": {"created": "a"}, "height": 0.1},
        {"text": {"created": "a", "composite": "b"}},
        {"kind": "notice"},
        {"kind": "metadata"},
        {"kind": "latent", "colour": "red"},
        {"kind": "latent", "when": "sometimes"},
    ],
)
def test_a_duty_that_does_not_say_what_to_do_is_refused(wrong: dict[str, Any]) -> None:
    assert Duty.model_validate(DUTY | {"kind": "latent"}), "the control"
    with pytest.raises(ValidationError):
        Duty.model_validate(DUTY | wrong)


def test_packs_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        packs()[0].drafts = False
    assert isinstance(packs()[0], Pack)
