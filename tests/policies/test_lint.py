from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import PolicyError
from policies.engine import Pack, load
from policies.expressions import conjuncts, names, rises
from policies.lint import lint
from policies.pack import MAX_BYTES, parse
from tests.policies.floor import FLOOR
from tests.policies.test_engine import RULE


def objections(folder: Path, *rules: dict[str, Any], **more: Any) -> list[str]:
    """What lint says of rules, without what it says of the missing tests."""
    made = loaded(folder, *rules, **more)
    return [line for line in lint(made) if "no test" not in line and "minors_sexual" not in line]


def loaded(folder: Path, *rules: dict[str, Any], **more: Any) -> Pack:
    path = folder / "pack.yaml"
    path.write_text(yaml.safe_dump({"name": "trial", "version": "1", "rules": [*FLOOR, *rules], **more}))
    return load(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"where": "it.category == 'violense'"}, "it can never fire on 'violense'"),
        ({"where": "it.category in ['hate', 'hatred']"}, "it can never fire on 'hatred'"),
        ({"when": "request.modality == 'film'"}, "it can never fire on 'film'"),
        ({"when": "entities.exists(e, e.kind == 'person')"}, "it can never fire on 'person'"),
        ({"when": "entities.exists(e, 'singing' in e.asked)"}, "it can never fire on 'singing'"),
        ({"when": "false && text.obfuscated"}, "one of its conditions is false"),
        ({"when": "scores.hate >= 0.9 && scores.hate < 0.5"}, "nothing is at least 0.9 and at most 0.5"),
        ({"threshold": 0.7}, "its threshold is never used"),
        ({"when": "scores.hate > threshold"}, "it uses a threshold and has none"),
        ({"when": "scores.hate > threshold", "threshold": 80.0}, "scores lie between 0 and 1"),
    ],
)
def test_a_rule_that_can_never_do_anything_is_found(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    assert objections(tmp_path, RULE) == []
    assert any(says in line for line in objections(tmp_path, {**RULE, **change}))


@pytest.mark.parametrize(
    ("change", "shadowed"),
    [
        ({}, True),
        ({"where": "it.category == 'violence_gore' && it.intent == 'real'"}, True),
        ({"where": "(it.category == 'violence_gore')  // again"}, False),
        ({"when": "text.obfuscated"}, True),
        ({"outcome": "refuse"}, False),
        ({"grave": True, "outcome": "refuse"}, False),
        ({"category": "hate"}, False),
        ({"where": "it.category == 'hate'"}, False),
        ({"where": "it.category == 'violence_gore' || it.category == 'hate'"}, False),
        ({"where": "it.category == 'violence_gore' && it.view == 'text' || it.term == 'x'"}, False),
    ],
)
def test_a_rule_that_another_makes_useless_is_found(
    tmp_path: Path, change: dict[str, Any], shadowed: bool
) -> None:
    found = objections(tmp_path, RULE, {**RULE, "id": "second", **change})
    assert any("gore fires whenever it does" in line for line in found) is shadowed


@pytest.mark.parametrize(("first", "second", "shadowed"), [(0.5, 0.8, True), (0.8, 0.5, False)])
def test_a_lower_threshold_shadows_a_higher_one(
    tmp_path: Path, first: float, second: float, shadowed: bool
) -> None:
    rule = {**RULE, "evidence": "scores", "where": "it.category == 'hate' && it.score >= threshold"}
    found = objections(tmp_path, {**rule, "threshold": first}, {**rule, "id": "second", "threshold": second})
    assert any("gore fires whenever it does" in line for line in found) is shadowed


def test_strikes_that_nothing_comes_of_are_found(tmp_path: Path) -> None:
    strikes = {"days": 9, "grave": 4.0, "other": 1.0, "slow": 2.0, "hold": 4.0, "suspend": 8.0, "per_hour": 5}
    found = objections(tmp_path, RULE, strikes=strikes)
    assert [line for line in found if line.startswith("strikes")] == [
        "strikes: no rule speaks of user.level == 'hold'",
        "strikes: no rule speaks of user.level == 'suspend'",
    ]
    heard = [{**RULE, "id": level, "when": f"user.level == '{level}'"} for level in ("hold", "suspend")]
    assert not [line for line in objections(tmp_path, *heard, strikes=strikes) if line.startswith("strikes")]
    with pytest.raises(PolicyError, match="must rise"):
        loaded(tmp_path, strikes=strikes | {"slow": 9.0})


def test_a_level_is_a_threshold_of_the_packs_own_list(tmp_path: Path) -> None:
    rule = {**RULE, "evidence": "scores", "where": "it.score >= threshold", "level": "hate"}
    pack = loaded(tmp_path, rule, thresholds={"hate": 0.7})
    assert pack.rules[-1].text.threshold == 0.7
    with pytest.raises(PolicyError, match="gore: level: the thresholds have no hate"):
        loaded(tmp_path, rule)
    with pytest.raises(PolicyError, match="not both"):
        loaded(tmp_path, {**rule, "threshold": 0.5}, thresholds={"hate": 0.7})


@pytest.mark.parametrize(
    ("source", "yes"),
    [
        ("it.category == 'hate' && it.score >= threshold", True),
        ("hits.exists(h, h.category == 'x') || scores.sexual > threshold", True),
        ("it.end - it.start >= threshold * media.seconds", True),
        ("scores.sexual >= threshold * text.length", True),
        ("it.score <= threshold", False),
        ("!(it.score >= threshold)", False),
        ("threshold >= it.score", False),
        ("it.score >= threshold ? false : true", False),
        ("(it.score >= threshold) == false", False),
        ("hits.all(h, scores.hate >= threshold)", False),
        ("it.score >= threshold - 1.0", False),
        ("it.score >= 0.5", False),
    ],
)
def test_only_a_plain_comparison_is_known_to_rise(source: str, yes: bool) -> None:
    assert rises(source) is yes


def test_expressions_are_split_at_their_own_level() -> None:
    assert conjuncts("a == 'x && y' && (b || c) && d") == {"a == 'x && y'", "(b || c)", "d"}
    assert conjuncts("a && b || c") == {"a && b || c"}
    assert names("it.threshold > x.y && threshold") == {"it", "x", "threshold"}


BOMB = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(3))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (BOMB.encode(), "aliases are not read"),
        (b"[" * 40 + b"]" * 40, "deeper than"),
        (b"{a: " * 100_000, "deeper than|not readable"),
        (b"x" * (MAX_BYTES + 1), "at most"),
        (b"a: " + b"9" * 100_000, "the pack|name|not readable"),
        (b"name: trial\nversion: '1'\nrules: " + b"[1]", "rules.0"),
        (b"rules: !!binary aGVsbG8=", "name|rules"),
        (b"a: 2026-99-99", "not readable|name"),
    ],
)
def test_content_that_would_grow_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        parse(content)


def test_too_many_rules_and_too_long_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="rules"):
        parse(
            yaml.safe_dump(
                {"name": "trial", "version": "1", "rules": [dict(RULE) for _ in range(2001)]}
            ).encode()
        )
    with pytest.raises(PolicyError, match="where"):
        loaded(tmp_path, {**RULE, "where": "it.category == '" + "x" * 4001 + "'"})
    with pytest.raises(PolicyError, match="threshold"):
        loaded(tmp_path, {**RULE, "threshold": float("nan")})
